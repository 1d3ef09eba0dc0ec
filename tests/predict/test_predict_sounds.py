"""A run on sounds and captions is asked by files, arrays and their rates; its pages play what they show."""

import json
import re
import sys

import numpy as np
import pytest
import soundfile
import torch

from multimodal_lab.data.readers.audio_file import resample
from multimodal_lab.data.source import DataError
from multimodal_lab.data.spectrogram_plot import SIDE, spectrogram
from multimodal_lab.evaluate import clips
from multimodal_lab.evaluate.clips import URI
from multimodal_lab.predict import __main__ as command
from multimodal_lab.predict.predictor import Predictor
from multimodal_lab.report.explorer import source, write

N, RATE = 20, 8000
WORDS = [
    "data=pairs", "modality=audio_text", "modality.audio.rate=4000", "modality.text.tokens=word",
    "backbone=temporal_conv", "backbone.widths=[8,8]", "+backbone@backbones.text=text", "fusion=separate", "loss=clip",
    "augment=none", "evaluate=[collapse]",
]  # fmt: skip


def tone(i, rate=RATE):
    """0.2 s of a tone of its own."""
    return 0.4 * np.sin(2 * np.pi * (300 + 40 * i) * np.arange(int(0.2 * rate)) / rate).astype(np.float32)


@pytest.fixture(scope="module")
def trained(made_run, tmp_path_factory):
    where = tmp_path_factory.mktemp("sounds")
    (where / "data").mkdir()
    for i in range(N):
        soundfile.write(where / f"data/{i}.wav", tone(i), RATE, subtype="FLOAT")
    rows = [{"id": f"r{i}", "audio": f"{i}.wav", "caption": f"tone {i}"} for i in range(N)]
    (where / "data/index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return made_run(where, *WORDS)


@pytest.fixture(scope="module")
def predictor(trained):
    return Predictor(trained[0], "cpu")


def test_files_arrays_and_arrays_with_a_rate_are_one_sound(trained, predictor):
    _, kept = trained
    path = kept / "3.wav"
    (own,) = predictor.embed(audio=path).vectors["audio"]
    at_rate = resample(tone(3)[None], RATE, 4000)
    both = predictor.embed(audio=[str(path), (tone(3), RATE), (tone(3)[None], RATE), at_rate, None, (tone(9), RATE)],
                           text=["a"] * 6)  # fmt: skip
    found = both.vectors["audio"]
    for i in range(4):
        np.testing.assert_allclose(found[i], own, atol=1e-5)
    assert both.present["audio"].tolist() == [True] * 4 + [False, True]
    assert np.abs(found[5] - own).max() > 1e-3
    np.testing.assert_allclose(
        predictor.embed(audio=(torch.from_numpy(tone(3)), RATE)).vectors["audio"][0], own, atol=1e-5
    )


def test_what_is_no_sound_is_refused(trained, predictor, tmp_path):
    soundfile.write(tmp_path / "two.wav", np.stack([tone(1)] * 2, 1), RATE)
    (tmp_path / "no.wav").write_text("no sound")
    assert predictor.embed(audio=tmp_path / "two.wav").present["audio"].all()  # a stream of one channel takes the mean
    for given, said in (
        (tmp_path / "no.wav", r"no\.wav: not a whole, readable sound"),
        (tmp_path / "no.png", r"no\.png, expected the file of a sound"),
        ((tone(1).astype(np.int16), RATE), "int16 .*expected floats"),
        ((tone(1), -1), "-1 Hz, expected floats"),
    ):
        with pytest.raises(DataError, match=said):
            predictor.embed(audio=given)


def test_sounds_are_queries_and_results_of_a_page_that_plays_them(trained, tmp_path, monkeypatch, capsys):
    run, kept = trained
    for words in ([f"query={kept / '2.wav'}"], ["query=tone 2", "of=audio"]):
        out = tmp_path / "page.html"
        monkeypatch.setattr(sys, "argv", ["predict", "retrieve", f"run={run}", *words, "top_k=3", f"out={out}"])
        command.main()
        text = out.read_text()
        players = re.findall(r'<audio controls preload="none" src="([^"]*)"', text)
        assert len(players) == (1 if "wav" in words[0] else 3)
        assert all(URI.fullmatch(one) for one in players)
        assert "media-src data:" in text
    assert "3 items for 1 query" in capsys.readouterr().out


def test_the_explorer_carries_the_sounds_of_its_samples(trained):
    run, _ = trained
    found = source.read(run)
    assert sorted(found.sounds["audio"]) == list(range(N))
    text = write(run).read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])
    assert len(data["sounds"]["audio"]) == N
    assert data["sounds"]["audio"]["0"] == found.sounds["audio"][0]
    (run / clips.FILE).write_text(json.dumps({"audio": {"0": "javascript:alert(1)"}}))
    with pytest.raises(source.ExplorerError, match=r"sounds\.json: not whole"):
        source.read(run)


def test_a_clip_holds_the_sound(tmp_path, monkeypatch):
    for packages in (True, False):
        monkeypatch.setattr(clips.importlib.util, "find_spec", lambda name, there=packages: there or None)
        made = clips.uri(tone(5)[None], RATE)
        assert made.startswith(f"data:audio/{'mpeg' if packages else 'wav'};base64,")
        file = tmp_path / "clip"
        file.write_bytes(__import__("base64").b64decode(made.partition(",")[2]))
        heard, rate = soundfile.read(file)
        power = np.abs(np.fft.rfft(heard[:1600]))
        assert rate == RATE
        assert abs(power.argmax() * rate / 1600 - 500) < 20


def test_a_spectrogram_is_bright_where_the_tone_is():
    x = torch.from_numpy(np.stack([tone(0, 16000), tone(90, 16000)]))[:, None]  # 300 and 3900 Hz
    x[1, :, 1600:] = torch.nan  # padded
    picture = spectrogram(x, 16000.0)
    assert picture.shape == (2, 3, SIDE, SIDE)
    assert ((picture >= 0) & (picture <= 1)).all()
    rows = picture.sum(1)[:, :, 8:24].mean(2).argmax(1)  # from the top

    def row(f):
        mel = [2595 * np.log10(1 + g / 700) for g in (40, f, 8000)]
        return SIDE - 1 - int((mel[1] - mel[0]) / (mel[2] - mel[0]) * SIDE)

    assert abs(int(rows[0]) - row(300)) <= 1
    assert abs(int(rows[1]) - row(3900)) <= 1
    assert picture[1, :, :, 40:].max() < 0.1
    assert spectrogram(torch.zeros(1, 1, 4000), 8000.0).max() < 0.1
