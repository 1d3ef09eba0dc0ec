"""`predict retrieve`: one query or many, in the run's own data or a folder, whose index is kept for as long as it is right."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal_lab.data.source import DataError
from multimodal_lab.embed import configured
from multimodal_lab.experiment.reload import embed_files
from multimodal_lab.predict import load
from multimodal_lab.predict.index import Index
from multimodal_lab.predict.retrieval_page import Hit, Query, html


@pytest.fixture
def asked(captioned, call):
    """The command on a copy of the run, which it may write to."""
    run, kept = captioned
    return lambda *words: call("retrieve", f"run={run}", *(w.replace("KEPT", str(kept)) for w in words))


@pytest.fixture
def few(captioned, tmp_path):
    """Some of the pictures and their captions, two of one picture."""
    _, kept = captioned
    shutil.copytree(kept / "img", tmp_path / "few/img")
    rows = [f"img/{i}.png,picture of {i}" for i in range(8)] + ["img/3.png,another of 3", "img/3.png,a third"]
    (tmp_path / "few/captions.csv").write_text("\n".join(["image,caption", *rows]))
    return tmp_path / "few"


def test_a_folder_is_embedded_once_and_searched_by_items(asked, few):
    said = asked("query=picture of 3", f"data.root={few}", "top_k=20")
    assert re.search(r"index of 8 items made in [\d.]+ s, kept in ", said)  # the picture of three captions is one
    assert said.count("img/3") == 1
    assert "picture of 7" in said  # the caption beside the picture
    again = asked("query=picture of 3", f"data.root={few}", "top_k=20")
    assert "used again, files and weights are as they were" in again
    assert again.splitlines()[1:] == said.splitlines()[1:]
    Image.new("RGB", (16, 16)).save(few / "img/5.png")
    assert "as the files or how they are read changed" in asked("query=picture of 3", f"data.root={few}")
    texts = asked(f"query={few}/img/2.png", f"data.root={few}", "top_k=20")
    assert "index of 10 items" in texts  # every caption is one
    assert [texts.count(caption) for caption in ("picture of 3", "another of 3", "a third")] == [1, 1, 1]


def test_what_it_finds_are_the_cosines_of_the_run(asked, captioned, few, tmp_path):
    run, _ = captioned
    predictor = load(run)
    asked("query=picture of 3", f"data.root={few}", "top_k=20", f"out={tmp_path}/found.parquet")
    found = pd.read_parquet(tmp_path / "found.parquet")
    assert list(found.columns) == ["query", "rank", "id", "score", "split", "caption"]
    text = predictor.embed(text="picture of 3").projected["text"][0]
    paths = [few / f"img/{i}.png" for i in range(8)]
    images = predictor.embed(image=paths).projected["image"]
    cosine = images @ text / np.linalg.norm(images, axis=1) / np.linalg.norm(text)
    assert [re.sub(r"_\d+$", "", i) for i in found.id] == [f"img/{i}.png" for i in np.argsort(-cosine)]
    np.testing.assert_allclose(found.score, np.sort(cosine)[::-1], atol=1e-5)
    asked("query=picture of 3", f"data.root={few}", "top_k=20", "backend=faiss", f"out={tmp_path}/by_faiss.csv")
    by_faiss = pd.read_csv(tmp_path / "by_faiss.csv")
    assert list(by_faiss.id) == list(found.id)
    said = asked("query=picture of 3", f"data.root={few}", "top_k=5", "backend=hnsw")
    assert "backend=hnsw is approximate: it finds 100.0% of the 5 nearest of these queries" in said


def test_pictures_without_a_table_are_taken_and_said_so(asked, captioned, tmp_path):
    _, kept = captioned
    shutil.copytree(kept / "img", tmp_path / "photos/sub")
    said = asked("text=picture of 3", f"data.root={tmp_path}/photos", "top_k=2", f"out={tmp_path}/page.html")
    assert "its 40 pictures are searched as stream image" in said
    (tmp_path / "photos/labels.csv").write_text("filename,country\n")
    again = asked("text=picture of 3", "data=images", f"data.root={tmp_path}/photos", "top_k=2")
    assert "its 40 pictures are searched as stream image" in again
    (tmp_path / "photos/labels.csv").unlink()
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "picture of 3" in page
    (tmp_path / "photos/bad.png").write_bytes(b"no picture")
    assert re.search(r"error: .*bad\.png", asked("text=a", f"data.root={tmp_path}/photos"))
    said = asked("text=a", f"data.root={tmp_path}/photos", "data.on_error=skip", "data.max_bad=0.1", "top_k=50")
    assert "data.on_error=skip: 1 of 41 samples can't be read" in said
    assert "index of 40 items" in said


def test_several_queries_come_from_a_file(asked, captioned, tmp_path):
    (tmp_path / "asked.txt").write_text("picture of 3\npicture of 4\n")
    asked(f"queries={tmp_path}/asked.txt", "top_k=3", f"out={tmp_path}/found.csv")
    found = pd.read_csv(tmp_path / "found.csv")
    assert list(found["query"]) == ["picture of 3"] * 3 + ["picture of 4"] * 3
    asked(f"queries={tmp_path}/asked.txt", "top_k=3", f"out={tmp_path}/page.html")  # of what the run embedded itself
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg;base64,") >= 3
    (tmp_path / "asked.txt").write_text("KEPT/img/1.png\nKEPT/img/2.png".replace("KEPT", str(captioned[1])))
    asked(f"queries={tmp_path}/asked.txt", "top_k=1", f"out={tmp_path}/page.html")  # pictures are shown themselves
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg;base64,") >= 2


def test_the_page_escapes_what_it_shows():
    bad = '<script>alert("x")</script>'
    page = html(bad, [Query(bad, None, [Hit(1, bad, 0.5, bad, None)])], [bad])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 6
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["query=a", "k=4"], "error: k=4: is called top_k now: top_k=4"),
        (["query=a", "top_k=0"], "error: top_k=0: expected a whole number from 1"),
        (["query=a", "text=b"], "error: text=b query=a: expected one query"),
        (["query=a", "queries=b"], "error: query=a queries=b: expected one query"),
        (["query=a", "out=a.xlsx"], "error: out=a.xlsx: expected one of .csv, .parquet, .html"),
        (["query=a", "backend=annoy"], "error: backend=annoy: expected one of tiles, faiss, hnsw; nearest: "),
        (["query=  "], "error: query: empty, expected words or the path of a picture"),
        (["text=\u200b"], "error: query: empty, expected words or the path of a picture"),
        (["query=/none/a.png"], "error: query=/none/a.png: no such file; as words: text=/none/a.png"),
        (["query=/none/words"], "error: query=/none/words: no such file; as words: text=/none/words"),
        (["query=KEPT/img"], "img: a folder, expected words, or one file"),
        (["query=KEPT/captions.csv"], "a file and words; say which: image=… or text=…"),
        (["queries=/none.txt"], "error: queries=/none.txt: no such file"),
        (["query=a", "of=txt"], "error: of=txt: expected one of image, text; nearest: text"),
        (["query=a", "among=/none"], "error: /none: no folder here"),
        (["query=a", "among=/none", "data.root=KEPT"], "give either among=… or data.root=…, not both"),
        (["query=a", "data.root=/none"], "data.root=/none: this folder is not there"),
        (["query=a", "data.roof=/none"], "data.roof"),
    ],
)
def test_what_can_not_be_asked_is_one_sentence(asked, words, said):
    told = asked(*words)
    assert said.replace("KEPT", "") in told.replace("KEPT", "")
    assert told.count("\n") <= 1


def test_queries_of_two_kinds_or_none_are_refused(asked, captioned, tmp_path):
    for text, said in (
        ("", "empty, expected a query a line"),
        ("a\n\nb", "line 2: empty"),
        (f"a\n{captioned[1]}/img/1.png", "queries of image and text, expected those of one stream"),
    ):
        (tmp_path / "asked.txt").write_text(text)
        assert said in asked(f"queries={tmp_path}/asked.txt")


def test_an_index_of_other_weights_or_another_stream_or_of_nothing_is_refused(captioned, tmp_path):
    run, kept = captioned
    predictor = load(run)
    index = predictor.index(of="image")
    assert len(index) == 40
    index.save(tmp_path / "own")
    assert list(predictor.retrieve(text="picture of 3", among=tmp_path / "own").id) == list(
        predictor.retrieve(text="picture of 3").id
    )
    with pytest.raises(DataError, match="the index is of stream image, expected text"):
        predictor.retrieve(image=kept / "img/1.png", among=tmp_path / "own")
    index.facts["weights"] = "others"
    with pytest.raises(DataError, match=r"the index is of weights others, expected [0-9a-f]{16}: make it again"):
        predictor.retrieve(text="a", among=index)
    empty = Index(index.width, facts={"stream": "image", "space": "projection"})
    with pytest.raises(DataError, match="the index of image is empty: nothing to search in"):
        predictor.retrieve(text="a", among=empty)
    other = Index(3, facts={"stream": "image", "space": "projection"})
    other.add(np.ones((1, 3)), ["a"])
    with pytest.raises(DataError, match=r"text has vectors of width .* and image of 3: no loss"):
        predictor.retrieve(text="a", among=other)
    with pytest.raises(DataError, match="k is called top_k now: top_k=3"):
        predictor.retrieve(text="a", k=3)


def test_the_words_of_what_the_run_embedded_stand_beside_it(asked, captioned, tmp_path):
    run, _ = captioned
    told = asked("query=picture of 3", "top_k=40").splitlines()[-40:]
    for line in told:  # img/7.png … picture of 7
        number = re.search(r"img/(\d+)\.png", line)[1]
        assert line.endswith(f" picture of {number}")
    asked("query=picture of 3", "top_k=2", f"out={tmp_path}/page.html")
    assert (tmp_path / "page.html").read_text().count("picture of ") >= 3
    index = load(run).index(among=run, of="text")  # the run's directory stands for its embeddings
    assert sorted(index.columns["caption"]) == sorted(f"picture of {i}" for i in range(40))


def test_what_embed_wrote_is_searched_with_its_words(asked, captioned, few, tmp_path):
    run, _ = captioned
    embed_files(configured(run, [f"data.root={few}"]), run, tmp_path / "own")
    index = load(run).index(among=tmp_path / "own", of="text")
    assert sorted(index.columns["caption"]) == sorted(
        [*(f"picture of {i}" for i in range(8)), "another of 3", "a third"]
    )
    assert "picture of 3" in asked("query=picture of 3", f"among={tmp_path}/own", "top_k=20")
    (tmp_path / "own/texts/texts.parquet").write_bytes(b"no table")
    told = asked("query=picture of 3", f"among={tmp_path}/own")
    assert re.match(r"error: .*own/texts/texts\.parquet: no texts of .*without that file they are not shown\n?$", told)
    (tmp_path / "own/texts/texts.parquet").unlink()
    assert "picture of" not in asked("query=picture of 3", f"among={tmp_path}/own")


def test_a_picture_that_can_not_be_one_is_told_by_itself(asked, tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    assert re.match(rf"error: {tmp_path}/a\.png: not a whole, readable image", asked(f"query={tmp_path}/a.png"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own/captions.csv").write_text("image,caption\n")
    assert asked("query=a", f"data.root={tmp_path}/own").startswith("error: captions.csv: no sample in it")


def test_words_that_the_run_never_read_are_told_before_what_they_find(asked, captioned, tmp_path):
    told = asked("query=xyz qrs", "top_k=1").splitlines()
    assert told[0] == "text: no word is known to the run, so that what it gives for it says nothing"
    assert asked("query=picture of xyz", "top_k=1").startswith("text: 33% of the words are unknown to the run")
    (tmp_path / "asked.txt").write_text("picture of 3\nxyz\n" + "picture " * 99)
    told = asked(f"queries={tmp_path}/asked.txt", "top_k=1")
    assert "text: 33% of 3 texts are longer (99 at most), of which the run reads the first 22" in told
    assert "text: of 1 of 3 texts no word is known to the run" in told
    with pytest.raises(DataError, match="text: nothing is asked: every query is missing or blank"):
        load(captioned[0]).retrieve(text=" ")
