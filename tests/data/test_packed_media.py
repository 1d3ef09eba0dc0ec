"""A packed store of sounds, videos and tables of both gives the batches of the files, or is refused before it is begun."""

import json
from dataclasses import asdict

import made_sounds
import made_videos
import numpy as np
import pytest
from made_series import Series

from multimodal_lab.adapt import trained
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, probe, reader, writer
from multimodal_lab.data.readers import video_file
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.readers.joined import Joined
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams import taken_frames
from multimodal_lab.data.streams.own_scaling import OwnScaling
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.data.streams.scaling import DatasetStats, DtypeMax, NoScaling
from multimodal_lab.predict.expected import Expected
from multimodal_lab.predict.files import Files
from multimodal_lab.types import Band, Stream

SIZE = 16
SOUND = {"kind": "vector", "bands": "all", "steps": None, "longer": "cut"}
CLIP = {"kind": "image", "bands": "all", "steps": None}


def table(folder, **options):
    """Rows of a video with its sound, a sound of another rate, and a text; each lacks something."""
    rows = []
    for i in range(6):
        row = {"id": f"r{i}", "sort": "ab"[i % 2], "caption": [f"words {i}", "more"]}
        if i != 0:
            made_videos.write(folder / f"{i}.mp4", 6 + i, sound="aac" if i != 2 else None)
            row["clip"] = f"{i}.mp4"
        if i != 1:
            made_sounds.sound(folder / f"{i}.wav", i, 400 + 50 * i, channels=1 + (i == 3), rate=(8000, 4000)[i % 2])
            row["speech"] = f"{i}.wav"
        rows.append(row)
    (folder / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    usual = {
        "missing": "keep",
        "channels": {"clip": "mono", "speech": "mono"},
        "rate": 4000,
        "no_sound": "missing",
        "frames": Frames(4),
    }
    return Pairs(str(folder), **{**usual, **options})


def windows(folder):
    made_sounds.audio(folder)
    return made_sounds.Audio(str(folder), windows=Windows(length=0.05, shorter="drop"), rate=6000)


def joined(folder):
    """Videos beside two sensors: bands of three fields, of which the store needs all."""
    series = Series()
    series.field_bands = {"": series.bands}
    series.samples["id"] = [f"r{i}" for i in range(16)]
    return Joined({"series": series, "pair": table(folder)}, root=str(folder))


CASES = {
    "table": (table, {"clip": CLIP, "clip_sound": {**SOUND, "field": "clip.audio"}, "speech": SOUND,
                      "caption": {"kind": "text", "length": 6}}),
    "windows": (windows, {"audio": SOUND}),
    "clotho": (made_sounds.clotho, {"audio": SOUND, "caption": {"kind": "text", "length": 6}}),
    "clips": (lambda folder: table(folder, frames=Frames(3, "clip", clips=2)), {"clip": CLIP}),
    "joined": (joined, {"clip": {**CLIP, "field": "pair.clip"}, "speech": SOUND, "series": SOUND}),
}  # fmt: skip


def packed(source, folder):
    mark = fingerprint(source, str(folder))
    plan = writer.begin(source, probe.probe(source, Resize(SIZE, "area", "pad")), folder / "store", {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, mark, {}, {}, "report")
    return reader.Packed(str(folder / "store"))


def prepared(source, modality, folder, frozen=None, **choices):
    by = "recording" if "recording" in source.samples else None
    split = Split(by=by, train=0.7, val=0, test=0.3)
    facts = {"scaling": NoScaling(), "split": split, "labels": [], "batch_size": 4}
    return Data(source, **{**facts, "size": SIZE, "root": str(folder), **choices}).prepare(modality, 0, frozen)


@pytest.mark.parametrize("name", CASES)
def test_batches_are_those_of_the_files(name, tmp_path):
    make, modality = CASES[name]
    source = make(tmp_path)
    store = packed(source, tmp_path)
    scaling = (
        OwnScaling({"series": DatasetStats(), "pair": DtypeMax()}).filled(source) if name == "joined" else NoScaling()
    )
    made = [prepared(one, modality, tmp_path, scaling=scaling) for one in (source, store)]
    assert made[0].fingerprint == made[1].fingerprint
    assert made[0].streams == made[1].streams
    rows = np.arange(len(source.samples))
    a, b = (one.batch(rows).named() for one in made)
    assert a.keys() == b.keys()
    for key, x in a.items():
        np.testing.assert_array_equal(x, b[key], err_msg=key)


def test_a_run_of_the_files_sees_their_store_as_it_was_trained(tmp_path):
    source = joined(tmp_path)
    modality = {"clip": {**CLIP, "field": "pair.clip"}, "speech": SOUND}
    own = OwnScaling({"series": DatasetStats(), "pair": DtypeMax()}).filled(source)
    record = json.loads(json.dumps(prepared(source, modality, tmp_path, scaling=own).record()))
    store = packed(source, tmp_path)
    for scaling in (own, DtypeMax()):  # what a stream is scaled by counts, not what its source is called
        prepared(store, modality, tmp_path, scaling=scaling, frozen=record)
        here = prepared(store, modality, tmp_path, scaling=scaling)
        for name in modality:  # and so does one that starts from its encoders
            trained.require_same_inputs(trained.Trained(tmp_path, record, {}, tmp_path), name, here, name)
    with pytest.raises(DataError, match=r"scaling: stream clip is scaled by .*DatasetStats.* trained with .*DtypeMax"):
        prepared(
            store, {"clip": modality["clip"]}, tmp_path, scaling=OwnScaling({"pair": DatasetStats()}), frozen=record
        )


def test_frames_scaled_as_they_were_packed_are_of_that_size_alone(tmp_path):
    store = packed(table(tmp_path), tmp_path)
    with pytest.raises(DataError, match=r"data\.size: frames of stream clip are asked for at size=12, .*at size=16"):
        prepared(store, {"clip": CLIP}, tmp_path, size=12)


@pytest.mark.parametrize(("name", "field"), [("table", "clip"), ("joined", "pair.clip")])
def test_a_store_knows_which_frames_it_holds_and_no_run_takes_others_for_them(name, field, tmp_path):
    modality = {"clip": {**CLIP, "field": field}}
    source = CASES[name][0](tmp_path)
    store = packed(source, tmp_path)
    choices = {"scaling": DtypeMax()}
    record = json.loads(json.dumps(prepared(store, modality, tmp_path, **choices).record()))
    assert record["streams"]["clip"]["frames"] == asdict(Frames(4))
    assert record["streams"]["clip"] == prepared(source, modality, tmp_path, **choices).record()["streams"]["clip"]
    finalize.require_same(tmp_path / "store", source, store.fingerprint, Resize(SIZE, "area", "pad").keys())
    (tmp_path / "other").mkdir()
    made = table(tmp_path, frames=Frames(4, "dense", stride=2))
    other = packed(made, tmp_path / "other")
    other_modality = {"clip": CLIP}
    said = "holds the frames of sampling=dense, stride=2, but the run was trained with sampling=uniform, stride=1; pack"
    with pytest.raises(DataError, match=said):
        prepared(other, other_modality, tmp_path, frozen=record, **choices)
    prepared(made, other_modality, tmp_path, frozen=record, **choices)  # which the config itself says
    here = prepared(other, other_modality, tmp_path, **choices)
    assert taken_frames.difference(asdict(Frames(4)), asdict(Frames(4, clips=3, short="pad"))) == ("", "")
    for size, by, told in ((SIZE, made, "frames of sampling=uniform, stride=1, and sampling=dense"),
                           (12, table(tmp_path), "frames at size=16")):  # fmt: skip
        if name == "table":
            with pytest.raises(DataError, match=f"a store of .*{told}"):
                finalize.require_same(tmp_path / "store", by, store.fingerprint, Resize(size, "area", "pad").keys())
    with pytest.raises(DataError, match="a store of other data, or of other choices"):
        finalize.require_same(tmp_path / "other/store", made, "2:0", Resize(SIZE, "area", "pad").keys())
    assert here.record()["streams"]["clip"]["frames"]["sampling"] == "dense"


def test_a_run_on_a_store_is_asked_by_sounds_and_videos_of_which_it_takes_the_frames_that_it_knows(tmp_path):
    made_sounds.sound(tmp_path / "a.wav", 1, 500)
    made_videos.write(tmp_path / "a.mp4", 6)
    node = {"_target_": "multimodal_lab.data.packed.reader.Packed", "root": "gone", "limits": {"bytes": 1}}
    files = Files({**node, "limits": None}, tmp_path / "links")
    (tmp_path / "links").mkdir()
    heard = Expected("audio", "vector", (Band("mono"),), "", {}, steps=500, rate=4000.0)
    (found,) = files.sounds([tmp_path / "a.wav"], heard)
    assert found.source.read(0, [Stream("audio", "vector", (Band("mono"),), rate=4000.0)]).inputs["audio"].shape == (
        1,
        250,
    )
    seen = Expected("clip", "image", video_file.bands_of("rgb"), "", {}, 3, None, asdict(Frames(3, "clip", clips=2)))
    (found,) = files.videos([tmp_path / "a.mp4"], seen)  # of several clips that in the middle
    frames = found.source.read(found.row, [Stream("video", "image", seen.bands, steps=3)]).inputs["video"]
    assert made_videos.brightness(frames) == [1, 2, 3]
    with pytest.raises(
        DataError, match="stream clip: the run read its frames from a store of an earlier version, which"
    ):
        Files(node, tmp_path / "links").videos([tmp_path / "a.mp4"], Expected("clip", "image", (), "", {}, steps=4))


def test_what_can_not_be_packed_is_told_before_it_is_begun(tmp_path):
    with pytest.raises(DataError, match=r"sounds of several rates.*data\.source\.rate"):
        probe.probe(table(tmp_path, rate=None))
