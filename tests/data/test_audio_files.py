"""Sounds of a table and of files: what is read equals what was written, and bad files are one sentence."""

import json
import pickle

import numpy as np
import pytest
import soundfile
import soxr
from made_sounds import RATE, noise

from multimodal_lab.data.audit.offered import offered
from multimodal_lab.data.readers import audio_file
from multimodal_lab.data.readers.audio_file import read_header, read_sound
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.same_image import item_rows
from multimodal_lab.data.streams.source_bands import asked_bands
from multimodal_lab.types import Band, Stream

MONO, STEREO = (Band("mono"),), (Band("left"), Band("right"))


def write(root, rows, **sounds):
    (root / "s").mkdir(exist_ok=True)
    for name, (values, rate) in sounds.items():
        soundfile.write(root / f"s/{name}.wav", values, rate, subtype="FLOAT")
    (root / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(root)


def stream(name, bands=MONO, **facts):
    return Stream(name, "vector", bands, **facts)


@pytest.fixture
def root(tmp_path):
    rows = [
        {"id": "a", "sound": "s/a.wav", "speech": "s/b.wav", "text": "one"},
        {"id": "b", "sound": "s/a.wav", "text": "two"},
        {"id": "c", "sound": "s/c.wav", "speech": "s/b.wav", "text": "three"},
    ]
    return write(tmp_path, rows, a=(noise(0), RATE), b=(noise(1, 400, 2), RATE), c=(noise(2, 900), RATE))


def test_columns_of_sounds_are_found_and_read(root):
    source = Pairs(root, missing="keep")
    assert "columns of sounds: sound, speech; of texts: text" in source.notes[0]
    assert source.field_bands == {"sound": MONO, "speech": STEREO}
    raw = source.read(
        0, [stream("sound"), stream("r", STEREO[1:], field="speech"), Stream("text", "text", field="text")]
    )
    np.testing.assert_array_equal(raw.inputs["sound"], noise(0)[None])
    np.testing.assert_array_equal(raw.inputs["r"], noise(1, 400, 2).T[1:])
    assert raw.inputs["text"] == "one"
    assert raw.rates == {"sound": RATE, "r": RATE}
    assert raw.full_scale == 1.0
    assert source.read(1, [stream("speech", STEREO)]).inputs["speech"] is None
    assert source.together is not None  # rows of one sound are in one split
    np.testing.assert_array_equal(item_rows(source, stream("sound")), [0, 0, 2])
    np.testing.assert_array_equal(item_rows(source, stream("speech", STEREO)), [0, 1, 0])
    with pytest.raises(DataError, match=r"row 2 has no 'speech'"):
        Pairs(root)
    with pytest.raises(DataError, match=r"field: none, expected one of the vector columns .*: sound, speech"):
        source.read(0, [stream("x")])


def test_a_window_is_the_whole_cut_at_any_rate(root, tmp_path):
    for rate in (None, 16000, 6000, 11025):
        whole = read_sound(tmp_path / "s/a.wav", "a", rate=rate)
        to = rate or RATE
        for start, seconds in ((0.0, 0.05), (0.05, 0.1), (0.16, 0.04)):
            part = read_sound(tmp_path / "s/a.wav", "a", start=start, seconds=seconds, rate=rate)
            first = round(start * to)
            expected = whole.values[:, first : first + round(seconds * to)]
            np.testing.assert_allclose(part.values, expected, atol=2e-4)
            assert part.rate == to
    np.testing.assert_allclose(
        read_sound(tmp_path / "s/a.wav", "a", rate=16000).values[0], soxr.resample(noise(0), RATE, 16000), atol=1e-6
    )


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au", "w64", "rf64"])
def test_formats_equal_soundfile(tmp_path, suffix):
    file = tmp_path / f"x.{suffix}"
    soundfile.write(file, noise(0, 4000, 2), 16000)
    expected, rate = soundfile.read(file, dtype="float32")
    found = read_sound(file, "x")
    np.testing.assert_allclose(found.values, expected.T, rtol=0, atol=2e-7 if suffix == "mp3" else 0)
    np.testing.assert_array_equal(found.values, read_sound(file, "x").values)
    assert found.rate == rate
    assert read_header(file, "x", Limits()) == (16000, 2, len(expected))
    np.testing.assert_allclose(read_sound(file, "x", channels="mono").values[0], expected.mean(1), atol=1e-7)


def test_pieces_of_one_file(tmp_path):
    rows = [{"id": str(i), "sound": "s/a.wav", "from": i * 0.05, "to": i * 0.05 + 0.05} for i in range(3)]
    rows.append({**rows[1], "id": "again"})
    source = Pairs(write(tmp_path, rows, a=(noise(0), RATE)), pieces={"sound": ["from", "to"]})
    np.testing.assert_array_equal(source.read(2, [stream("sound")]).inputs["sound"], noise(0)[None, 800:1200])
    np.testing.assert_array_equal(item_rows(source, stream("sound")), [0, 1, 2, 1])
    assert source.together == "sound_piece"
    assert source.samples["recording"].tolist() == ["s/a.wav"] * 4
    assert source.samples.attrs["overlapping"] == "recording"
    rows[1]["to"] = 0.01
    with pytest.raises(DataError, match=r"row 2: from is 0\.05 and to 0\.01, expected seconds with 0 <= from < to"):
        Pairs(write(tmp_path, rows), pieces={"sound": ["from", "to"]})


def test_rates_and_channels_that_differ_are_refused_with_the_choice_named(root, tmp_path):
    rows = [{"id": n, "sound": f"s/{n}.wav"} for n in "abcd"]
    write(tmp_path, rows, d=(noise(3, 400), 16000))
    with pytest.raises(DataError, match=r"sounds of several numbers of channels, 1 \(s/a\.wav\) and 2 \(s/b\.wav\); expected "
                       r"one; data\.source\.channels=mono"):  # fmt: skip
        Pairs(root)
    source = Pairs(root, channels="mono")
    assert "of 1 of 4 sounds with several channels the mean is taken" in " ".join(source.notes)
    with pytest.raises(DataError, match=r"3 of 8000 Hz, 1 of 16000 Hz; .*modality\.sound\.rate=8000 resamples"):
        source.read(0, [stream("sound")])
    assert [source.read(i, [stream("sound", rate=8000)]).inputs["sound"].shape for i in range(4)] == [
        (1, 1600), (1, 400), (1, 900), (1, 200)
    ]  # fmt: skip
    np.testing.assert_allclose(
        source.read(1, [stream("sound", rate=8000)]).inputs["sound"][0], noise(1, 400, 2).mean(1), atol=1e-7
    )


def cut(path, share=0.6):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au", "w64", "rf64", "empty", "text"])
def test_bad_files_are_one_sentence_when_opened_or_read(tmp_path, suffix):
    write(tmp_path, [{"id": n, "sound": f"s/{n}"} for n in ("good.wav", f"bad.{suffix}")], good=(noise(0), RATE))
    bad = tmp_path / f"s/bad.{suffix}"
    if suffix in ("empty", "text"):
        bad.write_text("" if suffix == "empty" else "no sound")
    else:
        soundfile.write(bad, noise(0, 20000), RATE)
        cut(bad)
    said = {"empty": "an empty file", "text": r"not a whole, readable sound \(WAV, FLAC"}.get(
        suffix, "cut off|not a whole"
    )
    with pytest.raises(DataError, match=rf"s/bad\.{suffix}: .*({said})"):
        Pairs(str(tmp_path), audio=["sound"], images=[]).read(1, [stream("sound")])
    with pytest.raises(DataError, match=rf"s/bad\.{suffix}: .*({said})"):
        Pairs(str(tmp_path), audio=["sound"], images=[], verify="none").read(1, [stream("sound")])
    source = Pairs(str(tmp_path), audio=["sound"], images=[], on_error="skip")
    np.testing.assert_array_equal(source.read(0, [stream("sound")]).inputs["sound"], noise(0)[None])
    with pytest.raises(DataError, match=rf"s/bad\.{suffix}: "):
        source.read(1, [stream("sound")])


def test_silence_numbers_that_are_no_sound_and_bombs(tmp_path):
    rows = [{"id": "a", "sound": "s/a.wav"}]
    root = write(tmp_path, rows, a=(0 * noise(0), RATE))
    assert Pairs(root).read(0, [stream("sound")]).inputs["sound"].any() == False  # noqa: E712
    assert Pairs(root, silence="missing").read(0, [stream("sound")]).inputs["sound"] is None
    with pytest.raises(DataError, match=r"s/a\.wav: silence; data\.source\.silence=keep"):
        Pairs(root, silence="refuse").read(0, [stream("sound")])
    for value, said in ((30000.0, "values up to 30000, expected -1 to 1"), (np.nan, "of its 1600 values are NaN")):
        write(tmp_path, rows, a=(np.where(np.arange(1600) == 5, np.float32(value), noise(0)), RATE))
        with pytest.raises(DataError, match=rf"s/a\.wav: .*{said}"):
            Pairs(root).read(0, [stream("sound")])
    with pytest.raises(DataError, match=r"s/a\.wav: its header claims 6,400 bytes, the limit is 1,000"):
        Pairs(root, limits=Limits(bytes=1000))


def test_what_is_not_installed_is_said(root, monkeypatch):
    monkeypatch.setattr(audio_file, "REQUIRES", {})
    from multimodal_lab.data.readers.columns.audio import AudioColumns

    monkeypatch.setattr(AudioColumns, "requires", {"no_such_package": "audio"})
    with pytest.raises(
        DataError, match=r"index\.jsonl: the column of sounds 'sound' needs the package no_such_package"
    ):
        Pairs(root, audio=["sound"], images=[], missing="keep")
    with pytest.raises(DataError, match=r"no column names pictures"):
        Pairs(root, missing="keep")


def test_a_look_offers_every_column_and_a_stream_needs_no_field_where_one_fits(root):
    source = Pairs(root, missing="keep")
    assert offered(source)["speech"] == {"kind": "vector", "bands": "all", "field": "speech", "steps": None}
    only = Pairs(root, audio=["sound"], missing="keep")
    assert asked_bands(only, "audio", {"kind": "vector"}) == MONO
    np.testing.assert_array_equal(only.read(2, [stream("audio")]).inputs["audio"], noise(2, 900)[None])


def test_a_rate_of_the_source_serves_what_is_packed(tmp_path):
    rows = [{"id": n, "sound": f"s/{n}.wav"} for n in "ab"]
    source = Pairs(write(tmp_path, rows, a=(noise(0), RATE), b=(noise(1), 16000)), rate=RATE)
    assert [source.read(i, [stream("sound")]).inputs["sound"].shape for i in range(2)] == [(1, 1600), (1, 800)]
    assert source.read(0, [stream("sound", rate=4000)]).inputs["sound"].shape == (1, 800)


def test_what_is_expected_is_decoded_before_it_is_asked_for(root, monkeypatch):
    source, decoded = Pairs(root, missing="keep"), []
    real = audio_file.read_sound
    monkeypatch.setattr(audio_file, "read_sound", lambda file, name, **k: decoded.append(name) or real(file, name, **k))
    wanted = [stream("sound"), stream("speech", STEREO)]
    source.expect([2, 1, 0], wanted)
    source._ahead.pool.shutdown(wait=True)
    assert sorted(decoded) == ["s/a.wav", "s/b.wav", "s/c.wav"]  # each once
    source._ahead.pool = None
    for i, seed in ((2, 2), (1, 0), (0, 0)):
        np.testing.assert_array_equal(source.read(i, wanted).inputs["sound"][0], noise(seed, 900 if seed else 1600))
    assert source.read(1, wanted).inputs["speech"] is None
    decoded.clear()
    source.expect([2, 1], wanted)  # it is kept
    assert not decoded
    (source.root / "s/c.wav").write_bytes(b"spoilt")
    source = pickle.loads(pickle.dumps(source))
    source.expect([2], wanted)
    with pytest.raises(DataError, match=r"s/c\.wav: not a whole"):
        source.read(2, wanted)
    assert source.read(0, wanted).inputs["sound"].shape == (1, 1600)
