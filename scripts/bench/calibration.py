"""Error rates of *adds* and *redundant*, and power of *adds*, in simulated studies.

python scripts/bench/calibration.py            # all tables; half an hour on one core
python scripts/bench/calibration.py null 2000  # the rate of false *adds* alone, 2,000 studies a row
python scripts/bench/calibration.py equal 2000 # the rate of false *redundant* alone; some twenty minutes
python scripts/bench/calibration.py own 1000   # the coverage of an arm's own interval
python scripts/bench/calibration.py adjusted   # the gain's test with the groups' hardness as a covariate

A study is a baseline, a fused arm and two controls, their seeds, and a test part of 24 groups of unequal size
(log-normal, about 290 samples in all). A sample is right where a latent score is above 0: the sum of how hard sample and
group are (shared by all arms), how well the arm suits the group (shared by its seeds), the luck of the seed, of the seed on that
group, and noise. Under the null all arms draw these from the same distributions, as where the second modality is shuffled.

test: a gain by `crossed` at .05 two-sided, alone. adds: a gain and leads over both controls, each sure one-sided: where the
controls are as good as the baseline, where both are weak, and where fusion gains no more than one control does, while the
other is as good as the baseline. (That a sure gain may also be *redundant* or *invalid* can only make *adds* rarer.)
Beside them the t-test over seeds, which takes the groups for the whole world, and sign flips of groups, which take
the seeds for it. oracle: a z-test of the gain at .05 two-sided that knows its true variance; limit: *adds* with all three
variances known.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from _adjusted import table as adjusted
from _many_studies import WORLDS, Studies, Tests, World, draw_studies
from _own import intervals
from _rates import upper
from _redundant import chosen, grouped, single
from scipy import stats

from multimodal_lab.stats.permutation import sign_flip
from multimodal_lab.stats.verdict import ONE_SIDED

WEAK, CAPACITY = -0.4, 0.9  # of the latent score: some 8 points less and 16 more than the baseline has
GAINS = (0.1, 0.2, 0.4, 0.6, 0.9)
BASELINE, FUSED, FIRST, SECOND = range(4)


def differences(studies: Studies, gain: float, first: float = 0.0, second: float = 0.0) -> list[Tests]:
    """Of the gain and of the leads over both controls, which have these shifts."""
    fused = FUSED, gain
    return [studies.test(low, fused) for low in ((BASELINE, 0.0), (FIRST, first), (SECOND, second))]


def adds(found: list[Tests]) -> int:
    """How many studies are sure of the gain and of both leads."""
    return int((np.max([one.above for one in found], axis=0) < ONE_SIDED).sum())


def null_rates(world: World, seeds: int, studies: int, first: int = 0) -> dict[str, int]:
    """How many of the studies find what is not there."""
    drawn = draw_studies(world, seeds, studies, (WEAK, 0.0, CAPACITY), first)
    equal, weak, capacity = (
        differences(drawn, g, a, b) for g, a, b in ((0, 0, 0), (0, WEAK, WEAK), (CAPACITY, CAPACITY, 0))
    )
    gain = equal[0]
    up, runs = gain.mean > 0, gain.runs.reshape(studies, -1)
    still = np.ptp(runs, axis=1) < 1e-12
    over_seeds = np.where(
        still, 0.0, stats.ttest_1samp(np.where(still[:, None], np.eye(1, runs.shape[1]), runs), 0, axis=1).pvalue
    )
    flips = [sign_flip(own, draws=499).p < 0.05 for own, more in zip(gain.by_group, up, strict=True) if more]
    return {
        "test": int((up & (gain.p < 0.05)).sum()),
        "equal": adds(equal),
        "weak": adds(weak),
        "capacity": adds(capacity),
        "t over seeds": int((up & (over_seeds < 0.05)).sum()),
        "flips of groups": sum(flips),
    }


def power_rates(world: World, seeds: int, studies: int, first: int = 0) -> list[tuple[float, ...]]:
    """For every gain: the mean difference of accuracies, and the rates of test, *adds*, oracle and limit."""
    drawn = draw_studies(world, seeds, studies, (0.0, *GAINS), first)
    rows = []
    for size in GAINS:
        found = differences(drawn, size)
        gain, beyond = found[0], stats.norm.isf(ONE_SIDED)
        limit = np.min([one.oracle for one in found], axis=0) > beyond
        sure = (gain.mean > 0) & (gain.p < 0.05)
        oracle = gain.oracle > stats.norm.isf(0.025)
        rows.append((gain.mean.mean(), sure.mean(), adds(found) / studies, oracle.mean(), limit.mean()))
    return [tuple(map(float, row)) for row in rows]


def null(studies: int) -> None:
    """The rate of *adds* where nothing is added."""
    print(f"Rates over {studies} null studies a row (upper 95 % bound); at most .05 (.07) is asked of adds")
    heads = ("test", "adds", "controls weak", "capacity", "t over seeds", "flips of groups")
    print(f"{'world':30} {'seeds':>5} " + " ".join(f"{head:>15}" for head in heads))
    for world in WORLDS:
        for seeds in (3, 5, 10):
            cells = [f"{n / studies:.3f} ({upper(n, studies):.3f})" for n in null_rates(world, seeds, studies).values()]
            print(f"{world.name:30} {seeds:5} " + " ".join(f"{cell:>15}" for cell in cells), flush=True)


def power(studies: int) -> None:
    """How often a true gain is found."""
    print(f"\nRates over {studies} studies a cell, by the true gain in points: test / adds / oracle (limit of adds)")
    for world in WORLDS:
        for seeds in (3, 5, 10):
            rows = power_rates(world, seeds, studies)
            cells = [f"{100 * points:+.1f}: {t:.2f}/{a:.2f}/{o:.2f} ({most:.2f})" for points, t, a, o, most in rows]
            print(f"{world.name:30} {seeds:5}   {'   '.join(cells)}", flush=True)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("table", nargs="?", choices=("null", "power", "equal", "own", "adjusted", "all"), default="all")
    ask.add_argument("studies", nargs="?", type=int, default=2000)
    given = ask.parse_args()
    if given.table in ("null", "all"):
        null(given.studies)
    if given.table in ("power", "all"):
        power(given.studies)
    if given.table in ("equal", "all"):
        for table in (grouped, single, chosen):
            table(given.studies)
    if given.table in ("adjusted", "all"):
        adjusted(given.studies)
    if given.table in ("own", "all"):
        intervals(max(1, given.studies // 2))


if __name__ == "__main__":
    main()
