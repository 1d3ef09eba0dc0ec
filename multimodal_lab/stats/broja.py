"""Partial information decomposition of a table by BROJA: redundant, unique and synergistic information about a label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Information:
    """Bits about the label: in both modalities, in the first alone, in the second alone, in the two only together."""

    redundant: float
    unique1: float
    unique2: float
    synergy: float

    @property
    def total(self) -> float:
        """I(Y; X1 X2), the sum of the four."""
        return self.redundant + self.unique1 + self.unique2 + self.synergy


def decompose(p: np.ndarray, steps: int = 2000, tolerance: float = 1e-7) -> Information:
    """Partial information decomposition of p (A, B, Y), the joint distribution of two discrete sources and a label.

    BROJA (Bertschinger et al. 2014): unique and redundant information depend on the pairs (X1, Y) and (X2, Y) only, so
    they are those of the q with p's pairs that tells least together: synergy = I_p - min_q I_q(Y; X1 X2), unique1 =
    min I_q - I(Y; X2), redundant = I(Y; X1) - unique1. Found by alternating projections (Banerjee et al. 2018): for each
    label, scale q's X1 X2 marginal to both pairs. Right to about 1e-4 bits where the optimum lies on an edge.
    """
    return Information(*map(float, decomposed(np.asarray(p, float)[None], steps, tolerance)[0]))


def decomposed(p: np.ndarray, steps: int, tolerance: float) -> np.ndarray:
    """The four parts (M, 4) of tables p (M, A, B, Y), all at once."""
    if p.ndim != 4 or (p < 0).any() or not np.allclose(p.sum((1, 2, 3)), 1):
        raise ValueError(f"p is {p.shape[1:]} and sums to {p.sum() / len(p):g}, expected a distribution (A, B, Y)")
    least = _mutual(_least(p, steps, tolerance))
    whole, one, two = _mutual(p), _mutual(p.sum(2, keepdims=True)), _mutual(p.sum(1, keepdims=True))
    # convergence stops a little above the minimum; the parts are never below 0
    least = np.minimum(np.maximum(np.maximum(least, one), two), whole)
    least = np.where(whole >= np.maximum(one, two), least, whole)
    return np.stack([one + two - least, least - two, least - one, whole - least], 1)


def _least(p: np.ndarray, steps: int, tolerance: float) -> np.ndarray:
    """The q (M, A, B, Y) with p's (X1, Y) and (X2, Y) pairs that tell least of Y, by alternating projections."""
    left, right, label = p.sum(2), p.sum(1), p.sum((1, 2))
    q: np.ndarray = left[:, :, None] * right[:, None] / np.where(label > 0, label, 1)[:, None, None]
    a, b, before, going = np.ones(left.shape), np.ones(right.shape), np.full(len(p), np.inf), np.arange(len(p))
    for step in range(steps):
        both = q[going].sum(3)
        # the scales of the step before are nearly right for this one
        a[going], b[going] = _scales(both, left[going], right[going], a[going], b[going], 3, 1e-9)
        q[going] = both[..., None] * a[going][:, :, None] * b[going][:, None]
        if step % 20 == 0:
            now = _mutual(q[going])
            still = before[going] - now >= tolerance
            before[going] = now
            going = going[still]
            if not len(going):
                break
    both = q.sum(3)
    a, b = _scales(both, left, right, a, b, 1000, 1e-12)
    return np.asarray(both[..., None] * a[:, :, None] * b[:, None])


def _scales(
    both: np.ndarray, left: np.ndarray, right: np.ndarray, a: np.ndarray, b: np.ndarray, most: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """a (M, A, Y), b (M, B, Y) with which both (M, A, B) x a x b has the pairs left and right, of their shapes: Sinkhorn 1967."""
    a, b, going = a.copy(), b.copy(), np.arange(len(both))
    seen = both @ b
    for _ in range(most):
        a[going] = _ratio(left, seen)
        b[going] = _ratio(right, both.transpose(0, 2, 1) @ a[going])
        seen = both @ b[going]
        far = np.abs(a[going] * seen - left).max((1, 2)) >= tolerance
        if not far.all():
            both, left, right, seen, going = both[far], left[far], right[far], seen[far], going[far]
        if not len(going):
            break
    return a, b


def _ratio(wanted: np.ndarray, there: np.ndarray) -> np.ndarray:
    scale: np.ndarray = np.divide(wanted, there, out=np.zeros(wanted.shape), where=there > 0)
    return scale


def _mutual(p: np.ndarray) -> np.ndarray:
    """I(Y; X1 X2) in bits of each p (M, A, B, Y)."""
    apart = p.sum(3, keepdims=True) * p.sum((1, 2), keepdims=True)
    told = (p > 0) & (apart > 0)
    found: np.ndarray = (p * np.log2(np.divide(p, apart, out=np.ones(p.shape), where=told))).sum((1, 2, 3))
    return found
