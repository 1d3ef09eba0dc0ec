"""Nearest items of another stream, by the cosine of their embeddings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from multimodal_lab.data.source import DataError
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.text import expected_one_of


def nearest(query: Embeddings, name: str, among: Embeddings, of: str | None, k: int) -> pd.DataFrame:
    """The `k` samples of `among` whose `of` is nearest to `name` of each query, best first.

    of: None is the other stream, where there are two, or the same, where there is one. Compared is what a projection head makes
    of both, where there is one, else the vectors. Columns: query (its id), rank (from 1), id, split, score (the cosine).
    `DataError` for an unknown `of`, or vectors of two widths.
    """
    streams = [n for n in among.vectors if n != "fused"]
    others = [n for n in streams if n != name] or streams
    if of is None and len(others) == 1:
        of = others[0]
    if of is None or of not in among.vectors:
        raise DataError(f"of={of}: {expected_one_of(of or name, among.vectors)}")
    projected = name in query.projected and of in among.projected
    q, x = query.space(name, projected), among.space(of, projected)
    if q.shape[1] != x.shape[1]:
        raise DataError(
            f"{name} has vectors of width {q.shape[1]} and {of} of {x.shape[1]}: no loss has put them into one space"
        )
    rows, there = np.flatnonzero(query.present[name]), np.flatnonzero(among.present[of])
    cosine = _unit(q[rows]) @ _unit(x[there]).T
    best = cosine.topk(min(k, len(there)), dim=1)
    found = there[best.indices.numpy()]
    width = found.shape[1]
    ids, splits = np.asarray(among.ids, dtype=object), np.asarray(among.split, dtype=object)
    return pd.DataFrame(
        {
            "query": np.repeat(np.asarray(query.ids, dtype=object)[rows], width),
            "rank": np.tile(np.arange(1, width + 1), len(rows)),
            "id": ids[found].reshape(-1),
            "split": splits[found].reshape(-1),
            "score": best.values.numpy().reshape(-1),
        }
    )


def _unit(x: np.ndarray) -> torch.Tensor:
    return F.normalize(torch.as_tensor(x).float(), dim=1)
