"""One sample among many whose bands were stored in another order: its mean spectrum is like no other's, and in another order is.

Log mean reflectances of the samples of a set lie in an ellipsoid (Mahalanobis' distance to their mean), of which
the tenth that lies farthest is left out where it is fitted, so that what is wrong does not widen it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

from multimodal_lab.data.audit.finding import Finding, listed
from multimodal_lab.types import Band

FEWEST, LEAST, MOST = 40, 4, 40  # samples, and no fewer than `PER_BAND` a band; bands, and at most so many
PER_BAND = 5
USUAL = 0.9  # share of the samples whose distance is called usual, up to the largest among them
# Times that. In 1,026 samples, real and made, none in its own order fell by more than 1.2 where another order ended in the usual.
GAIN = 4.0
RIDGE, ROUNDS = 1e-3, 6
BETTER = 0.99  # of the distance, from which a step counts
FLOOR = 1e-4  # of the median value: the logarithm of what is darker, or below zero, is its


def odd(name: str, bands: Sequence[Band], means: np.ndarray, ids: Sequence[str]) -> Iterator[Finding]:
    """Samples of which another order of the optical bands, a few exchanges, moves and reversals away, is among the usual spectra.

    means (N, C): of each band of each sample, NaN where it has no value; ids: of the samples. That the order is wrong in all of
    them is not seen here, see `band_order`.
    """
    at = [i for i, b in enumerate(bands) if "reflectance" in b.unit.lower()]
    if not LEAST <= len(at) <= MOST or len(means) < max(FEWEST, PER_BAND * len(at)):
        return
    known = np.flatnonzero(np.isfinite(means[:, at]).all(1))
    values = means[known][:, at]
    if len(known) < max(FEWEST, PER_BAND * len(at)) or (values.std(0) == 0).any():
        return
    logs = np.log(np.maximum(values, FLOOR * abs(np.median(values)) or 1.0))
    center, inverse, far = _spread(logs)
    usual = float(np.quantile(far, USUAL))
    found: list[tuple[str, list[int], float, float]] = []
    for i in np.flatnonzero(far > (GAIN * usual)):
        order, left = _nearest(logs[i], center, inverse)
        if far[i] - left > GAIN * usual and left < usual:
            found.append((ids[known[i]], order, far[i] / usual, left / usual))
    if found:
        first, order, before, after = found[0]
        lie = ", ".join(bands[at[k]].name for k in np.argsort(order))
        who = (
            f"{len(found)} samples, such as {listed(tuple(f[0] for f in found))},"
            if len(found) > 1
            else f"sample {first!r}"
        )
        sentence = (
            f"stream {name}: {who} may hold the bands in another order than the rest: the mean spectrum of {first} lies "
            f"{before:.3g} times as far out as nine tenths of the samples', and {after:.2g} times if its bands are {lie}; "
            "see how the file was written"
        )
        yield Finding("band order", f"{name}.{first}", sentence, False, len(found), tuple(f[0] for f in found[:20]))


def _spread(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean, the inverse covariance, and every row's squared distance by them, of the rows (N, C) but the farthest tenth."""
    kept = np.ones(len(x), dtype=bool)
    for _ in range(ROUNDS):
        center, spread = x[kept].mean(0), np.cov(x[kept].T)
        inverse = np.linalg.inv(spread + RIDGE * np.trace(spread) / len(spread) * np.eye(len(spread)))
        far = _distance(x, center, inverse)
        kept = far <= np.quantile(far, USUAL)
    return center, inverse, far


def _distance(x: np.ndarray, center: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ij,jk,ik->i", x - center, inverse, x - center))


def _nearest(x: np.ndarray, center: np.ndarray, inverse: np.ndarray) -> tuple[list[int], float]:
    """The order of the values that lies nearest, step by step, and its squared distance."""
    order, steps = np.arange(len(x)), _steps(len(x))
    left = float(_distance(x[None], center, inverse)[0])
    while True:
        tried = order[steps]
        far = _distance(x[tried], center, inverse)
        best = int(far.argmin())
        if far[best] >= BETTER * left:
            return order.tolist(), left
        order, left = tried[best], float(far[best])


@lru_cache
def _steps(count: int) -> np.ndarray:
    """Every order that one exchange of two, one move of neighbours or one reversal of neighbours makes."""
    whole = list(range(count))
    made = set()
    for i, j in combinations(range(count), 2):
        exchanged = whole.copy()
        exchanged[i], exchanged[j] = j, i
        made |= {tuple(exchanged), tuple(whole[:i] + whole[i : j + 1][::-1] + whole[j + 1 :])}
        made |= {tuple(whole[:i] + whole[j:k] + whole[i:j] + whole[k:]) for k in range(j + 1, count + 1)}
    return np.array(sorted(made))
