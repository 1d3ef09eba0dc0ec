"""Nearest-duplicate search: whitened signatures, correlation, and a 64-bit perceptual hash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BITS = 64
LEARNT = 4096  # training samples that the mean and the components are learnt from, evenly spaced
FEWEST = 20  # of which at least so many are needed for the components of vectors
NARROWEST = 16  # numbers that a vector needs
NOISE = 0.01  # of the largest deviation: smaller components say nothing
SHARE = 16384  # samples at a time


@dataclass(frozen=True)
class Space:
    """unit (N, W) float32: deviations of length 1, 0 where a sample has none. hash (N,) uint64, of `bits` bits."""

    unit: np.ndarray
    hash: np.ndarray
    bits: int


def space(signatures: np.ndarray, train: np.ndarray, whiten: bool) -> Space | None:
    """Place signatures (N, W) among those of the rows `train`; None where these are too few to learn from.

    What all samples share (pose, background, the mean spectrum) is taken off: it tells nobody apart. The bits are the signs
    along the training set's first 64 principal components: half of the samples lie on either side of each, whatever the
    set, so that likeness of kind makes no collisions; against the median of single cosine coefficients, as in pHash,
    drawings that are symmetric lose half of their bits to noise. whiten: of vectors, whose bands go together, every component
    counts alike in the correlation (down to 1 % of the largest), so that the noise that a copy keeps, and a second
    measurement does not, weighs as much as the shape that all share.
    """
    there = train[np.linalg.norm(signatures[train], axis=1) > 0.5]
    if len(there) < (FEWEST if whiten else 2) or (whiten and signatures.shape[1] < NARROWEST):
        return None
    learnt = signatures[there[np.linspace(0, len(there) - 1, min(LEARNT, len(there))).astype(int)]].astype(np.float64)
    mean = learnt.mean(0)
    deviations = learnt - mean
    if not whiten:
        deviations /= np.maximum(np.linalg.norm(deviations, axis=1, keepdims=True), 1e-9)
    values, vectors = np.linalg.eigh(deviations.T @ deviations / len(deviations))
    spread = np.sqrt(np.maximum(values[::-1][:BITS], 0))
    kept = spread > spread[0] * (1e-4 if whiten else NOISE)
    if not kept.any() or spread[0] < 1e-6:
        return None
    axes = vectors[:, ::-1][:, :BITS][:, kept]
    if whiten:
        axes = axes / (spread[kept] + NOISE * spread[0])
    return _placed(signatures, mean, axes, whiten)


def _placed(signatures: np.ndarray, mean: np.ndarray, axes: np.ndarray, whiten: bool) -> Space:
    mean, axes = mean.astype(np.float32), axes.astype(np.float32)
    count, width = signatures.shape
    unit = np.zeros((count, axes.shape[1] if whiten else width), dtype=np.float32)
    found = np.zeros(count, dtype=np.uint64)
    power = np.uint64(1) << np.arange(axes.shape[1], dtype=np.uint64)
    for start in range(0, count, SHARE):
        rows = slice(start, start + SHARE)
        there = np.linalg.norm(signatures[rows], axis=1) > 0.5
        own = (signatures[rows] - mean) * there[:, None]
        at = own @ axes
        found[rows] = ((at > 0) * power).sum(1, dtype=np.uint64)
        own = at if whiten else own
        unit[rows] = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-9)
    return Space(unit, found, axes.shape[1])


def within(base: np.ndarray, query: np.ndarray, bits: int, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs (place in base, place in query) of hashes (…,) uint64 that differ in at most `most` of `bits` bits.

    Multi-index hashing (Norouzi, Punjani & Fleet 2014): of m bands one differs in at most most // m bits, so that looking up
    each band and its near values misses no pair. Exact; time and memory follow the number of like hashes, not its square.
    """
    bands = max(1, min(4, bits // 8))
    cuts = [bits * k // bands for k in range(bands + 1)]
    for k in range(bands):
        low, width = np.uint64(cuts[k]), cuts[k + 1] - cuts[k]
        mine, theirs = (((h >> low) & np.uint64(2**width - 1)).astype(np.int64) for h in (base, query))
        order = np.argsort(mine, kind="stable")
        ranked = mine[order]
        for flip in _flips(width, most // bands):
            start = np.searchsorted(ranked, theirs ^ flip, side="left")
            end = np.searchsorted(ranked, theirs ^ flip, side="right")
            for i, j in _joined(start, end, order):
                differ = base[i] ^ query[j]
                near = np.bitwise_count(differ) <= most
                for earlier in range(k):  # a pair that an earlier band has found is not told again
                    part = (differ >> np.uint64(cuts[earlier])) & np.uint64(
                        2 ** (cuts[earlier + 1] - cuts[earlier]) - 1
                    )
                    near &= np.bitwise_count(part) > most // bands
                yield i[near], j[near]


def _flips(width: int, most: int) -> list[int]:
    """The masks of `width` bits with at most `most` set, which is 0, 1 or, of one band, more."""
    found = [0]
    for _ in range(most):
        found = sorted({f | 1 << bit for f in found for bit in range(width)} | set(found))
    return found


def _joined(start: np.ndarray, end: np.ndarray, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs of every query with the base rows from `start` to `end` of `order`, some at a time."""
    counts = end - start
    some = np.flatnonzero(counts)
    ends = np.cumsum(counts[some])
    at = 0
    while at < len(some):
        before = int(ends[at - 1]) if at else 0
        to = max(at + 1, int(np.searchsorted(ends, before + SHARE, side="right")))
        own = some[at:to]
        total = int(counts[own].sum())
        places = np.arange(total) - np.repeat(ends[at:to] - counts[own] - before, counts[own])
        yield order[np.repeat(start[own], counts[own]) + places], np.repeat(own, counts[own])
        at = to
