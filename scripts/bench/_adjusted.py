"""Whether a covariate of the groups gives the study's test more power, for `calibration.py adjusted`.

The covariate of a group is how hard it is: the score of both controls, shuffled and of no more information. The difference of the
arms is regressed on it over the groups, and the groups' part of the variance is what is left. `conditional`: the mean that is
told is that at the mean covariate of the groups tested, which is the plain mean. `known`: that at the mean of all groups,
as if infinitely many more had a covariate and no test.
"""

from __future__ import annotations

import numpy as np
from _many_studies import WORLDS, Studies, World, draw_studies
from _rates import upper
from scipy import stats

from multimodal_lab.stats.verdict import ONE_SIDED

BASELINE, FUSED, FIRST, SECOND = range(4)
SEEDS, GAIN = 5, 0.4


def adjusted(studies: Studies, shift: float) -> dict[str, np.ndarray]:
    """One-sided p of a gain above 0 of every study: plain, conditional and known. One split."""
    low, high = (BASELINE, 0.0), (FUSED, shift)
    plain = studies.test(low, high)
    counts = studies.counts[:, 0].astype(float)
    share = counts / counts.sum(1, keepdims=True)
    apart = (studies.sums[high] - studies.sums[low]).mean((1, 2)) / counts
    hard = sum(studies.sums[arm, 0.0].mean((1, 2)) for arm in (FIRST, SECOND)) / (2 * counts)
    mean, middle = (share * apart).sum(1), (share * hard).sum(1)
    x, y = hard - middle[:, None], apart - mean[:, None]
    slope = (share**2 * x * y).sum(1) / np.maximum((share**2 * x * x).sum(1), 1e-12)
    left = (share**2 * (y - slope[:, None] * x) ** 2).sum(1) / (share**2 * y * y).sum(1)
    groups = counts.shape[1]
    kept = np.minimum(1.0, left * (groups - 1) / (groups - 2))
    group = _group_variance(share, y)
    se = np.sqrt(np.maximum(plain.se**2 - group * (1 - kept), 0.25 * plain.se**2))
    df = np.maximum(plain.df - 1, 1)
    moved = mean - slope * (middle - middle.mean())
    return {
        "plain": plain.above,
        "conditional": stats.t.sf(mean / se, df),
        "known": stats.t.sf(moved / se, df),
    }


def _group_variance(share: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By leaving each group out."""
    groups = share.shape[1]
    moved = share * y / (1 - share)
    return np.asarray((groups - 1) / groups * (moved**2).sum(1))


def table(studies: int, worlds: tuple[World, ...] = WORLDS[:6]) -> None:
    """False rates and power of a gain's test, one-sided at `ONE_SIDED`, five seeds."""
    print(
        f"\nRates of a sure gain over {studies} studies, {SEEDS} seeds: where there is none (bound) / where there is one"
    )
    for world in worlds:
        drawn = draw_studies(world, SEEDS, studies, (0.0, GAIN))
        none, some = adjusted(drawn, 0.0), adjusted(drawn, GAIN)
        cells = []
        for name in none:
            false = int((none[name] < ONE_SIDED).sum())
            found = (some[name] < ONE_SIDED).mean()
            alike = (some[name] < np.quantile(none[name], 0.05)).mean()
            cells.append(f"{name} {false / studies:.3f} ({upper(false, studies):.3f}) / {found:.3f} / {alike:.3f}")
        print(f"{world.name:26} {'   '.join(cells)}", flush=True)
