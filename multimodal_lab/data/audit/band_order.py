"""Optical bands in another order than the card's: bands that are neighbours in wavelength go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np

from multimodal_lab.data.audit.finding import Finding
from multimodal_lab.types import Band

FEWEST, LEAST, MOST = 20, 4, 40  # samples; bands, and at most so many
# Of Sentinel-2's bands in their order no exchange gains more than .02, one of visible and infrared bands .9 to 2.6.
GAIN = 0.3


def swapped(name: str, bands: Sequence[Band], means: np.ndarray) -> Iterator[Finding]:
    """Two bands of which an exchange makes the correlations of neighbours in wavelength add up to clearly more.

    means (N, C): of each band of each sample, NaN where it has no value. Bands of like colour, such as red and blue, can be
    exchanged unseen.
    """
    optical = [i for i, b in enumerate(bands) if b.nm is not None and "reflectance" in b.unit.lower()]
    order = sorted(dict.fromkeys(optical), key=lambda i: float(bands[i].nm or 0))
    if not LEAST <= len(order) <= MOST or not len(means):
        return
    known = means[np.isfinite(means[:, order]).all(1)][:, order]
    if len(known) < FEWEST or (known.std(0) == 0).any():
        return
    r = np.corrcoef(known.T)
    before = _together(r, list(range(len(order))))
    gains = {(i, j): _together(r, _exchanged(len(order), i, j)) - before for i, j in combinations(range(len(order)), 2)}
    (i, j), gain = max(gains.items(), key=lambda item: item[1])
    if gain > GAIN:
        a, b = (bands[order[k]].name for k in (i, j))
        sentence = (
            f"stream {name}: {a} and {b} may be swapped: bands that are neighbours in wavelength correlate by "
            f"{before / (len(order) - 1):.2f} on average, and by {(before + gain) / (len(order) - 1):.2f} with these two "
            "exchanged; compare the order of the bands in the data's card with the files"
        )
        yield Finding("band order", f"{name}.{a}", sentence, False, 2, (a, b))


def _together(r: np.ndarray, order: Sequence[int]) -> float:
    return float(sum(r[a, b] for a, b in pairwise(order)))


def _exchanged(count: int, i: int, j: int) -> list[int]:
    order = list(range(count))
    order[i], order[j] = j, i
    return order
