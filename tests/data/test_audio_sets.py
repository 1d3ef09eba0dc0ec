"""Folders of sounds, windows of long ones, ESC's folds, AudioCaps and Clotho: files and splits as published."""

import made_sounds
import numpy as np
import pytest
from made_sounds import RATE, noise, sound

from multimodal_lab.config import schema
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.audio import Audio
from multimodal_lab.data.readers.esc import Esc
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import NoScaling
from multimodal_lab.types import Band, Stream

MONO = (Band("mono"),)


def stream(**facts):
    return Stream("audio", "vector", MONO, **facts)


def test_a_folder_of_classes(tmp_path):
    source = made_sounds.audio(tmp_path)
    assert source.samples["id"].tolist() == ["dog/0", "dog/2", "rain/1", "rain/3"]
    assert source.samples["class"].tolist() == ["dog", "dog", "rain", "rain"]
    assert source.samples["path"].tolist() == source.samples["audio"].tolist()
    np.testing.assert_allclose(source.read(1, [stream()]).inputs["audio"][0], noise(2, 1000), atol=1e-4)
    inferred = Audio(str(tmp_path), labels=Labels(pattern="auto"))
    assert inferred.samples["folder"].tolist() == ["dog", "dog", "rain", "rain"]


def test_windows_of_one_file_stay_in_one_split_and_hold_its_values(tmp_path):
    whole = {name: sound(tmp_path / f"{name}.wav", i, 1600, subtype="FLOAT") for i, name in enumerate("abcdef")}
    source = Audio(str(tmp_path), windows=Windows(0.08, 0.04))
    assert source.samples["id"].tolist()[:4] == ["a#0", "a#1", "a#2", "a#3"]
    assert source.samples["recording"].tolist() == [name for name in "abcdef" for _ in range(4)]
    for row in (0, 3, 5):
        name, start = source.samples["recording"][row], round(source.samples["start"][row] * RATE)
        np.testing.assert_array_equal(source.read(row, [stream()]).inputs["audio"][0], whole[name][start : start + 640])
        assert source.read(row, [stream(rate=4000)]).inputs["audio"].shape == (1, 320)
    data = Data(source, scaling=NoScaling(), split=Split(by="auto"), labels="auto", root=str(tmp_path))
    found = data.prepare({"audio": {"kind": "vector", "bands": "all", "steps": None}}, 0)
    homes = {name: {source.samples["recording"][i] for i in rows} for name, rows in found.splits.items()}
    assert not homes["train"] & homes["test"]
    assert not homes["train"] & homes["val"]
    assert found.facts["labels"] == []


def test_a_file_shorter_than_the_window(tmp_path):
    sound(tmp_path / "long.wav", 0, 1600, subtype="FLOAT")
    short = sound(tmp_path / "short.wav", 1, 400, subtype="FLOAT")
    with pytest.raises(DataError, match=r"short\.wav has 0\.05 seconds, and a window 0\.1: expected .*at most 0\.05, or "
                       r"data\.source\.windows\.shorter=whole or drop"):  # fmt: skip
        Audio(str(tmp_path), windows=Windows(0.1))
    kept = Audio(str(tmp_path), windows=Windows(0.1, shorter="whole"))
    assert kept.samples["id"].tolist() == ["long#0", "long#1", "short#0"]
    np.testing.assert_array_equal(kept.read(2, [stream()]).inputs["audio"][0], short)
    assert "1 of 2 recordings are shorter than a window and are one sample each" in " ".join(kept.notes)
    left = Audio(str(tmp_path), windows=Windows(0.15, shorter="drop"))
    assert left.samples["id"].tolist() == ["long#0"]
    assert "left out" in " ".join(left.notes)
    assert "ends that fill no whole window are left out" in " ".join(left.notes)
    with pytest.raises(DataError, match="all files are shorter"):
        Audio(str(tmp_path), windows=Windows(1.0, shorter="drop"))


@pytest.mark.parametrize("layout", ["esc", "esc_lines"])
def test_the_folds_of_esc(tmp_path, layout):
    made_sounds.esc(tmp_path)
    source = getattr(made_sounds, layout)(tmp_path, fold=5)
    split = source.samples.set_index("fold")["split"].groupby(level=0).agg(lambda s: "/".join(set(s)))
    assert split.to_dict() == {1: "val", 2: "train", 3: "train", 4: "train", 5: "test"}
    assert source.samples["category"].tolist()[:4] == ["dog", "dog", "rain", "rain"]
    assert source.samples["clip"].tolist()[:3] == ["100", "100", "101"]
    other = Esc(str(tmp_path), fold=2, val_fold=4).samples
    assert other[other["split"] == "val"]["fold"].unique().tolist() == [4]
    with pytest.raises(DataError, match=r"val_fold: 2, which is data\.source\.fold, too"):
        Esc(str(tmp_path), fold=2, val_fold=2)


def test_a_recording_in_two_folds_is_refused(tmp_path):
    made_sounds.esc(tmp_path)
    table = tmp_path / "meta/esc50.csv"
    table.write_text(table.read_text().replace("1-100-B-0.wav,1,", "1-100-B-0.wav,2,"))
    with pytest.raises(
        DataError, match=r"1-100-A-0\.wav and .*1-100-B-0\.wav are cut from one recording, .*the folds 1 and 2"
    ):
        Esc(str(tmp_path))


def test_clips_of_audiocaps_are_found_by_any_name(tmp_path):
    source = made_sounds.audiocaps(tmp_path)
    assert source.samples["audio"].tolist() == [
        "train/Yabc.wav", "train/-de_f.flac", "val/ghi_30.wav", "test/Yjkl_40000.wav", "test/mno_0_10.wav",
    ]  # fmt: skip
    assert source.samples["split"].tolist() == ["train", "train", "val", "test", "test"]
    assert source.samples["caption"].tolist()[2:4] == [["Wind", "Wind blows"], ["A car", "A car passes"]]
    assert "1 of 6 rows (16.67%) are left out" in " ".join(source.notes)
    assert source.read(1, [stream(rate=16000)]).inputs["audio"].shape == (1, 800)
    rows = made_sounds.audiocaps(tmp_path, rows="caption")
    assert rows.samples["caption"].tolist()[2:4] == ["Wind", "Wind blows"]
    assert rows.together == "audio"
    with pytest.raises(DataError, match=r"no file 'gone\.wav'"):
        made_sounds.audiocaps(tmp_path, missing="refuse")


def test_the_folders_of_clotho(tmp_path):
    source = made_sounds.clotho(tmp_path)
    assert source.samples["split"].tolist() == ["train", "train", "val", "test"]
    assert source.samples["audio"][1] == "development/development 1.wav"
    assert source.samples["caption"][3] == [f"evaluation 0, said {k}" for k in range(5)]
    assert len(made_sounds.clotho(tmp_path, rows="caption").samples) == 20
    (tmp_path / "clotho_captions_development.csv").unlink()
    with pytest.raises(DataError, match=r"no clotho_captions_development\.csv, there or in a folder below"):
        made_sounds.clotho.__globals__["Clotho"](str(tmp_path))


@pytest.mark.parametrize("words", [("audio", "audio"), ("esc10", "audio"), ("esc50", "audio"), ("audiocaps", "audio_text"),
                                   ("clotho", "audio_text"), ("tuxpaint_sound", "image_text_sound")],
                         ids=lambda w: w[0])  # fmt: skip
def test_a_command_of_each_passes_the_check(composed, words):
    data, modality = words
    towers = ["+backbone@backbones.audio=temporal_conv", "+backbone@backbones.sound=temporal_conv"]
    texts = ["+backbone@backbones.text=text", "+backbone@backbones.en=text"]
    own = {"audio": [towers[0]], "audio_text": [towers[0], texts[0]], "image_text_sound": [towers[1], texts[1]]}
    cfg = composed(f"data={data}", f"modality={modality}", "data.root=/x", *own[modality], "fusion=separate", "loss=clip",
                   "augment=none", small=False)  # fmt: skip
    problems = [str(p) for p in schema.check(cfg)]
    assert not [p for p in problems if "data" in p.split(":")[0]], problems
