"""The data's fingerprint counts every byte once, and reads a file again only when it has changed."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from made_source import Made

from multimodal_lab.data.readers import file_hashes
from multimodal_lab.data.readers.file_hashes import content_hashes
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.runs.hashes import comparable
from multimodal_lab.study.ledger.ledger import Entry, mixed
from multimodal_lab.train.resume import changes

SIZE = 3 << 20


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """One file of 3 MiB, long settled, beside a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.bin").write_bytes(os.urandom(SIZE))
    monkeypatch.setattr(file_hashes, "FRESH", -(10**12))  # nothing is too fresh, whatever the clocks say
    return tmp_path / "data"


@pytest.fixture
def reads(monkeypatch):
    """The files that were read, one entry a segment."""
    made, real = [], file_hashes._hash
    monkeypatch.setattr(file_hashes, "_hash", lambda path, *place: made.append(path.name) or real(path, *place))
    return made


def spoil(path: Path, at: int, keep_times: bool = False) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("at", [0, SIZE // 2, SIZE // 2 + 70_001, SIZE - 1])
@pytest.mark.parametrize("keep_times", [False, True])
def test_every_byte_counts_also_where_the_time_was_set_back(folder, at, keep_times):
    source = Made(1)
    source.samples["path"] = "a.bin"
    before = fingerprint(source, str(folder))
    assert fingerprint(source, str(folder)) == before
    spoil(folder / "a.bin", at, keep_times)
    assert fingerprint(source, str(folder)) != before


def test_a_settled_file_is_read_once_and_a_changed_one_again(folder, reads):
    (folder / "b.bin").write_bytes(b"x" * SIZE)
    first = content_hashes(folder, ["a.bin", "b.bin"])
    assert content_hashes(folder, ["a.bin", "b.bin", "none.bin"]) == first
    assert sorted(reads) == ["a.bin", "b.bin"]
    spoil(folder / "b.bin", 5)
    again = content_hashes(folder, ["a.bin", "b.bin"])
    assert reads[2:] == ["b.bin"]
    assert again["a.bin"] == first["a.bin"]
    assert again["b.bin"] != first["b.bin"]


def test_what_was_changed_a_moment_ago_is_not_remembered(folder, reads, monkeypatch):
    monkeypatch.setattr(file_hashes, "FRESH", 2 * 10**9)
    content_hashes(folder, ["a.bin"])
    content_hashes(folder, ["a.bin"])
    assert reads == ["a.bin", "a.bin"]


def test_a_file_that_changes_while_it_is_read_is_not_remembered(folder, reads, monkeypatch):
    real = file_hashes._hash
    monkeypatch.setattr(file_hashes, "_hash", lambda *job: spoil(folder / "a.bin", 0) or real(*job))
    content_hashes(folder, ["a.bin"])
    content_hashes(folder, ["a.bin"])
    assert reads == ["a.bin", "a.bin"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": []}', b'{"files": {"a.bin": 3}}', b"\xff\x00"])
def test_a_broken_memory_is_ignored_and_written_anew(folder, reads, content):
    first = content_hashes(folder, ["a.bin"])
    memory = next((folder.parent / "cache").rglob("*.json"))
    memory.write_bytes(content)
    assert content_hashes(folder, ["a.bin"]) == first
    assert content_hashes(folder, ["a.bin"]) == first
    assert len(reads) == 2


def test_without_a_cache_it_is_read_every_time(folder, reads, monkeypatch):
    (folder.parent / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "file"))
    assert content_hashes(folder, ["a.bin"]) == content_hashes(folder, ["a.bin"])
    assert len(reads) == 2


def test_the_hash_of_a_large_file_is_that_of_its_segments(folder, monkeypatch):
    monkeypatch.setattr(file_hashes, "SEGMENT", 1 << 20)
    first = content_hashes(folder, ["a.bin"])["a.bin"]
    data = (folder / "a.bin").read_bytes()
    (folder / "a.bin").write_bytes(data[1 << 20 : 2 << 20] + data[: 1 << 20] + data[2 << 20 :])
    assert content_hashes(folder, ["a.bin"])["a.bin"] != first


def test_a_failed_read_is_tried_again_and_what_stays_unread_is_not_remembered(folder, failing, reads):
    left = failing("a.bin", 4)
    assert content_hashes(folder, ["a.bin"]) == {"a.bin": f"{SIZE} unread"}
    left[0] = 3
    right = content_hashes(folder, ["a.bin"])
    assert "unread" not in right["a.bin"]
    assert content_hashes(folder, ["a.bin"]) == right
    assert len(reads) == 8


def test_writers_at_once_lose_nothing_of_each_other(folder, reads, capsys):
    names = [f"{i}.bin" for i in range(16)]
    for name in names:
        (folder / name).write_bytes(name.encode() * (SIZE // 4))
    with ThreadPoolExecutor(8) as pool:  # each takes the lock by a file of its own, as processes do
        found = list(pool.map(lambda i: content_hashes(folder, names[2 * i : 2 * i + 2]), range(8)))
    assert sorted(reads) == sorted(names)
    assert content_hashes(folder, names) == {k: v for own in found for k, v in own.items()}
    assert len(reads) == 16
    with ThreadPoolExecutor(8) as pool:
        (folder / "0.bin").write_bytes(os.urandom(SIZE))
        list(pool.map(lambda _: content_hashes(folder, names), range(8)))
    assert reads[16:] == ["0.bin"], "one reads, the others wait for what it finds"


def test_progress_is_told_where_it_takes_long(folder, monkeypatch, capsys):
    monkeypatch.setattr(file_hashes, "PATIENCE", 0.0)
    monkeypatch.setattr(file_hashes, "SEGMENT", 1 << 20)
    content_hashes(folder, ["a.bin"])
    assert "hashing the data: 0.0 of 0.0 GB" in capsys.readouterr().out


def test_marks_of_two_rules_are_not_taken_for_other_data(tmp_path):
    old, new = "ab" * 32, "2:" + "cd" * 32
    assert comparable(old, old[::-1])
    assert not comparable(old, new)
    said = changes({"data fingerprint": old}, {"data fingerprint": new})
    assert said == [
        "data fingerprint: recorded by a version that left out the middle of files over 1 MiB, so that it can't tell "
        "whether these data are the same"
    ]
    assert "was '2:" in changes({"data fingerprint": "2:x"}, {"data fingerprint": new})[0]
    cells = [Entry(None, tmp_path, "finished", summary={"provenance/data_fingerprint": k}) for k in (old, new)]
    assert "the data fingerprint of some cells was recorded by a version" in mixed(cells)[0]
