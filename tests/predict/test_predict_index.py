"""An index of vectors is searched exactly, and comes back from disk as it was."""

import json

import numpy as np
import pytest

from multimodal_lab.data.source import DataError
from multimodal_lab.predict import faiss_index
from multimodal_lab.predict.index import Index


def drawn(n, seed=0, width=8):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


@pytest.fixture
def index():
    made = Index(8, facts={"stream": "image", "weights": "abc"})
    made.add(drawn(20), [f"a{i}" for i in range(20)], caption=[f"words {i}" for i in range(20)])
    made.add(drawn(10, 1), [f"b{i}" for i in range(10)], path=[f"b/{i}.png" for i in range(10)])
    return made


def test_the_nearest_are_those_of_plain_cosines(index):
    queries, every = drawn(5, 2), np.concatenate([drawn(20), drawn(10, 1)])
    cosine = (queries / np.linalg.norm(queries, axis=1)[:, None]) @ (every / np.linalg.norm(every, axis=1)[:, None]).T
    scores, rows = index.search(queries, 7)
    assert np.array_equal(rows, np.argsort(-cosine, axis=1)[:, :7])
    np.testing.assert_allclose(scores, np.take_along_axis(cosine, rows, 1), atol=1e-6)
    assert index.search(queries[0], 99)[1].shape == (1, 30)  # as many as there are
    assert index.ids[20] == "b0"
    assert index.columns["caption"][19:21] == ["words 19", None]
    assert index.columns["path"][19:21] == [None, "b/0.png"]


def test_faiss_finds_the_same(index):
    other = Index(8, backend="faiss")
    other.add(index.vectors, index.ids)
    queries = drawn(6, 3)
    scores, rows = index.search(queries, 5)
    found, at = other.search(queries, 5)
    assert np.array_equal(at, rows)
    np.testing.assert_allclose(found, scores, atol=1e-6)
    other.add(queries[:1] * 3, ["itself"])  # a vector that was added after a search is found, too
    assert other.search(queries[0], 1)[1] == 30


def test_without_faiss_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(faiss_index.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"backend=faiss needs FAISS: pip install .*faiss"):
        Index(8, backend="faiss")
    with pytest.raises(DataError, match="backend=annoy: expected one of tiles, faiss, hnsw"):
        Index(8, backend="annoy")


@pytest.mark.parametrize("backend", ["tiles", "faiss"])
def test_a_saved_index_is_the_same_and_holds_plain_data_alone(index, tmp_path, backend):
    index.save(tmp_path / "kept")
    assert {p.name for p in (tmp_path / "kept").iterdir()} == {"index.json", "vectors.safetensors"}
    again = Index.load(tmp_path / "kept", backend)
    assert (again.ids, again.columns, again.facts) == (index.ids, index.columns, index.facts)
    assert np.array_equal(again.search(drawn(4, 5), 3)[1], index.search(drawn(4, 5), 3)[1])
    again.require(stream="image", weights="abc")
    with pytest.raises(DataError, match="the index is of weights abc, expected def: make it again"):
        again.require(weights="def")


def test_an_empty_index_and_what_has_no_direction_are_told(tmp_path):
    empty = Index(8)
    with pytest.raises(DataError, match="the index is empty: nothing to search in"):
        empty.search(drawn(1), 3)
    empty.save(tmp_path)
    with pytest.raises(DataError, match="the index is empty"):
        Index.load(tmp_path).search(drawn(1), 3)
    with pytest.raises(DataError, match="vectors 1 is zero or not finite"):
        empty.add(np.stack([drawn(1)[0], np.zeros(8, np.float32)]), ["a", "b"])
    with pytest.raises(DataError, match=r"queries of shape \(1, 3\), expected \(N, 8\)"):
        Index(8).add(drawn(2), ["a", "b"]) or _with(2).search(np.ones(3), 1)
    with pytest.raises(DataError, match="2 vectors, but 1 ids"):
        empty.add(drawn(2), ["a"])
    with pytest.raises(DataError, match="top_k=0: expected a whole number from 1"):
        _with(2).search(drawn(1), 0)


def _with(n):
    made = Index(8)
    made.add(drawn(n), list(map(str, range(n))))
    return made


def test_a_damaged_index_is_one_sentence(index, tmp_path):
    with pytest.raises(DataError, match="no index here"):
        Index.load(tmp_path)
    index.save(tmp_path)
    whole = json.loads((tmp_path / "index.json").read_text())
    for change, said in (
        ({"ids": whole["ids"][:-1]}, "not of one index"),
        ({"sha256": "0"}, "not of one index"),
        ({"layout": 9}, "layout 9, expected 1"),
        ({"width": 7}, "not of one index"),
        ({"facts": None}, "no index can be read here"),
    ):
        (tmp_path / "index.json").write_text(json.dumps({**whole, **change}))
        with pytest.raises(DataError, match=said):
            Index.load(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps(whole))
    (tmp_path / "vectors.safetensors").write_bytes((tmp_path / "vectors.safetensors").read_bytes()[:-9])
    with pytest.raises(DataError, match="no index can be read here"):
        Index.load(tmp_path)


def test_of_equal_cosines_the_first_that_was_added_stands_first():
    made = Index(2)
    made.add(np.array([[1, 0], [0, 1], [2, 0], [1, 1]]), list("abcd"))
    for backend in ("tiles", "faiss"):
        made.use(backend)
        assert made.search(np.array([[1, 0], [0, 1]]), 4)[1].tolist() == [[0, 2, 3, 1], [1, 3, 0, 2]]


def test_an_approximate_backend_tells_its_recall():
    made = Index(8)
    made.add(drawn(3000), list(map(str, range(3000))))
    queries = drawn(40, 1)
    exact = made.search(queries, 10)[1]
    assert made.recall(queries) == 1
    made.use("hnsw")
    found = made.search(queries, 10)[1]
    share = np.mean([len({*a} & {*b}) / 10 for a, b in zip(exact.tolist(), found.tolist(), strict=True)])
    assert made.recall(queries) == pytest.approx(share)
    assert share > 0.9
