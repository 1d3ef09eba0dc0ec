"""Columns of videos in a table: frames and sound as streams, clips as rows, memory, and every named policy."""

import json

import h5py
import numpy as np
import pytest
import torch
from made_videos import RATE, brightness, write
from omegaconf import OmegaConf
from PIL import Image

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.same_image import item_rows
from multimodal_lab.data.split.split import Split
from multimodal_lab.experiment import run
from multimodal_lab.serve.pictures import of_sample
from multimodal_lab.types import Stream

VIDEO = {"kind": "image", "bands": "all", "steps": None, "field": "clip"}
SOUND = {"kind": "vector", "bands": "all", "steps": None, "rate": 8000, "field": "clip.audio"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Six videos: the first four of 40 frames and with sound, the fifth of 30 without, the sixth of 40 at another rate."""
    root = tmp_path_factory.mktemp("table")
    rows = []
    for i in range(6):
        write(root / f"v{i}.mkv", 30 if i == 4 else 40, fps=20 if i == 5 else 25, sound="pcm_s16le" if i < 4 else None)
        rows.append(
            {"id": f"r{i}", "clip": f"v{i}.mkv", "caption": f"a {i}", "kind": "ab"[i % 2], "from": i / 10, "to": 1.2}
        )
    (root / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (root / "four.jsonl").write_text("\n".join(map(json.dumps, rows[:4])))
    return root


def table(root, file="four.jsonl", count=8, sampling="uniform", **more):
    how = {k: more.pop(k) for k in list(more) if k in Frames.__dataclass_fields__}
    return Pairs(str(root), file=file, frames=Frames(count, sampling, **how), **more)


def prepared(data, source, modality, **changes):
    changes = {"split": Split(train=0.5, val=0.0, test=0.5), **changes}
    return data(source, **changes).prepare(modality, seed=0)


def test_frames_and_sound_are_streams_of_one_column(root, data):
    source = table(root, count=8, sampling="dense")
    found = prepared(data, source, {"video": VIDEO, "audio": SOUND}, size=12)
    batch = found.batch(np.arange(4))
    assert (found.streams["video"].steps, found.streams["video"].rate) == (8, 25)
    assert (found.streams["audio"].steps, found.streams["audio"].rate) == (8 * 8000 // 25, 8000)  # as long as 8 frames
    assert batch.inputs["video"].shape == (4, 3, 8, 12, 12)
    assert batch.valid["video"].all()
    assert batch.valid["audio"].all()
    assert [b.name for b in found.streams["audio"].bands] == ["mono"]
    only_grey = table(root, count=8, sampling="dense", video_colour="depth")
    stream = Stream("d", "image", only_grey.field_bands["clip"], field="clip")
    assert [b.name for b in stream.bands] == ["depth"]
    assert brightness(only_grey.read(0, [stream]).inputs["d"]) == [*range(16, 24)]


def test_frames_are_decoded_at_the_size_they_are_needed(root, data):
    small = table(root)
    made = prepared(data, small, {"video": VIDEO}, size=6)
    assert made.reader.raw(0).inputs["video"].shape == (3, 8, 4, 6)
    assert made.reader.raw(0).inputs["video"].dtype == np.uint8
    full = prepared(data, table(root, shrink=False), {"video": VIDEO}, size=6)
    assert full.reader.raw(0).inputs["video"].shape == (3, 8, 24, 32)
    a, b = made.batch(np.arange(4)), full.batch(np.arange(4))
    assert torch.equal(a.mask, b.mask)  # two rows above and below are padding
    assert torch.equal(a.mask[0, 0, :, 0], torch.tensor([0.0, 1, 1, 1, 1, 0]))
    assert (a.inputs["video"] - b.inputs["video"]).abs().max() < 1.01 / 255


def test_a_gallery_shows_four_frames(root, data):
    """In two rows, of a depth video too, whatever the number of its frames."""
    found = prepared(data, table(root, count=8, sampling="dense", video_colour="depth"), {"video": VIDEO}, size=32)
    shown = of_sample(found, 0, "video")
    assert shown.shape == (48, 64, 3)
    quarters = [shown[y : y + 24, x : x + 32, 0] for y in (0, 24) for x in (0, 32)]
    assert [brightness(q.reshape(1, 1, 24, 32))[0] for q in quarters] == [16, 18, 20, 22]


def test_memory_keeps_frames_as_they_are_stored(root, data, monkeypatch):
    plain = prepared(data, table(root), {"video": VIDEO}, size=6)
    kept = prepared(data, table(root), {"video": VIDEO}, size=6, cache=True, workers=1)
    assert kept.stack.kept is None
    assert {raw.inputs["video"].dtype.name for raw in kept.reader.kept.values()} == {"uint8"}
    expected = list(plain.batches("train", shuffle=True))
    monkeypatch.setattr(type(kept.reader.source), "read", None)  # nothing is decoded again
    for a, b in zip(expected, kept.batches("train", shuffle=True), strict=True):
        assert torch.equal(a.inputs["video"], b.inputs["video"])


def test_clips_are_rows_of_one_recording_in_one_split(root, data):
    source = table(root, count=4, sampling="clip", clips=3)
    assert list(source.samples["id"][:3]) == ["r0#0", "r0#1", "r0#2"]
    split = Split(train=0.5, val=0.0, test=0.5, by="auto")
    found = prepared(data, source, {"video": VIDEO, "audio": SOUND}, split=split, size=6)
    for split in ("train", "test"):
        whole = source.samples.iloc[found.rows(split)]["recording"].value_counts()
        assert set(whole) == {3}
    stream = Stream("v", "image", source.field_bands["clip"], field="clip")
    parts = [brightness(source.read(i, [stream]).inputs["v"]) for i in range(3)]
    assert parts == [[0, 1, 2, 3], [18, 19, 20, 21], [36, 37, 38, 39]]


def test_a_file_that_several_rows_name_is_one_item(root):
    """Its frames, its sound, and each of its clips."""
    rows = [{"id": f"r{i}", "clip": f"v{v}.mkv", "caption": f"a {i}"} for i, v in enumerate((0, 1, 0))]
    (root / "twice.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for clips, expected in ((1, [0, 1, 0]), (2, [0, 1, 2, 3, 0, 1])):
        source = table(root, "twice.jsonl", count=4, sampling="clip", clips=clips)
        for field in ("clip", "clip.audio"):
            kind = "image" if field == "clip" else "vector"
            stream = Stream(field, kind, source.field_bands[field], steps=4, field=field)
            assert item_rows(source, stream).tolist() == expected, field
        assert source.together == "clip"


def test_a_part_of_a_video_by_columns_of_the_table(root):
    source = table(root, count=None, sampling="dense", pieces={"clip": ["from", "to"]})
    streams = [Stream("v", "image", source.field_bands["clip"], field="clip"),
               Stream("a", "vector", source.field_bands["clip.audio"], field="clip.audio")]  # fmt: skip
    for i in range(4):
        raw = source.read(i, streams)
        first = int(i / 10 * 25)
        assert brightness(raw.inputs["v"]) == [*range(first, 30)]
        assert raw.inputs["a"].shape[1] == pytest.approx((30 - first) / 25 * RATE, abs=1)


@pytest.mark.parametrize(
    ("changes", "modality", "said"),
    [
        (
            {"sampling": "dense"},
            {},
            r"clip: frames of several rates a second: 5 of 25, 1 of 20; .*frames.rate=20 takes them",
        ),
        ({"count": 35}, {}, r"'r4' \(v4.mkv\): .*30 frames, and data.source.frames.count=35"),
        ({}, {"audio": SOUND}, r"'r4' \(v4.mkv\): .*without an audio track; data.source.no_sound=missing"),
        ({"file": "four.jsonl"}, {"rate": 5}, r"modality.video.rate: 5 Hz, .*uniform .*frames.sampling=dense .*rate=5"),
        (
            {"file": "four.jsonl", "sampling": "dense"},
            {"rate": 5},
            r"frames are taken at 25; data.source.frames.rate=5",
        ),
        ({"file": "four.jsonl", "pieces": {"clip": ["from", "late"]}}, {}, r"ends at 9 s, and the video at 1.6 s"),
        ({"file": "four.jsonl", "video_colour": {"klip": "grey"}}, {}, r"video_colour: no column of videos 'klip'"),
        (
            {"file": "four.jsonl", "channels": {"clipp": "mono"}},
            {},
            r"channels: no column of sounds or videos 'clipp'.*: clip",
        ),
        ({"clips": 3}, {}, r"data.source.frames.clips=3 goes with data.source.frames.sampling=clip, found uniform"),
        ({"count": None}, {}, r"frames.count: null takes all frames, which goes with .*dense, found uniform"),
    ],
)
def test_what_can_not_be_used_is_one_error(root, data, changes, modality, said):
    if "pieces" in changes:
        rows = [json.loads(line) | {"late": 9} for line in (root / "four.jsonl").read_text().splitlines()]
        (root / "late.jsonl").write_text("\n".join(map(json.dumps, rows)))
        changes = changes | {"file": "late.jsonl"}
    asked = {"video": VIDEO, **modality} if "audio" in modality else {"video": VIDEO | modality}
    with pytest.raises(DataError, match=said):
        prepared(data, table(root, **({"file": "all.jsonl"} | changes)), asked, size=6).read_all()


@pytest.mark.parametrize(
    ("field", "said"), [(None, "the data name no videos; data.source.video"), ("image", "field 'image' holds pictures")]
)
def test_a_picture_is_no_video(tmp_path, data, field, said):
    Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(tmp_path / "0.png")
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"id": "a", "image": "0.png", "text": "a bird"}) + "\n")
    with pytest.raises(DataError, match=said):
        prepared(data, Pairs(tmp_path, file="pairs.jsonl"), {"video": VIDEO | {"field": field}}, size=6)


def test_a_video_without_sound_may_lack_that_stream(root, data):
    source = table(root, "all.jsonl", no_sound="missing")
    assert "clip: 2 of 6 videos have no audio track: v4.mkv, v5.mkv" in source.notes
    batch = prepared(data, source, {"video": VIDEO, "audio": SOUND}, size=6).batch(np.arange(6))
    assert batch.present["audio"].tolist() == [True] * 4 + [False] * 2
    assert batch.present["video"].all()


def test_videos_of_several_rates_at_one(root, data):
    found = prepared(data, table(root, "all.jsonl", sampling="dense", count=6, rate=5.0), {"video": VIDEO}, size=6)
    assert found.streams["video"].rate == 5
    source = found.reader.source
    stream = Stream("v", "image", source.field_bands["clip"], field="clip")
    assert brightness(source.read(5, [stream]).inputs["v"]) == [8, 12, 16, 20, 24, 28]  # of 20 a second, every fourth


def test_depth_videos_and_sensors_of_one_recording_are_joined(tmp_path, composed):
    """UTD-MHAD's layout: an index, sensors end to end in one file, a video each."""
    draw = np.random.default_rng(0)
    rows = []
    (tmp_path / "depth").mkdir()
    for i in range(4):
        write(tmp_path / f"depth/a{i}.mp4", 20)
        rows.append({"id": f"a{i}", "depth": f"depth/a{i}.mp4", "name": "ab"[i % 2], "caption": "a person", "subject": i // 2 + 1,
                     "n_inertial": 30, "n_skeleton": 12, "inertial_start": 30 * i, "skeleton_start": 12 * i,
                     "split": ["train", "test"][i // 2]})  # fmt: skip
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with h5py.File(tmp_path / "sensors.h5", "w") as file:
        file["inertial"], file["skeleton"] = draw.normal(size=(120, 6)), draw.normal(size=(48, 20, 3))
    words = [f"data.root={tmp_path}", "data.size=8", "data.batch_size=2", "train.max_steps=2", "log=none", "figures=[]"]
    cfg = composed("experiment=video_sensor", *words, small=False)
    found = safe_instantiate(cfg.data).prepare(OmegaConf.to_container(cfg.modality, resolve=True), seed=0)
    assert {split: list(found.samples["subject"].iloc[rows]) for split, rows in found.splits.items() if len(rows)} == {
        "train": [1, 1], "test": [2, 2],
    }  # fmt: skip
    batch = found.batch(np.arange(4))
    assert batch.inputs["depth"].shape == (4, 1, 16, 8, 8)
    assert batch.inputs["skeleton"].shape == (4, 57, 125)  # 19 joints from the hip centre
    assert batch.valid["inertial"].sum(1).tolist() == [30] * 4
    assert 0 < batch.inputs["depth"].max() <= 1
    assert {raw.inputs["depth"].dtype.name for raw in found.reader.kept.values()} == {"uint8"}
    run.run(cfg, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["cost/steps"] == 2
    rows[3]["subject"] = 1
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"subject '1' is in both train and test of column split"):
        safe_instantiate(cfg.data).prepare(OmegaConf.to_container(cfg.modality, resolve=True), seed=0)
