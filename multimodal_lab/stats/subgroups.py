"""Where a difference of two arms lies: the study's test within each class or subgroup, with false-discovery control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from multimodal_lab.stats.crossed import Crossed, crossed
from multimodal_lab.stats.paired import paired

FEWEST = 5  # groups of a subgroup: of 3, what is found is false somewhat too often (.06) and true gains hardly ever are (.04)
LEVEL = 0.05  # of all subgroups that are found, the share that is allowed to be found by chance


@dataclass(frozen=True)
class Subgroup:
    """The samples of one name: how many, in how many groups, and what the arm gains on them.

    q: p after Benjamini and Hochberg's correction over the subgroups of one column; None where fewer than `FEWEST` groups, or one
    seed, say too little of others, so that it was not tested.
    """

    name: str
    n: int
    groups: int
    gain: Crossed
    q: float | None

    @property
    def found(self) -> Literal["gains", "loses", ""]:
        """What was found at `LEVEL`."""
        if self.q is None or self.q > LEVEL:
            return ""
        return "gains" if self.gain.mean > 0 else "loses"


def subgroups(
    baseline: np.ndarray,
    arm: np.ndarray,
    groups: np.ndarray,
    names: np.ndarray,
    test_per_train: float | None = None,
) -> list[Subgroup]:
    """Every subgroup's gain, in the order of their names.

    baseline, arm (S, R, N) and groups (N,) as in `paired`; names (N,): the subgroup of every sample, None of none. Each is
    tested by `crossed`, restricted to its samples; p is two-sided. Benjamini & Hochberg 1995, whose rate holds under positive
    dependence (Benjamini & Yekutieli 2001), as of subgroups that share the seeds.
    """
    found = []
    for name in sorted({n for n in names.tolist() if n is not None}):
        rows = names == name
        own = restricted([baseline, arm], rows)
        if own is None:
            continue
        one, other = own
        gain = crossed(paired(one, other, groups[rows]), test_per_train).widened()
        tested = int((~np.isnan(one[0])).any(0).sum())
        found.append(Subgroup(str(name), tested, gain.groups, gain, None))
    known = [s for s in found if s.groups >= FEWEST and np.isfinite(s.gain.se)]
    adjusted = stats.false_discovery_control([s.gain.p for s in known], method="bh") if known else []
    q = {s.name: float(x) for s, x in zip(known, adjusted, strict=True)}
    return [Subgroup(s.name, s.n, s.groups, s.gain, q.get(s.name)) for s in found]


def restricted(scores: Sequence[np.ndarray], rows: np.ndarray) -> list[np.ndarray] | None:
    """Scores (S, R, N) of the rows (N,) alone, without the splits that test none of them; None where no split does."""
    there = ~np.isnan(scores[0][0][:, rows]).all(1)
    return [s[:, there][:, :, rows] for s in scores] if there.any() else None
