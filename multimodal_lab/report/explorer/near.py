"""Nearest neighbours of every sample, within each space and across modalities."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.subsets import FUSED
from multimodal_lab.metric.neighbours import top_k

K = 8


@dataclass(frozen=True)
class Near:
    """index (N, k): rows of the samples in `key` nearest to each in `query`, -1 for none; closeness (N, k): cosine.

    space: `own` (within one space), `projection` (both as a contrastive loss saw them) or `width` (spaces of one
    width, which nothing need have aligned).
    """

    query: str
    key: str
    space: str
    index: np.ndarray
    closeness: np.ndarray


def near(e: Embeddings, names: list[str], k: int = K) -> list[Near]:
    """Within every name's own space, a sample itself left out; then between every two modalities with a common space.

    Between two, the sample itself is among those that can be found. `fused` is no modality: it has seen them all.
    """
    found = [within(e, name, k) for name in names]
    streams = [name for name in names if name != FUSED]
    return found + [one for a, b in permutations(streams, 2) if (one := across(e, a, b, k)) is not None]


def within(e: Embeddings, name: str, k: int = K) -> Near:
    """Of the samples that have the modality, by cosine of their embeddings, not of their places on a map."""
    rows = np.flatnonzero(e.present[name])
    k = min(k, max(0, len(rows) - 1))
    index, closeness = np.full((len(e), k), -1), np.zeros((len(e), k), np.float32)
    if k:
        x = torch.from_numpy(e.vectors[name][rows])
        values, columns = (t.numpy() for t in top_k(x, x, k + 1))
        own = columns == np.arange(len(rows))[:, None]
        own[~own.any(1), -1] = True  # one with enough exact copies need not find itself
        index[rows], closeness[rows] = rows[columns[~own]].reshape(-1, k), values[~own].reshape(-1, k)
    return Near(name, name, "own", index, closeness)


def across(e: Embeddings, a: str, b: str, k: int = K) -> Near | None:
    """The samples whose `b` is nearest to each sample's `a`, in the projections if both have one; None without a space."""
    projected = a in e.projected and b in e.projected
    x, y = e.space(a, projected), e.space(b, projected)
    queries, keys = np.flatnonzero(e.present[a]), np.flatnonzero(e.present[b])
    if x.shape[1] != y.shape[1] or not len(queries) or not len(keys):
        return None
    k = min(k, len(keys))
    index, closeness = np.full((len(e), k), -1), np.zeros((len(e), k), np.float32)
    values, columns = (t.numpy() for t in top_k(torch.from_numpy(x[queries]), torch.from_numpy(y[keys]), k))
    index[queries], closeness[queries] = keys[columns], values
    return Near(a, b, "projection" if projected else "width", index, closeness)
