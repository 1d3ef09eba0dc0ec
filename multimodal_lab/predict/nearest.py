"""Nearest items of another stream, by the cosine of their embeddings."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from multimodal_lab.data.source import DataError
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.predict.index import Index
from multimodal_lab.predict.indexing import SPACES
from multimodal_lab.text import expected_one_of


def searched(name: str, of: str | None, streams: Collection[str]) -> str:
    """The stream to search in: `of`, else the other one, where there are two, or the same, where there is one."""
    own = [n for n in streams if n != "fused"]
    others = [n for n in own if n != name] or own
    if of is None and len(others) == 1:
        return others[0]
    if of is None or of not in streams:
        raise DataError(f"of={of}: {expected_one_of(of or name, streams)}")
    return of


def nearest(query: Embeddings, name: str, index: Index, top_k: int) -> pd.DataFrame:
    """The `top_k` items of an index nearest to `name` of each query, best first.

    Columns: query (its id), rank (from 1), id, score (the cosine), and the index's own, such as split and caption.
    `DataError` for an empty index, and one of another space.
    """
    if not len(index):
        raise DataError(f"the index of {index.facts.get('stream', 'the samples')} is empty: nothing to search in")
    projected = index.facts.get("space") == SPACES[True]
    x = query.space(name, projected)
    if projected and name not in query.projected:
        raise DataError(f"the index is of projected vectors, and this run has no projection of {name}")
    if x.shape[1] != index.width:
        of = index.facts.get("stream", "the index")
        raise DataError(
            f"{name} has vectors of width {x.shape[1]} and {of} of {index.width}: no loss has put them into one space"
        )
    rows = np.flatnonzero(query.present[name])
    if not len(rows):
        raise DataError(f"{name}: nothing is asked: every query is missing or blank")
    scores, found = index.search(x[rows], top_k)
    width = found.shape[1]
    flat = found.reshape(-1)
    made = {
        "query": np.repeat(np.asarray(query.ids, dtype=object)[rows], width),
        "rank": np.tile(np.arange(1, width + 1), len(rows)),
        "id": np.asarray(index.ids, dtype=object)[flat],
        "score": scores.reshape(-1),
    }
    return pd.DataFrame({**made, **{k: np.asarray(v, dtype=object)[flat] for k, v in index.columns.items()}})
