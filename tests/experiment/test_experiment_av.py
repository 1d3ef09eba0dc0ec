"""Picture and sound, whole: what is trained is scored, shown and used, and what can't be is one sentence."""

import json
import sys
import wave

import numpy as np
import pandas as pd
import pytest

from multimodal_lab.config import schema
from multimodal_lab.data.synthetic.sounding_objects import SoundingObjects
from multimodal_lab.experiment import run
from multimodal_lab.predict import __main__ as command
from multimodal_lab.predict import load
from multimodal_lab.predict.separate import separate
from multimodal_lab.report.listening.wav import wav
from multimodal_lab.types import Band, Stream

CLIPS = ["data.source.clips=36", "data.source.size=8", "data.source.seconds=1.5", "data.batch_size=12", "log=none"]
SMALL = [*CLIPS, "backbones.audio.widths=[8,8]", "head.width=8", "train.max_steps=2", "train.validate_every=0"]
SEPARATE = ["experiment=av_separation", *SMALL, "head.layers=1"]
MONO = Stream("audio", "vector", (Band("mono"),))


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def by_video(composed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("by_video")
    run.run(composed(*SEPARATE, "backbone.image.widths=[4]", "figures=[]", small=False), folder)
    return folder


@pytest.fixture(scope="module")
def by_class(composed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("by_class")
    run.run(
        composed(
            *SEPARATE,
            "modality=audio",
            "modality.audio.rate=8000",
            "head.condition=class",
            "figures=[separation]",
            small=False,
        ),
        folder,
    )
    return folder


@pytest.fixture
def tell(monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["predict", "separate", *map(str, words)])
        try:
            command.main()
        except SystemExit as end:
            return str(end.code)
        return capsys.readouterr().out

    return call


def test_sync_is_trained_scored_and_shown(composed, tmp_path):
    words = [
        "experiment=av_sync",
        *SMALL,
        "backbone.image.widths=[4]",
        "augment.ops.shift_sound.frames=2",
        "figures=[offsets]",
    ]
    run.run(composed(*words, small=False), tmp_path)
    found, table = summary(tmp_path), pd.read_csv(tmp_path / "scores" / "offsets.csv")
    assert found["sync/audio/n"] == 6
    assert 0 <= found["sync/audio/accuracy"] <= 1
    assert table["offset"].tolist() == [-2, -1, 0, 1, 2]  # the head's offsets are those of the augmentation
    np.testing.assert_allclose(table.filter(like="score@").sum(1), 1, atol=1e-5)
    assert (tmp_path / "figures" / "offsets_sync.png").is_file()


def test_separation_is_scored_and_heard(by_video, by_class):
    for folder in (by_video, by_class):
        found = summary(folder)
        rows = pd.read_csv(folder / "scores" / "separation.csv")
        assert found["separation/audio/n"] == len(rows) > 0
        assert found["separation/audio/si_sdr_improvement"] == pytest.approx(rows["si_sdr_improvement"].mean())
        assert (rows["class"] != rows.set_index("id")["class"][rows["mixed_with"]].to_numpy()).all()
    assert (by_class / "figures" / "separation_separator.html").stat().st_size > 50_000


def test_a_mixture_is_parted_into_files(by_class, by_video, tell, tmp_path):
    pytest.importorskip("soundfile")
    clips = SoundingObjects(clips=8, objects=2, seconds=2.0)
    mixture = clips.read(3, [MONO]).inputs["audio"][0]
    (tmp_path / "mix.wav").write_bytes(wav(mixture, 8000))
    said = tell(f"run={by_class}", f"file={tmp_path}/mix.wav", "sources=[bell,horn]", f"out={tmp_path}/out")
    assert "bell.wav (" in said
    parted = separate(load(by_class, "cpu"), mixture, sources=["bell", "horn"])
    for name, own in zip(("bell", "horn"), parted.sounds, strict=True):
        with wave.open(str(tmp_path / "out" / f"{name}.wav")) as file:
            assert (file.getframerate(), file.getnframes()) == (8000, 16000)
            x = np.frombuffer(file.readframes(16000), dtype="<i2") / 32767
        np.testing.assert_allclose(x, own, atol=2e-3)
    assert len(separate(load(by_class, "cpu"), mixture).names) == 6
    video = clips.read(0, [Stream("video", "image", tuple(Band(b) for b in "RGB"))]).inputs["video"]
    np.save(tmp_path / "a.npy", video[:, :24, ::4, ::4])
    words = [f"run={by_video}", f"file={tmp_path}/mix.wav", f"out={tmp_path}/seen"]
    assert "0.wav (" in tell(*words, f"video=[{tmp_path}/a.npy,{tmp_path}/a.npy]")
    assert tell(*words).startswith("error: this run is asked by video: give video=FILE of each source")
    assert "no class 'bel' of class" in tell(f"run={by_class}", f"file={tmp_path}/mix.wav", "sources=[bel]")
    assert "no file there" in tell(f"run={by_class}", "file=/nowhere.wav")
    assert "is silent" in tell_silent(by_class, tmp_path, tell)


def tell_silent(folder, where, tell):
    (where / "none.wav").write_bytes(wav(np.zeros(8000), 8000))
    return tell(f"run={folder}", f"file={where}/none.wav")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["experiment=av_sync", "~modality.audio", "~backbones.audio"], "compares two streams"),
        (
            ["experiment=av_sync", "+modality.still={kind: image, bands: [R], field: video}", "head.picture=still"],
            "names a stream without a time axis; with one: video, audio",
        ),
        (["experiment=av_separation", "loss.target=batch.targets.source"], "sources"),
        (["experiment=av_separation", "~augment.ops.mix_sounds"], "no stage gives batch.targets.sources"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(composed, words, said):
    found = " ".join(map(str, schema.check(composed(*words, "figures=[]", small=False))))
    assert said in found


@pytest.mark.parametrize("data", ["esc10", "audio"])
def test_real_sounds_are_asked_by_class(composed, data):
    words = [
        "modality=audio",
        f"data={data}",
        "data.root=/sounds",
        "data.labels=[category]",
        "label=category",
        "head.condition=category",
    ]
    assert not schema.check(composed("experiment=av_separation", *words, small=False))
