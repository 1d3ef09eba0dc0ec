"""The JSON API over real sockets: what it answers is what a predictor says; what can't be used is one sentence."""

import io
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image
from served_runs import COLOURS, HOSTILE, base, drawn, moved, png, served

from multimodal_lab.data.synthetic.specimens import Specimens
from multimodal_lab.evaluate import prompt_vectors
from multimodal_lab.predict import load
from multimodal_lab.predict.prompt_memory import PromptMemory
from multimodal_lab.serve.limits import Limits

PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def predictor(captioned):
    return load(captioned / "run", "cpu")


def test_words_find_what_the_predictor_finds(client, predictor, captioned):
    status, found = client.post("/api/retrieve", {"streams": {"text": "a red square"}, "top_k": 5})
    own = predictor.retrieve(text="a red square", top_k=5)
    assert status == 200
    assert [(r["rank"], r["id"], r["split"]) for r in found["results"]] == list(
        zip(own["rank"], own["id"], own["split"])
    )
    np.testing.assert_allclose([r["score"] for r in found["results"]], own["score"], atol=1e-6)
    assert (found["by"], found["of"]) == ("text", "image")
    first = found["results"][0]
    assert first["labels"]["colour"] in COLOURS
    assert first["texts"]["text"][0].startswith(f"a {first['labels']['colour']} ")
    assert found["checkpoint"] == predictor.checkpoint.name
    costs = found["milliseconds"]
    assert 0 < costs["computed"] <= costs["total"]


def test_a_picture_finds_words_however_it_is_sent(client, predictor):
    content = png(drawn("red", 0))
    by_json = client.post("/api/retrieve", {"streams": {"image": base(content)}, "top_k": 3})[1]
    uri = client.post("/api/retrieve", {"streams": {"image": f"data:image/png;base64,{base(content)}"}, "top_k": 3})[1]
    as_it_is = client.ask("POST", "/api/retrieve?top_k=3&stream=image", content, PNG)[2]
    as_numbers = client.post(
        "/api/retrieve", {"streams": {"image": drawn("red", 0).transpose(2, 0, 1).tolist()}, "top_k": 3}
    )[1]
    own = predictor.retrieve(image=Image.fromarray(drawn("red", 0)), top_k=3)
    for found in (by_json, uri, as_it_is, as_numbers):
        assert found["of"] == "text"
        assert [r["id"] for r in found["results"]] == list(own["id"])
        np.testing.assert_allclose([r["score"] for r in found["results"]], own["score"], atol=1e-5)


def test_a_split_alone_and_another_stream_may_be_searched(client):
    found = client.post("/api/retrieve", {"streams": {"text": "green"}, "of": "text", "split": "test", "top_k": 40})[1]
    assert found["of"] == "text"
    assert {r["split"] for r in found["results"]} == {"test"}
    assert len(found["results"]) == 8


def test_heads_say_what_the_predictor_says(client, predictor):
    picture = drawn("blue", 7)
    status, found = client.post("/api/predict", {"streams": {"image": base(png(picture))}})
    own = predictor.predict(image=Image.fromarray(picture))["colour"]
    answer = found["answers"]["colour"]
    assert status == 200
    assert (answer["kind"], answer["value"]) == ("class", own.value[0])
    told = {one["class"]: one["probability"] for one in answer["probabilities"]}
    np.testing.assert_allclose([told[c] for c in own.classes], own.probability[0], atol=1e-6)
    parts = [one["probability"] for one in answer["probabilities"]]
    assert parts == sorted(parts, reverse=True)


def test_classes_that_are_named_are_told_as_the_predictor_tells_them(client, predictor):
    picture, classes = drawn("green", 8), ["red square", "green square", "blue square"]
    asked = {"streams": {"image": base(png(picture))}, "classes": classes, "templates": ["a {}", "one {}"]}
    status, found = client.post("/api/predict", asked)
    own = predictor.zero_shot(image=Image.fromarray(picture), classes=classes, templates=["a {}", "one {}"])["class"]
    assert status == 200, found
    told = {one["class"]: one["probability"] for one in found["zero_shot"]["class"]["probabilities"]}
    np.testing.assert_allclose([told[c] for c in classes], own.probability[0], atol=1e-6)
    assert found["zero_shot"]["class"]["value"] == own.value[0]
    assert found["answers"]["colour"]["kind"] == "class"


def test_the_prompts_of_a_class_are_encoded_once(client, monkeypatch):
    encoded, real = [], prompt_vectors.of_classes

    def counted(system, data, stream, templates, names, *more):
        encoded.extend((name, template) for (name,) in names for template in templates)
        return real(system, data, stream, templates, names, *more)

    monkeypatch.setattr(prompt_vectors, "of_classes", counted)
    monkeypatch.setattr(client.model.predictor, "prompts", PromptMemory(most=3))

    def told(*classes, template="one {} of them"):
        asked = {"streams": {"image": base(png(drawn("red", 8)))}, "classes": classes, "templates": [template]}
        found = client.post("/api/predict", asked)[1]["zero_shot"]["class"]["probabilities"]
        new, encoded[:] = [*encoded], []
        return {one["class"]: one["probability"] for one in found}, [name for name, _ in new]

    first, new = told("red", "blue")
    assert new == ["red", "blue"]
    assert told("blue", "red") == (pytest.approx(first), [])
    assert told("red", "green")[1] == ["green"]
    assert told("red", "green", template="two {} of them")[1] == ["red", "green"]  # blue, red are forgotten
    assert told("green", "blue", "red", "black")[1] == ["blue", "red", "black"]
    assert len(client.model.predictor.prompts._held) == 3
    assert told("red", "blue")[0] == pytest.approx(first)


def test_vectors_are_those_of_the_predictor(client, predictor):
    found = client.post("/api/embed", {"streams": {"text": "a red square", "image": None}})[1]
    own = predictor.embed(text="a red square")
    assert set(found["vectors"]) == {"text"}
    np.testing.assert_allclose(found["vectors"]["text"], own.vectors["text"][0], atol=1e-6)
    np.testing.assert_allclose(found["projected"]["text"], own.projected["text"][0], atol=1e-6)


def test_pictures_come_by_number_as_they_are_stored(client):
    number = client.gallery.contents.number("img/7.png") if "img/7.png" in client.gallery.contents.embeddings.ids else 7
    name = client.gallery.contents.embeddings.ids[number]
    status, headers, content = client.get(f"/pictures/image/{number}")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    i = int("".join(c for c in name if c.isdigit()))
    mean = np.asarray(Image.open(io.BytesIO(content))).mean((0, 1))
    np.testing.assert_allclose(mean, drawn([*COLOURS][i % 4], i).mean((0, 1)), atol=4)
    for path in ("/pictures/image/4000", "/pictures/text/0", "/pictures/other/0"):
        assert client.get(path)[0] == 404
    for path in (
        "/pictures/image/-1",
        "/pictures/image/../../run/config.yaml",
        "/pictures/image/0x1",
        "/pictures/",
        "/run/config.yaml",
    ):
        assert client.get(path)[0] == 404


def test_without_its_data_thumbnails_are_shown(captioned, tmp_path, monkeypatch):
    folder = moved(captioned, tmp_path)
    monkeypatch.setattr("multimodal_lab.serve.sources.read_data", _gone)
    with served(folder) as client:
        found = client.post("/api/retrieve", {"streams": {"text": "a red square"}, "top_k": 1})[1]["results"][0]
        assert found["texts"] == {}
        picture = client.get(found["pictures"]["image"])[2]
        assert Image.open(io.BytesIO(picture)).size == (48, 48)


def _gone(*_):
    raise OSError("the disk is away")


@pytest.mark.parametrize("words", [["data=images"], []])
def test_other_files_are_embedded_and_searched(captioned, tmp_path, words):
    """Photographs alone, for a run that read its own by a table."""
    for i, colour in enumerate(COLOURS):
        Image.fromarray(drawn(colour, 100 + i)).save(tmp_path / f"{colour}.png")
    with served(captioned / "run", [*words, f"data.root={tmp_path}"]) as client:
        told = client.get("/api/health")[2]["gallery"]
        assert (told["state"], told["samples"], told["spaces"]) == ("ready", 4, ["image"])
        found = client.post("/api/retrieve", {"streams": {"image": base(png(drawn("green", 500)))}})[1]
        assert found["of"] == "image"
        assert found["results"][0]["id"].startswith("green")
        own = load(captioned / "run").embed(image=[tmp_path / "green.png"]).vectors["image"]
        contents = client.gallery.contents
        np.testing.assert_allclose(
            contents.embeddings.vectors["image"][contents.number(found["results"][0]["id"])], own[0], atol=1e-5
        )


def test_a_folder_that_can_not_be_read_is_told_and_the_rest_is_answered(captioned, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with served(captioned / "run", ["data=images", f"data.root={tmp_path}"]) as client:
        told = client.get("/api/health")[2]["gallery"]
        assert told["state"] == "failed"
        assert "a.png" in told["message"]
        client.wrong("/api/retrieve", {"streams": {"text": "red"}}, 503, "nothing to search in: ")
        assert client.post("/api/predict", {"streams": {"image": base(png(drawn("red", 1)))}})[0] == 200


def test_what_is_done_to_a_picture_and_lost_of_a_text_is_told(client):
    grey = Image.fromarray(drawn("red", 1)[..., 0])
    opaque = Image.fromarray(drawn("red", 1)).convert("RGBA")
    plain = client.post("/api/embed", {"streams": {"image": base(png(drawn("red", 1)))}})[1]
    found = client.post("/api/embed", {"streams": {"image": base(png(opaque))}})[1]
    assert found["notes"] == ["image: an alpha channel that hides nothing was left out"]
    assert found["vectors"] == plain["vectors"]
    found = client.post("/api/embed", {"streams": {"image": base(png(grey))}})[1]
    assert found["notes"] == ["image: a grey picture; its values stand for R, G and B"]
    three = np.repeat(np.asarray(grey)[None], 3, 0).tolist()
    np.testing.assert_allclose(
        found["vectors"]["image"], client.post("/api/embed", {"streams": {"image": three}})[1]["vectors"]["image"]
    )
    found = client.post("/api/retrieve", {"streams": {"text": "red " * 60 + "xylophone"}})[1]
    assert "text: 61 words or pieces, of which the run reads the first 22" in found["notes"][0]
    assert "of the words are unknown to the run" in found["notes"][1]


def bomb(width=30_000, height=30_000):
    """A PNG whose header claims 900 million pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def transparent():
    x = Image.fromarray(drawn("red", 2)).convert("RGBA")
    x.putpixel((3, 3), (0, 0, 0, 0))
    return png(x)


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (bomb(), 413, "its header claims 900,000,000 pixels; the limit is 50,000,000"),
        (bomb(9000, 9000), 413, "its header claims 9,000 x 9,000 pixels; the limit is 50,000,000"),
        (png(drawn("red", 3))[:-200], 422, "can't be decoded"),
        (png(drawn("red", 3), format="JPEG")[:300], 422, "image: a damaged picture (Truncated File Read)"),
        (b"GIF89a", 422, "picture"),
        (b"plain words, no picture at all", 422, "image: no picture; expected a PNG, JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "image: no picture"),
        (transparent(), 422, "has an alpha channel"),
        (png(Image.new("CMYK", (9, 9)), format="JPEG"), 422, "pixels of kind CMYK"),
    ],
    ids=["bomb", "large", "cut", "cut_jpeg", "cut_gif", "words", "svg", "transparent", "cmyk"],
)  # fmt: skip
def test_a_picture_that_can_not_be_used_is_one_sentence(client, content, status, said):
    client.wrong("/api/embed", {"streams": {"image": base(content)}}, status, said)
    client.wrong("/api/retrieve", {"streams": {"image": base(content)}}, status, said)
    found = client.ask("POST", "/api/predict", content, PNG)
    assert found[0] == status
    assert said in found[2]["error"]["message"]
    assert "/tmp" not in found[2]["error"]["message"]
    assert "multimodal_lab_" not in found[2]["error"]["message"]


@pytest.mark.parametrize(
    ("path", "content", "status", "said"),
    [
        ("retrieve", {"streams": {"text": "  "}}, 422, "text: an empty text"),
        ("retrieve", {"streams": {"text": "\u200b"}}, 422, "text: an empty text"),
        ("retrieve", {"streams": {"text": "a" * 20_000}}, 422, "the limit is 10,000"),
        ("retrieve", {"streams": {"text": "red \ud83d"}}, 422, "'red \\ud83d' holds half of a surrogate pair"),
        ("retrieve", {"streams": {"text": 3}}, 422, "text: int, expected a text"),
        ("retrieve", {"streams": {"txt": "a"}}, 422, "streams.txt: expected one of image, text; nearest: text"),
        ("retrieve", {"streams": {}}, 422, "every stream is missing"),
        ("retrieve", {"streams": {"text": None}}, 422, "every stream is missing"),
        ("retrieve", {"text": "a"}, 400, "text: expected one of streams, mask, top_k"),
        ("retrieve", ["a"], 400, "the body is a list"),
        ("retrieve", {"streams": {"text": "a"}, "top_k": 0}, 422, "top_k=0: expected 1 to 100"),
        ("retrieve", {"streams": {"text": "a"}, "top_k": 1000}, 422, "top_k=1000: expected 1 to 100"),
        ("retrieve", {"streams": {"text": "a"}, "top_k": "5"}, 400, "top_k: expected a whole number, found 5"),
        ("retrieve", {"streams": {"text": "a"}, "top_k": True}, 400, "top_k: expected a whole number, found true"),
        ("retrieve", {"streams": {"text": "a"}, "of": "imag"}, 422, "of=imag: expected one of image, text; nearest: image"),
        ("retrieve", {"streams": {"text": "a"}, "by": "image"}, 422, "by=image: expected one of text"),
        ("retrieve", {"streams": {"text": "a"}, "split": "held"}, 422, "split=held: expected one of test, train, val"),
        ("predict", {"streams": {"text": "a"}, "classes": ["a"]}, 422, "expected two or more"),
        ("predict", {"streams": {"text": "a"}, "classes": ["a", "b"]}, 422, "the samples hold nothing but text"),
        ("predict", {"streams": {"text": "a"}, "classes": ["a", 3]}, 400, "classes: expected a list of texts"),
        ("predict", {"streams": {"text": "a"}, "classes": ["a", "b"], "templates": ["photo"]}, 422, "has no {}"),
        ("predict", {"streams": {"text": "a"}, "classes": ["a"] * 2000}, 422, "classes: 2,000, expected at most 1,000"),
        ("predict", {"streams": {"text": "a"}, "classes": ["a" * 20_000, "b"]}, 422, "20,001 letters, expected at most 20,000"),
        ("predict", {"streams": {"text": "a"}, "templates": ["a {}"]}, 422, "templates: expected beside classes"),
        ("predict", {"streams": {"image": "###"}}, 422, "image: no base64"),
        ("predict", {"streams": {"image": 3}}, 422, "image: expected base64 of a picture"),
        ("predict", {"streams": {"image": []}}, 422, "image: no number"),
        ("predict", {"streams": {"image": [[1, 2], [3]]}}, 422, "image: expected lists of equal lengths"),
        ("predict", {"streams": {"image": [["1"]]}}, 422, "image: other things than numbers"),
        ("predict", {"streams": {"image": [[[0.5]]] * 3}}, 422, "image: expected whole numbers from 0 to 255"),
        ("predict", {"streams": {"image": [[[1, 2], [3, 4]]]}}, 422, "image: 1 bands, expected 3 (R, G, B)"),
        ("predict", {"streams": {"image": {"R": [[1]], "G": [[1]]}}}, 422, "no band 'B'"),
        ("predict", {"streams": {"image": base(png(drawn("red", 1)))}, "threshold": 2}, 422, "threshold=2: expected 0 to 1"),
        ("predict", {"streams": {"image": base(png(drawn("red", 1)))}, "mask": [[3]]}, 422, "mask: "),
    ],
)  # fmt: skip
def test_a_question_that_can_not_be_answered_is_one_sentence(client, path, content, status, said):
    client.wrong(f"/api/{path}", content, status, said)


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b"{", "application/json", 400, "the body is no JSON"),
        (b"", "application/json", 400, "the body is no JSON"),
        (b"[" * 100_000, "application/json", 400, "the body is no JSON: nested"),
        (b'{"streams": {"text": ' + b"9" * 5000 + b"}}", "application/json", 400, "a number of 5,000 digits"),
        (b'{"streams": {"text": "a"}}', "text/plain", 415, "Content-Type text/plain: expected application/json"),
        (b"text=a", "application/x-www-form-urlencoded", 415, "expected application/json"),
        (b"a", "", 415, "Content-Type missing"),
        (b"<svg/>", "image/svg+xml", 415, "Content-Type image/svg+xml: expected one of image/png"),
        (b"\xff\xfe\xfa", "application/json", 400, "the body is no JSON"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_question_is_one_sentence(client, body, kind, status, said):
    for path in ("retrieve", "predict", "embed"):
        found = client.ask("POST", f"/api/{path}", body, {"Content-Type": kind} if kind else {})
        assert found[0] == status
        assert said in found[2]["error"]["message"]
    assert client.get("/api/health")[0] == 200


def test_words_behind_an_address_are_checked(client):
    content = png(drawn("red", 1))
    for query, said in (
        ("stream=text", "text: bytes, expected a text"),
        ("stream=other", "streams.other: expected one of image, text"),
        ("top_k=many", "top_k=many: expected a whole number"),
        ("top=3", "?top=: expected one of stream, top_k, of, by, split"),
        ("&".join(f"a{i}=1" for i in range(40)), "Max number of fields exceeded"),
    ):
        status, _, found = client.ask("POST", f"/api/retrieve?{query}", content, PNG)
        assert status in (400, 422)
        assert said in found["error"]["message"], query


def test_eight_threads_get_what_one_gets(client):
    """Requests of several kinds at once: no answer is another's."""
    questions = [("retrieve", {"streams": {"text": f"a {c} square"}, "top_k": 4}) for c in COLOURS]
    questions += [("predict", {"streams": {"image": base(png(drawn(c, 900)))}}) for c in COLOURS]
    alone = [_bare(client.post(f"/api/{path}", content)) for path, content in questions]
    found = {}

    def run(i):
        found[i] = [
            _bare(client.post(f"/api/{questions[(i + j) % 8][0]}", questions[(i + j) % 8][1])) for j in range(4)
        ]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({str(one) for one in alone}) == 8
    for i in range(8):
        for j in range(4):
            assert found[i][j] == alone[(i + j) % 8]


def _bare(found):
    status, answer = found
    assert status == 200
    return {k: v for k, v in answer.items() if k != "milliseconds"}


def test_too_many_at_once_are_sent_away(captioned):
    with served(captioned / "run", limits=Limits(waiting=2)) as client:
        statuses = []

        def run():
            statuses.append(client.post("/api/embed", {"streams": {"text": "red"}})[0])

        with client.model.turn():
            threads = [threading.Thread(target=run) for _ in range(6)]
            for thread in threads:
                thread.start()
            while len(statuses) < 4:
                threads[0].join(0.01)
        for thread in threads:
            thread.join(60)
        assert sorted(statuses) == [200, 200, 503, 503, 503, 503]


def test_a_run_of_arrays_with_masks_takes_them(specimens):
    source = Specimens(individuals=64, species=4, size=16)
    cube, mask = source.array(0)
    own = load(specimens / "run").predict(rgb=cube[:3], uv=cube[3:], mask=mask)["species"]
    with served(specimens / "run") as client:
        run = client.get("/api/run")[2]
        assert [(s["name"], s["accepts"], s["masked"]) for s in run["streams"]] == [
            ("rgb", ["picture", "numbers"], True), ("uv", ["picture", "numbers"], True),
        ]  # fmt: skip
        assert run["heads"][0]["classes"] == own.classes
        streams = {"rgb": cube[:3].tolist(), "uv": cube[3:].tolist()}
        status, found = client.post("/api/predict", {"streams": streams, "mask": mask.astype(int).tolist()})
        assert status == 200, found
        assert found["answers"]["species"]["value"] == own.value[0]
        client.wrong("/api/predict", {"streams": streams}, 422, "trained with the specimen's mask; give mask=")
        status, found = client.post(
            "/api/retrieve", {"streams": streams, "mask": mask.astype(int).tolist(), "top_k": 1}
        )
        assert (found["by"], found["of"]) == ("fused", "fused")
        assert found["results"][0]["id"] == source.samples["id"][0]
        assert found["results"][0]["score"] == pytest.approx(1, abs=1e-5)
        assert set(found["results"][0]["pictures"]) == {"rgb", "uv"}


def test_names_of_data_are_told_as_they_are(client):
    """JSON carries them; the page sets them as text."""
    found = client.post("/api/retrieve", {"streams": {"text": "a red square"}, "top_k": 40, "of": "text"})[1]
    assert any(HOSTILE in text for one in found["results"] for text in one["texts"]["text"])
