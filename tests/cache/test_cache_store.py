"""Entries are whole, verified, and one process's at a time."""

import json
import os
import subprocess
import sys
import threading

import pytest
import torch

from multimodal_lab.cache import store
from multimodal_lab.cache.store import ENTRY, TENSORS, CacheError, CacheStore

FACTS = {"of": "encoding", "weights": "abc", "bands": ["R", "G"]}


@pytest.fixture
def kept(tmp_path):
    made = CacheStore(str(tmp_path / "cache"))
    made.put_tensors(FACTS, {"tokens": torch.arange(12.0).view(2, 3, 2), "mask": torch.ones(2, 3, dtype=torch.bool)})
    return made


def test_what_was_kept_comes_back_bit_for_bit(kept):
    found = kept.get_tensors(FACTS)
    assert torch.equal(found["tokens"], torch.arange(12.0).view(2, 3, 2))
    assert found["mask"].dtype == torch.bool
    kept.put({"of": "statistics"}, {"mean": [0.1, 1e-300]})
    assert kept.get({"of": "statistics"}) == {"mean": [0.1, 1e-300]}
    assert kept.get({"of": "other"}) is None
    assert kept.get_tensors({**FACTS, "weights": "abd"}) is None
    assert not list(kept.root.rglob("*.part"))


def damage_tensors(folder):
    data = bytearray((folder / TENSORS).read_bytes())
    data[-1] ^= 1
    (folder / TENSORS).write_bytes(data)


def damage_entry(folder):
    text = (folder / ENTRY).read_text()
    assert '"abc"' in text
    (folder / ENTRY).write_text(text.replace('"abc"', '"abd"'))


def cut(folder):
    (folder / ENTRY).write_bytes((folder / ENTRY).read_bytes()[:40])


def lose_tensors(folder):
    (folder / TENSORS).unlink()


@pytest.mark.parametrize("harm", [damage_tensors, damage_entry, cut, lose_tensors])
def test_a_damaged_entry_is_told_not_read_and_made_again(kept, capsys, harm):
    assert kept.get_tensors(FACTS) is not None
    harm(kept.folder(FACTS))
    assert kept.get_tensors(FACTS) is None
    assert "is invalid and will be made again" in capsys.readouterr().out
    kept.put_tensors(FACTS, {"tokens": torch.zeros(1)})
    assert torch.equal(kept.get_tensors(FACTS)["tokens"], torch.zeros(1))


@pytest.mark.parametrize("name", [ENTRY, TENSORS])
def test_an_entry_that_the_disk_fails_to_give_is_tried_again_and_not_made_again(kept, capsys, failing, name):
    store._hashed.cache_clear()
    failing(name, 2)
    assert torch.equal(kept.get_tensors(FACTS)["tokens"], torch.arange(12.0).view(2, 3, 2))
    assert capsys.readouterr().out == ""
    store._hashed.cache_clear()
    failing(name, 99)
    with pytest.raises(CacheError, match=rf"{name}: can't be read \(Input/output error\)"):
        kept.get_tensors(FACTS)


def test_another_entry_in_its_place_is_foreign(kept, capsys):
    other = {**FACTS, "weights": "other"}
    os.rename(kept.folder(FACTS), kept.folder(other))
    assert kept.get_tensors(other) is None
    assert "is another entry's" in capsys.readouterr().out


def test_the_source_and_the_packages_are_part_of_every_key(monkeypatch):
    before = store.key(FACTS)
    made = store._making()
    for change in ({"source": "0"}, {"packages": {**made["packages"], "torch": "0"}}, {"format": 0}):
        monkeypatch.setattr(store, "_making", lambda change=change: {**made, **change})
        assert store.key(FACTS) != before


def test_a_place_that_cant_be_written_is_one_sentence_with_the_key(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"cache\.root=.*file.*can't be written.*give another cache\.root"):
        CacheStore(str(tmp_path / "file")).put(FACTS, {})


def test_the_default_is_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert CacheStore(None).root == tmp_path / "multimodal_lab"


HOLD = """
import sys, time
from multimodal_lab.cache.store import CacheStore
with CacheStore(sys.argv[1]).alone({"of": "x"}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_an_entry_is_made_by_one_process_and_a_killed_one_holds_nothing(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    ours = threading.Event()

    def wait():
        with CacheStore(str(tmp_path)).alone({"of": "x"}):
            ours.set()

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    assert not ours.wait(0.3)
    other.kill()
    other.wait()
    assert ours.wait(20)


def test_entries_are_readable_files(kept):
    found = json.loads((kept.folder(FACTS) / ENTRY).read_text())
    assert found["facts"]["weights"] == "abc"
    assert set(found["facts"]["packages"]) >= {"torch", "numpy"}
