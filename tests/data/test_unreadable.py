"""Samples that can't be read: stopped at, left out, or stood in for, the same on every rank, and counted."""

import errno
import json
import os
import signal
import sys
import time

import numpy as np
import pytest
import tifffile
import torch
from made_source import Made

from multimodal_lab import files
from multimodal_lab.cache.store import CacheStore
from multimodal_lab.data.loading import unreadable as bad_module
from multimodal_lab.data.loading.unreadable import Bad, stand_ins
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split

CUBE = {"cube": {"kind": "image", "bands": "all"}, "words": {"kind": "text", "field": "text"}}


def spoilt(train=3, test=2):
    """A source with bad rows in two splits, and which they are."""

    source = Made()
    rows = Split(by="group", train=0.5, val=0.25, test=0.25).assign(source.samples)
    bad = [int(r) for r in [*rows["train"][1 : 1 + train], *rows["test"][-test:]]]
    for row in bad:
        source.masks[row] = np.zeros((6, 6), dtype=bool)
    return source, bad, rows


def test_by_default_a_bad_sample_stops_the_run_and_is_named(data):
    source, _bad, _ = spoilt()
    with pytest.raises(DataError, match=r"sample 's\d\d' \(dir/s\d\d\.tif\): its mask is all zero"):
        data(source).prepare(CUBE, 0)


class Away(Made):
    """A source whose disk fails the first `times` readings of one row."""

    def __init__(self, times, row=2):
        super().__init__()
        self.times, self.row = times, row

    def read(self, index, streams):
        if index == self.row and self.times:
            self.times -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), "dir/s02.tif")
        return super().read(index, streams)


def test_a_disk_that_fails_once_makes_no_bad_sample(data, monkeypatch):
    monkeypatch.setattr(files, "WAITS", (0, 0, 0))
    assert not data(Away(2), on_error="skip").prepare(CUBE, 0).bad.why
    data(Away(2)).prepare(CUBE, 0)
    with pytest.raises(DataError, match=r"sample 's02' \(dir/s02\.tif\): can't be read: .*Input/output error"):
        data(Away(99)).prepare(CUBE, 0)


@pytest.mark.parametrize(("times", "kept"), [(99, 0), (0, 1)])
def test_what_a_disk_failed_to_give_is_no_bad_sample_for_good(data, monkeypatch, tmp_path, times, kept):
    monkeypatch.setattr(files, "WAITS", (0, 0, 0))
    memory = CacheStore(str(tmp_path))
    found = data(Away(times), on_error="skip", max_bad=0.5).prepare(
        {"cube": CUBE["cube"]}, 0, memory=memory, encodes=True
    )
    assert len(found.bad.why) == (times > 0)
    entries = [json.loads(p.read_text())["facts"]["of"] for p in tmp_path.rglob("entry.json")]
    assert entries.count("bad samples") == kept


@pytest.mark.parametrize("on_error", ["skip", "substitute"])
@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_meets_every_sample_once_and_a_bad_one_as_missing(data, on_error, cache, workers):
    source, bad, _ = spoilt()
    prepared = data(source, on_error=on_error, max_bad=0.5, cache=cache, workers=workers).prepare(CUBE, 0)
    batches = list(prepared.batches("all"))
    ids = torch.cat([b.ids for b in batches])
    assert ids.tolist() == prepared.ids.tolist()
    expected = torch.tensor([row not in bad for row in range(24)])
    for stream in ("cube", "words"):
        assert torch.cat([b.present[stream] for b in batches]).equal(expected)
    assert (torch.cat([b.targets["kind"] for b in batches])[~expected] == -1).all()
    assert (torch.cat([b.targets["kind"] for b in batches])[expected] >= 0).all()
    assert not torch.cat([b.inputs["cube"] for b in batches])[~expected].any()


def test_in_training_the_next_readable_row_of_the_split_stands_in(data):
    source, bad, rows = spoilt()
    prepared = data(source, on_error="substitute", max_bad=0.5).prepare(CUBE, 0)
    good = [r for r in rows["train"] if r not in bad]
    for row in rows["train"]:
        batch = prepared.batch(np.array([row]), epoch=0)
        expected = row if row not in bad else next((g for g in good if g > row), good[0])
        assert batch.ids.item() == prepared.ids[expected]
        assert batch.present["cube"].item()
        assert batch.inputs["cube"][0].any()
    skipped = data(source, on_error="skip", max_bad=0.5).prepare(CUBE, 0).batch(rows["train"], epoch=0)
    assert skipped.present["cube"].tolist() == [r not in bad for r in rows["train"]]
    assert len(skipped) == len(rows["train"])


def test_the_last_row_of_a_split_is_stood_in_for_by_its_first():
    rows = {"train": np.array([0, 2, 4]), "val": np.array([1, 3])}
    found = stand_ins(Bad({4: "x", 1: "y"}), rows)
    assert found.instead == {4: 0, 1: 3}
    with pytest.raises(DataError, match="no sample of val can be read"):
        stand_ins(Bad({1: "x", 3: "y"}), rows)


@pytest.mark.parametrize("on_error", ["skip", "substitute"])
def test_any_workers_and_ranks_decide_alike(data, on_error):
    source, _, _ = spoilt()
    how = {"on_error": on_error, "max_bad": 0.5}
    one, two = (data(source, workers=w, **how).prepare(CUBE, 0) for w in (0, 2))
    assert one.record() == two.record()
    for a, b in zip(
        one.batches("train", epoch=3, shuffle=True), two.batches("train", epoch=3, shuffle=True), strict=True
    ):
        assert a.ids.tolist() == b.ids.tolist()
        assert torch.equal(a.inputs["cube"], b.inputs["cube"])
    ranks = [
        list(one.batches("train", epoch=3, shuffle=True, batch_size=4, rank=r, world=2, drop_last=True)) for r in (0, 1)
    ]
    assert [len(b) for b in ranks[0]] == [len(b) for b in ranks[1]] == [2, 2, 2]


def test_statistics_are_learnt_from_the_readable_rows(data):
    source, bad, rows = spoilt()
    prepared = data(source, on_error="skip", max_bad=0.5).prepare(CUBE, 0)
    good = [r for r in rows["train"] if r not in bad]
    pixels = np.concatenate([source.arrays[i][:, source.masks[i]] for i in good], 1) / 65535
    assert np.allclose(prepared.streams["cube"].mean, pixels.mean(1), rtol=1e-6)


def test_the_run_stops_above_the_quota_and_tells_below_it(data):
    source, bad, _ = spoilt()
    source.arrays[bad[0]] = "not an array"
    with pytest.raises(
        DataError, match=r"5 of 24 samples can't be read \(20\.83%\): 4 x its mask is all zero.*data\.max_bad=0\.2"
    ):
        data(source, on_error="skip", max_bad=0.2).prepare(CUBE, 0)
    prepared = data(source, on_error="skip", max_bad=0.21).prepare(CUBE, 0)
    assert prepared.notes[-1].startswith(
        "data.on_error=skip: 5 of 24 samples can't be read (20.83%): 4 x its mask is all"
    )
    assert f"the first: sample 's{bad[0]:02d}'" in prepared.notes[-1]
    assert set(prepared.record()["bad"]) == {f"s{row:02d}" for row in bad}
    assert sum(prepared.bad.reasons().values()) == 5
    assert len(prepared.bad.reasons()) == 2


def test_what_was_readable_at_first_and_is_not_later_stops_the_run(data):
    source = Made()
    prepared = data(source, on_error="skip", max_bad=1.0).prepare(CUBE, 0)
    source.masks[5][:] = False
    with pytest.raises(DataError, match="'s05'"):
        list(prepared.batches("all"))


def test_a_new_set_with_bad_files_can_be_embedded(data):
    kept = data().prepare(CUBE, 0).record()
    source, bad, _ = spoilt()
    prepared = data(source, on_error="skip", max_bad=0.5).prepare(CUBE, 0, kept)
    assert (~torch.cat([b.present["cube"] for b in prepared.batches("all")])).sum() == len(bad)


def test_a_file_with_a_bad_header_is_a_row_like_any_other(data, tmp_path):
    for i in range(12):
        cube = np.random.default_rng(i).integers(0, 4000, (2, 6, 6), dtype=np.uint16)
        tifffile.imwrite(tmp_path / f"s{i:02d}.tif", cube, photometric="minisblack", planarconfig="separate")
    (tmp_path / "s03.tif").write_bytes(b"II*\0 nothing more")
    tifffile.imwrite(
        tmp_path / "s07.tif", np.zeros((2, 6, 6), np.uint8), photometric="minisblack", planarconfig="separate"
    )
    made = card(["R", "UV"])
    with pytest.raises(DataError, match=r"s03\.tif"):
        Tiff(str(tmp_path), card=made)
    source = Tiff(str(tmp_path), card=made, on_error="skip")
    assert len(source.samples) == 12

    cube = {"cube": CUBE["cube"]}
    prepared = data(source, on_error="skip", max_bad=0.2, labels=[], split=Split()).prepare(cube, 0)
    assert prepared.record()["bad"].keys() == {"s03", "s07"}
    present = torch.cat([b.present["cube"] for b in prepared.batches("all")])
    assert present.tolist() == [i not in (3, 7) for i in range(12)]
    for path in tmp_path.glob("*.tif"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="12 files, none of which can be read"):
        Tiff(str(tmp_path), card=made, on_error="skip")


@pytest.mark.parametrize("on_error", ["skip", "substitute"])
def test_a_decoder_that_crashes_hangs_or_exits_makes_one_bad_sample(data, monkeypatch, on_error):
    monkeypatch.setattr(bad_module, "TIMEOUT", 1.0)
    main = os.getpid()
    faults = {
        7: lambda: os.kill(os.getpid(), signal.SIGKILL),
        8: lambda: os._exit(3),
        11: lambda: time.sleep(600),
        23: lambda: sys.exit("a reader that gives up"),
    }

    class Fatal(Made):
        def read(self, index, streams):
            if index in faults:
                assert os.getpid() != main, "a sample that kills was read by the main process"
                faults[index]()
            return super().read(index, streams)

    prepared = data(Fatal(), on_error=on_error, max_bad=0.2).prepare(CUBE, 0)
    told = prepared.record()["bad"]
    assert set(told) == {"s07", "s08", "s11", "s23"}
    assert told["s07"] == "sample 's07' (dir/s07.tif): reading it ends the process: killed by SIGKILL"
    assert told["s08"].endswith("exited with code 3")
    assert told["s11"].endswith("nothing came in 1 s")
    for split in ("all", "train"):
        assert len(list(prepared.batches(split, shuffle=split == "train", epoch=0)))


def test_the_first_samples_set_what_the_others_are_like_even_after_a_crash(data):
    main = os.getpid()

    class Fatal(Made):
        def read(self, index, streams):
            if index == 1 and os.getpid() != main:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().read(index, streams)

    source = Fatal()
    source.arrays[2] = source.arrays[2].astype("float64")
    prepared = data(source, on_error="skip", max_bad=0.2).prepare(CUBE, 0)
    assert prepared.record()["bad"].keys() == {"s01", "s02"}


def test_a_sample_is_named_though_its_id_stands_in_the_message(data):
    source, said = Made(), "6 x 6 pixels, expected data.size 5"
    source.samples["id"] = [said[i:] for i in range(len(source.samples))]
    with pytest.raises(DataError, match=rf"^sample '.*' \(dir/s\d\d.tif\): {said}"):
        data(source, size=5, resize="none").prepare({"rgb": {"kind": "image", "bands": ["R", "G"]}}, 0)


def test_one_bad_file_never_stops_a_small_set(data):
    source = Made(12)
    source.masks[5][:] = False
    prepared = data(source, on_error="skip", max_bad=0.001).prepare(CUBE, 0)
    assert list(prepared.record()["bad"]) == ["s05"]
    source.masks[4][:] = False
    with pytest.raises(DataError, match=r"2 of 12 samples .*data\.max_bad=0\.001 .*\(nearest: data\.max_bad=0\.167\)"):
        data(source, on_error="skip", max_bad=0.001).prepare(CUBE, 0)


@pytest.mark.parametrize("seed", range(3))  # whichever split they fall in
def test_the_first_refusal_counts_the_bad_samples_and_names_the_key(data, seed):
    source = Made()
    for row in (3, 7):
        source.masks[row][:] = False
    split = Split(by="group", train=0.5, val=0.25, test=0.25, seed=seed)
    with pytest.raises(DataError, match=r"all zero.*\(2 of 24 samples can't be read; data\.on_error=skip"):
        data(source, split=split).prepare(CUBE, 0)
    for mask in source.masks:
        mask[:] = False
    with pytest.raises(DataError, match=r"no pixel is left$"):
        data(source, split=split).prepare(CUBE, 0)


def test_the_first_refusal_of_a_folder_counts_its_bad_files(tmp_path):
    from PIL import Image

    from multimodal_lab.data.readers.images import Images

    for i in range(5):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / f"{i}.png")
    for i in (1, 3):
        (tmp_path / f"{i}.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    said = r"1\.png: a pointer of Git LFS .* \(2 of 5 files can't be read; data\.on_error=skip .*data\.max_bad\)"
    with pytest.raises(DataError, match=said):
        Images(str(tmp_path))
