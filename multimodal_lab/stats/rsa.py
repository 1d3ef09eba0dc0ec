"""Representational similarity (RSA) over pairs of samples of different groups."""

from __future__ import annotations

import numpy as np

from multimodal_lab.metric.similarity import cosine
from multimodal_lab.stats.grouped import apart, numbered, shares
from multimodal_lab.stats.resample import Through


def ranks(x: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """(N, N): where a pair's cosine stands among all pairs of x (N, D) of two groups (N,), centred; 0 where the group is one.

    Pairs weigh so that each two groups count the same; ranks are the weighted distribution function, in the middle of ties.
    Scaled by the root of half the weight, and to a norm of 1: the product of two such, summed, is Spearman's correlation.
    NaN where all are equal.
    """
    index = numbered(groups, len(x))
    upper = np.nonzero(np.triu(apart(index)))
    own = shares(index)
    weights = own[upper[0]] * own[upper[1]]
    weights /= weights.sum()
    # cosines that should tie differ in the last bits: without rounding, equal similarities would be ranked by noise
    values, place = np.unique(cosine(x)[upper].round(12), return_inverse=True)
    mass = np.bincount(place, weights, len(values))
    standing = (np.cumsum(mass) - mass / 2)[place]
    scaled = np.sqrt(weights) * (standing - weights @ standing)
    found = np.zeros((len(x), len(x)))
    # 1e-9: all equal, but for rounding
    found[upper] = scaled / (norm * 2**0.5) if (norm := float(np.linalg.norm(scaled))) > 1e-9 else np.nan
    return found + found.T


rsa = Through(ranks, ranks)
"""Spearman correlation of the cosines of x (N, D) and of y (N, E); with groups of one row it is `metric.similarity.rsa`."""
