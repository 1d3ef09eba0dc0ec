"""Rare differences: a floor on the standard error where few or no groups differ, since their variance then says too little."""

from __future__ import annotations

import numpy as np
from scipy import stats

from multimodal_lab.stats.paired import Paired


def least_se(pairs: Paired, level: float = 0.95) -> float:
    """The standard error of the mean if as many groups differ as may do at the given confidence level.

    k of G groups differ at all. Their number is taken at its upper bound (Clopper & Pearson 1934), which is some 3 where k is 0
    (the rule of three: Hanley & Lippman-Hand 1983), and each of them to move the mean as those that were seen do; by its
    whole share where none was. Where all groups differ it is their own spread. Of a score over classes the floors of these
    together, where that is more: a rare class may differ where all others agree.
    """
    classes = [weight * least_se(own, level) for weight, own in pairs.strata]
    return max(float(np.linalg.norm(classes)), _least_se(pairs, level))


def _least_se(pairs: Paired, level: float) -> float:
    groups, shares = len(pairs.names), pairs.shares
    k = int(np.any(pairs.sums != 0, axis=(0, 1)).sum())
    most = groups * float(stats.beta.ppf(level, k + 1, groups - k)) if k < groups else float(groups)
    if k == 0:
        return float((most * (shares**2).mean()) ** 0.5)
    spread = float(((pairs.by_group - pairs.mean * shares) ** 2).sum())
    return float((most / k * spread) ** 0.5)
