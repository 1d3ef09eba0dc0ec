"""Sounds and videos that are given to a served run: what is found is what a predictor finds, what can't be used one sentence."""

import io
import json
from dataclasses import asdict, replace

import av
import made_videos
import numpy as np
import pytest
import soundfile
from made_sounds import noise
from served_runs import COLOURS, base, moved, served

from multimodal_lab.data.readers import video_file
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.predict import load
from multimodal_lab.predict.expected import Expected
from multimodal_lab.serve import kept, media, players, question, sources
from multimodal_lab.serve.limits import Limits
from multimodal_lab.serve.problem import RequestError
from multimodal_lab.serve.reply import Asked
from multimodal_lab.types import Band

LIMITS = Limits(bytes=100_000, pixels=20_000)  # of a picture of 100 x 200


@pytest.fixture(scope="module")
def asked(recorded):
    with served(recorded / "run", limits=LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def predictor(recorded):
    return load(recorded / "run", "cpu")


@pytest.mark.parametrize(("stream", "file", "kind"), [("audio", "3.wav", "audio/wav"), ("clip", "3.mp4", "video/mp4")])
def test_a_file_finds_what_the_predictor_finds(stream, file, kind, asked, predictor, recorded):
    content = (recorded / "data" / file).read_bytes()
    by_json = asked.post("/api/retrieve", {"streams": {stream: base(content)}, "of": "text", "top_k": 4})[1]
    path = f"/api/retrieve?stream={stream}&of=text&top_k=4"
    as_it_is = asked.ask("POST", path, content, {"Content-Type": kind})[2]
    own = predictor.retrieve(**{stream: recorded / "data" / file}, of="text", top_k=4)
    for found in (by_json, as_it_is):
        assert found["by"] == stream
        assert [r["id"] for r in found["results"]] == list(own["id"])
        np.testing.assert_allclose([r["score"] for r in found["results"]], own["score"], atol=1e-5)


def test_a_sound_tells_its_class_and_pictures_of_what_is_found_are_there(asked, predictor, recorded):
    content = (recorded / "data/5.wav").read_bytes()
    found = asked.ask("POST", "/api/predict", content, {"Content-Type": "audio/x-wav"})[2]
    assert (
        found["answers"]["sort"]["value"] == predictor.predict(audio=recorded / "data/5.wav").answers["sort"].value[0]
    )
    results = asked.post("/api/retrieve", {"streams": {"audio": base(content)}, "of": "clip", "top_k": 1})[1]["results"]
    status, headers, picture = asked.get(results[0]["pictures"]["clip"])
    assert (status, headers.get_content_type(), picture[:2]) == (200, "image/jpeg", b"\xff\xd8")


def test_both_together_are_one_sample(asked, predictor, recorded):
    files = {"audio": recorded / "data/2.wav", "clip": recorded / "data/2.mp4"}
    streams = {name: base(path.read_bytes()) for name, path in files.items()}
    found = asked.post("/api/embed", {"streams": streams})[1]["vectors"]
    own = predictor.embed(**files).vectors
    for name in files:
        np.testing.assert_allclose(found[name], own[name][0], atol=1e-5)


def test_a_video_that_is_given_for_a_sound_is_heard(asked, predictor, tmp_path):
    path = made_videos.write(tmp_path / "seen.mp4", 6, fps=100, sound="aac")
    heard = video_file.read_track(path, "", Frames(None, "dense"), rate=8000.0, mono=True)
    own = predictor.embed(audio=heard.values).vectors["audio"][0]
    query = "/api/embed?stream=audio"
    by_json = asked.post("/api/embed", {"streams": {"audio": base(path.read_bytes())}})[1]["vectors"]
    as_it_is = asked.ask("POST", query, path.read_bytes(), {"Content-Type": "video/mp4"})[2]["vectors"]
    whole = asked.ask("POST", "/api/embed", path.read_bytes(), {"Content-Type": "video/mp4"})[2]["vectors"]
    np.testing.assert_allclose(by_json["audio"], own, atol=1e-5)
    np.testing.assert_allclose(as_it_is["audio"], own, atol=1e-5)
    assert (set(as_it_is) & {"clip", "audio"}, set(whole) & {"clip", "audio"}) == ({"audio"}, {"clip"})
    mute = made_videos.write(tmp_path / "mute.mp4", 6, fps=100).read_bytes()
    asked.wrong("/api/predict", {"streams": {"audio": base(mute)}}, 422, "a video without an audio track")


def test_a_video_is_of_both_streams_where_the_run_took_both_from_one_video():
    taken = asdict(Frames(4))
    streams = {
        "frames": Expected("frames", "image", video_file.bands_of("rgb"), "", {}, 4, None, taken),
        "sound": Expected("sound", "vector", (Band("mono"),), "", {}, 8000, 8000.0, taken),
        "speech": Expected("speech", "vector", (Band("mono"),), "", {}, 8000, 8000.0),
    }
    request = Asked("POST", "", {}, "video/mp4", b"clip")
    for options, query, own, expected in (
        ({}, {}, streams, ["frames", "sound"]),
        ({"top_k": int}, {}, streams, ["frames"]),
        ({}, {"stream": "frames"}, streams, ["frames"]),
        ({}, {"stream": "speech"}, streams, ["speech"]),
        ({}, {}, {"speech": streams["speech"]}, ["speech"]),
    ):
        assert [*question.parsed(replace(request, query=query), options, own).streams] == expected


def test_what_can_not_be_used_is_one_sentence(asked, recorded):
    wave, clip = ((recorded / f"data/1.{end}").read_bytes() for end in ("wav", "mp4"))
    for stream, content, status, said in [
        ("audio", clip, 422, "audio: audio.mp4: a video without an audio track"),
        ("audio", b"no sound", 422, "audio: no sound; expected a WAV, FLAC, Ogg, MP3 or AIFF, or a video with sound"),
        ("clip", wave, 422, "clip: no video; expected an MP4"),
        ("audio", wave[:200], 422, "cut off"),
        ("audio", b"", 422, "audio: an empty file"),
        ("clip", clip[: len(clip) // 2], 422, "clip.mp4"),
    ]:
        asked.wrong("/api/predict", {"streams": {stream: base(content)}}, status, said)
    asked.wrong(
        "/api/predict", {"streams": {"audio": 5}}, 422, "audio: expected base64 of a sound, or numbers in lists"
    )
    status, _, found = asked.ask("POST", "/api/predict?stream=text", wave, {"Content-Type": "audio/wav"})
    assert (status, found["error"]["message"]) == (422, "text: bytes, expected a text")
    status, _, found = asked.ask("POST", "/api/predict", wave, {"Content-Type": "audio/midi"})
    assert status == 415
    assert "audio/midi" in found["error"]["message"]


def test_a_header_beyond_the_limits_is_refused_before_it_is_decoded(asked, tmp_path, recorded):
    made_videos.write(tmp_path / "large.mp4", 2, size=(320, 240))
    asked.wrong(
        "/api/predict", {"streams": {"clip": base((tmp_path / "large.mp4").read_bytes())}}, 422, "76,800 pixels"
    )
    with pytest.raises(RequestError, match=r"a sound of 0\.2 MiB; the limit is 0\.1 MiB"):
        media.laid(bytes(200_000), "audio", tmp_path, "sound", LIMITS)


def test_the_description_tells_what_is_taken(asked):
    _, _, told = asked.get("/openapi.json")
    taken = told["paths"]["/api/predict"]["post"]["requestBody"]["content"]
    assert {"audio/flac", "audio/ogg", "video/webm"} <= {*taken}
    assert "image/png" not in taken
    accepts = {one["name"]: one["accepts"] for one in asked.get("/api/run")[2]["streams"]}
    assert accepts == {"audio": ["sound", "video", "numbers"], "text": ["text"], "clip": ["video", "numbers"]}


def test_numbers_are_taken_as_before(asked, predictor):
    x = noise(1, 800)
    found = asked.post("/api/embed", {"streams": {"audio": [x.tolist()]}})[1]["vectors"]["audio"]
    np.testing.assert_allclose(found, predictor.embed(audio=x[None]).vectors["audio"][0], atol=1e-5)


def test_an_index_is_kept_for_the_next_start_and_made_anew_where_it_is_stale(recorded, tmp_path, capsys, monkeypatch):
    run, words, counted, answers = moved(recorded, tmp_path), [f"data.root={recorded / 'data'}"], [], []
    monkeypatch.setattr(sources, "encode", lambda *a, made=sources.encode: counted.append(1) or made(*a))
    for _ in range(2):
        with served(run, words) as client:
            question = {"streams": {"text": "noise 3"}, "of": "audio", "top_k": 3}
            answers.append((len(counted), client.post("/api/retrieve", question)[1]["results"]))
    assert answers[0][0] == answers[1][0] > 0  # embedded once
    assert json.dumps(answers[0][1]) == json.dumps(answers[1][1])
    assert "used again, files and weights are as they were" in capsys.readouterr().out
    (place,) = run.glob("indexes/served.*")
    facts = json.loads((place / kept.FACTS).read_text())["facts"]
    assert len(kept.load(run, words, facts)[0]) == 16
    assert kept.load(run, ["data.root=/elsewhere"], facts) == (None, "")
    changed = kept.load(run, words, {**facts, "data": "0"})
    assert changed == (None, "the index is made anew, as the files or how they are read changed")
    (place / "audio.parquet").write_bytes((place / "audio.parquet").read_bytes()[:-40])
    assert kept.load(run, words, facts)[1].endswith("is damaged, and made anew")


def test_an_index_lies_in_the_cache_where_the_run_can_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/indexes").write_text("a file in the way")
    x = np.eye(3, dtype=np.float32)
    names = {
        "vectors": {"a": x},
        "present": {"a": np.ones(3, bool)},
        "targets": {},
        "classes": {},
        "ids": ["p", "q", "r"],
    }
    found = Embeddings(**names, groups=np.arange(3), split=np.array(["all"] * 3))
    assert str(tmp_path / "cache") in kept.save(tmp_path / "run", ["w"], {"data": "1"}, found)
    np.testing.assert_array_equal(kept.load(tmp_path / "run", ["w"], {"data": "1"})[0].vectors["a"], x)


def test_what_is_found_can_be_played(asked, recorded):
    results = asked.post("/api/retrieve", {"streams": {"text": "noise 3"}, "of": "audio", "top_k": 16})[1]["results"]
    found = next(r for r in results if r["id"] == "r3")
    assert [*found["media"]] == ["audio", "clip"]
    status, headers, content = asked.get(found["media"]["audio"])
    assert (status, headers.get_content_type()) == (200, "audio/wav")
    heard, rate = soundfile.read(io.BytesIO(content))
    assert (rate, heard.shape) == (8000, (800,))
    np.testing.assert_allclose(heard, noise(3, 800), atol=2 / 32768)
    status, headers, content = asked.get(found["media"]["clip"])
    assert (status, headers.get_content_type()) == (200, "video/webm")
    with av.open(io.BytesIO(content)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert float(file.streams.video[0].average_rate) == players.PER_SECOND  # three frames evenly over the clip
    assert [x.shape for x in frames] == [(12, 16, 3)] * 3  # read no larger than the run's 16 pixels
    np.testing.assert_allclose(frames[1][6, 8], COLOURS["yellow"], atol=12)
    for path in ("/media/text/0", "/media/audio/4000", "/media/audio/-1", "/media/other/0"):
        assert asked.get(path)[0] == 404


def test_a_video_larger_than_a_picture_is_played_smaller():
    frames = np.zeros((5, 333, 1001, 3), np.uint8)
    frames[2:] = 200
    with av.open(io.BytesIO(players.webm(frames, 12.5))) as file:
        shown = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert float(file.streams.video[0].average_rate) == 12.5
    assert [x.shape for x in shown] == [(106, 320, 3)] * 5
    assert [int(x.mean()) > 100 for x in shown] == [False, False, True, True, True]


def test_a_run_without_its_data_has_nothing_to_play(recorded, tmp_path):
    run = moved(recorded, tmp_path)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace(str(recorded / "data"), str(tmp_path / "gone")))
    with served(run) as client:
        found = client.post("/api/retrieve", {"streams": {"text": "noise 3"}, "of": "audio", "top_k": 1})[1]["results"]
    assert found[0]["media"] == {}
