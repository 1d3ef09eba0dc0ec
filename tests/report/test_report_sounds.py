"""The page of separated sounds and the curve of offsets, from the files of a run with known truth."""

import base64
import io
import json
import re
import wave

import numpy as np
import pandas as pd
import pytest
from contract import evaluator, sounding

from multimodal_lab.evaluate import sound_samples
from multimodal_lab.evaluate.separated import pairs, separated
from multimodal_lab.evaluate.separation import Separation
from multimodal_lab.report import figures
from multimodal_lab.report.listening.wav import gain, wav
from multimodal_lab.report.offsets import curve


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A run directory with what the page shows, and the scores of all mixtures."""
    folder, (_, test), (data, system) = tmp_path_factory.mktemp("run"), evaluator.embeddings(), sounding.run()
    own = Separation()
    scores = own(test, data, system, "cpu")
    assert sound_samples.save(system, data, test, "cpu", folder / sound_samples.FILE, own)
    (folder / "scores").mkdir()
    own.tables[0].frame.to_csv(folder / "scores" / "separation.csv", index=False)
    return folder, scores


def test_a_page_plays_what_was_scored(judged):
    folder, scores = judged
    (path,) = figures.draw(folder, ["separation"])
    text = path.read_text()
    assert path.name == "separation_separator.html"
    sounds = re.findall(r"data:audio/wav;base64,([A-Za-z0-9+/=]+)", text)
    assert len(sounds) == sound_samples.MOST * 5  # the mixture, two truths, two estimates
    with wave.open(io.BytesIO(base64.b64decode(sounds[0]))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (20, 1, 40)
        played = np.frombuffer(file.readframes(40), dtype="<i2") / 32767
    found = np.load(folder / sound_samples.FILE)
    true, mixed = found["separator.sources"][0], found["separator.mixture"][0]
    np.testing.assert_allclose(played, mixed * gain(mixed, *true, *found["separator.estimates"][0]), atol=1e-4)
    np.testing.assert_allclose(mixed, true.sum(0), atol=1e-5)
    told = json.loads(found["facts"].tobytes())["heads"]["separator"]
    table = pd.read_csv(folder / "scores" / "separation.csv").set_index("id")
    for ids, own in zip(told["ids"], told["si_sdr"], strict=True):
        np.testing.assert_allclose(table["si_sdr"][ids], own, atol=1e-3)
        assert table["mixed_with"][ids].tolist() == ids[::-1]
    assert f"SI-SDR {told['si_sdr'][0][0]:.1f} dB" in text
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert scores["separation/audio/n"] == len(table)


def test_a_run_without_sounds_says_so(tmp_path, caplog):
    assert figures.draw(tmp_path, ["separation", "offsets"]) == []
    assert "head=separator" in caplog.text
    assert "head=sync" in caplog.text


def test_a_mixture_is_one_and_the_same_for_both_and_its_estimates_fit_their_sources():
    data, system = sounding.run()
    (own,) = separated(system, "separator", data, "cpu", np.array([[1, 2], [3, 7], [5, 6]]), snr=6.0)
    assert own.rows.tolist() == [[1, 2], [5, 6]]  # 7 has no sound
    np.testing.assert_allclose(own.mixture, own.sources.sum(1), atol=1e-6)
    levels = 10 * np.log10((own.sources**2).sum(2))
    np.testing.assert_allclose(levels[:, 0] - levels[:, 1], 6.0, atol=1e-3)
    assert np.abs(own.estimates[:, 0] - own.estimates[:, 1]).max() > 1e-4  # it is asked for either


def test_pairs_are_of_two_classes_and_each_sound_is_in_one():
    labels = np.random.default_rng(0).integers(-1, 3, 60)
    found = pairs(np.arange(60) + 100, labels, 0)
    assert len(np.unique(found)) == found.size
    assert (labels[found - 100] >= 0).all()
    assert (labels[found[:, 0] - 100] != labels[found[:, 1] - 100]).all()
    assert found.size >= 0.8 * (labels >= 0).sum()
    assert len(pairs(np.arange(7), None, 0)) == 3
    assert pairs(np.arange(4), np.zeros(4), 0).shape == (0, 2)


def test_the_curve_is_the_mean_along_diagonals_and_a_wave_is_not_clipped():
    scores = np.arange(9.0).reshape(3, 3)
    assert curve(scores).tolist() == [6.0, (3 + 7) / 2, 4.0, (1 + 5) / 2, 2.0]
    with pytest.raises(ValueError, match=r"expected \(T,\) finite values within \[-1, 1\]"):
        wav(np.array([0.5, 1.2]), 8000)
    assert np.abs(gain(np.array([0.5]), np.array([-4.0])) * np.array([-4.0])).max() <= 1
