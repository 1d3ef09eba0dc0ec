"""Mined hard negatives: written by a command, and put into one batch by `data.sampling`."""

import os

import numpy as np
import pandas as pd
import pytest

from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.sampling import Sampling
from multimodal_lab.predict import load


def test_they_are_the_nearest_that_are_not_ones_own(captioned, call, tmp_path):
    run, kept = captioned
    said = call("negatives", f"run={run}", f"data.root={kept}", "by=text", "top_k=3", f"out={tmp_path}/hard.parquet")
    assert "negatives of " in said
    assert "the 3 hardest of image for each text" in said
    table = pd.read_parquet(tmp_path / "hard.parquet")
    assert list(table.columns) == ["query", "rank", "id", "score", "positive"]
    assert (table["query"] != table.id).all()
    names = sorted(set(table["query"]))
    assert len(names) == 28  # of the training split
    own = (
        load(run)
        .embed(image=[kept / name for name in names], text=[f"picture of {name[4:-4]}" for name in names])
        .projected
    )
    image, text = (own[k] / np.linalg.norm(own[k], axis=1, keepdims=True) for k in ("image", "text"))
    cosine = text @ image.T
    np.testing.assert_allclose(table.groupby("query").positive.first(), np.diag(cosine), atol=1e-5)
    np.fill_diagonal(cosine, -2)
    expected = [names[j] for i in range(len(names)) for j in np.argsort(-cosine[i])[:3]]
    assert list(table.sort_values(["query", "rank"]).id) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["by=txt"], "error: by=txt: expected one of image, text; nearest: text"),
        (["top_k=x"], "error: top_k=x: expected a whole number from 1"),
        (["out=a.html"], "error: out=a.html: expected one of .csv, .parquet"),
        (["split=tset"], "no split 'tset'"),
    ],
)
def test_what_can_not_be_mined_is_one_sentence(captioned, call, words, said):
    run, kept = captioned
    assert said in call("negatives", f"run={run}", f"data.root={kept}", *words)


@pytest.fixture
def hard(tmp_path):
    """Sample i is hard for i + 10 and i + 20, of 30."""
    samples = pd.DataFrame({"id": [f"s{i}" for i in range(30)]})
    rows = [(f"s{i}", rank, f"s{(i + 10 * rank) % 30}") for i in range(30) for rank in (1, 2)]
    pd.DataFrame(rows, columns=["query", "rank", "id"]).to_csv(tmp_path / "hard.csv", index=False)
    return samples, np.arange(30), np.arange(30) * 7919, tmp_path / "hard.csv"


def test_an_epoch_has_every_row_once_and_hard_negatives_side_by_side(hard):
    samples, rows, ids, path = hard
    sampling = Sampling("hard_negatives", negatives=str(path), per_query=2)
    sampling.require(samples, rows)
    assert "30 of 30 rows of training stand beside up to 2 hard negatives" in sampling.note(samples, rows)
    first = sampling.order(samples, rows, ids, 0, 0)
    assert sorted(first) == list(rows)
    assert all(len({row % 10 for row in three}) == 1 for three in first.reshape(10, 3))  # what is hard for each other
    assert list(first) == list(sampling.order(samples, rows[::-1], ids, 0, 0))
    assert list(first) != list(sampling.order(samples, rows, ids, 0, 1))
    alone = Sampling("hard_negatives", negatives=str(path), per_query=1).order(samples, rows, ids, 0, 0)
    assert all(two[1] == (two[0] + 10) % 30 for two in [alone[:2]])


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        ({"by": "hard_negatives"}, "by=hard_negatives and negatives=None; expected by=hard_negatives with a table"),
        ({"by": "source", "negatives": "hard.csv"}, "by=source and negatives=hard.csv"),
        ({"by": "hard_negatives", "negatives": "/none.csv"}, "data.sampling.negatives=/none.csv: no such file"),
        ({"by": "hard_negatives", "negatives": "OTHER"}, "no column 'query'; expected the table of"),
        ({"by": "hard_negatives", "negatives": "HARD"}, "names no two samples of the training split"),
    ],
)
def test_a_table_that_does_not_fit_is_one_sentence(hard, sampling, said, tmp_path):
    _, rows, _, path = hard
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    places = {"OTHER": str(tmp_path / "other.csv"), "HARD": str(path)}
    sampling = {k: places.get(v, v) for k, v in sampling.items()}
    with pytest.raises(DataError, match=said):
        Sampling(**sampling).require(pd.DataFrame({"id": [f"t{i}" for i in range(30)], "source": "a"}), rows)


def test_a_table_that_was_written_again_is_read_again(hard):
    samples, rows, _, path = hard
    sampling = Sampling("hard_negatives", negatives=str(path), per_query=2)
    assert "30 of 30" in sampling.note(samples, rows)
    pd.DataFrame({"query": ["s0"], "rank": [1], "id": ["s1"]}).to_csv(path, index=False)
    os.utime(path, ns=(1, 1))
    assert "1 of 30" in sampling.note(samples, rows)
