"""Whether the chance of *adds* that `study plan` tells is the one that simulated studies have.

python scripts/bench/plan.py        # 1,000 studies a cell, some minutes on one core
python scripts/bench/plan.py 100    # fewer

The worlds are those of calibration.py: right or wrong answers of a latent score, groups of unequal size. A pilot has five
seeds and 24 groups. *Told* is by the variance components of 100 pilots together, so that the table judges the forecast and not
the luck of one pilot, and *one pilot* its 10th to 90th percentile over 20 of those pilots; *simulated* is the share of studies of
that design whose verdict is *adds*.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from _many_studies import WORLDS, Studies, World, draw_studies
from calibration import adds, differences

from multimodal_lab.stats.components import Components, Design, components
from multimodal_lab.stats.verdict import ONE_SIDED, REQUIRED
from multimodal_lab.study.analysis.forecast import Forecast

PILOT = 5, 24
GAIN = 0.4
PILOTS = 100
DESIGNS = ((3, 24), (5, 24), (10, 24), (20, 24), (5, 48), (10, 48), (5, 96), (10, 96))


def pilot(drawn: Studies, i: int) -> Components:
    """The components of one pilot, its arms as a forecast has them: fused, baseline, controls.

    Which samples of a group are right is not known of many studies, and doesn't matter where designs have as many a group.
    """
    counts = drawn.counts[i, 0].astype(int)
    places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    groups = np.repeat(np.arange(len(counts)), counts)
    arms = ((1, GAIN), (0, 0.0), (2, 0.0), (3, 0.0))
    return components(np.stack([places < drawn.sums[arm][i][..., groups] for arm in arms]).astype(float), groups)


def together(parts: list[Components]) -> Components:
    """The mean of all."""
    seed, group, both, sample, noise = (
        np.mean([getattr(p, name) for p in parts], axis=0) for name in ("seed", "group", "both", "sample", "noise")
    )
    mean, even = np.mean([p.mean for p in parts], axis=0), float(np.mean([p.even for p in parts]))
    samples = float(np.mean([p.design.samples for p in parts]))
    return Components(seed, group, both, sample, noise, mean, Design(*PILOT, samples), even)


def row(world: World, studies: int) -> None:
    """Print what is told and what happens, design by design."""
    drawn = draw_studies(replace(world, groups=PILOT[1]), PILOT[0], PILOTS, (0.0, GAIN), first=1)
    pilots = [pilot(drawn, i) for i in range(PILOTS)]
    every = together(pilots)
    effect = float(every.mean[0] - every.mean[1])
    levels = [ONE_SIDED] * len(REQUIRED)
    asked = [Forecast(p, REQUIRED, ONE_SIDED, levels, effect / 2, effect) for p in (every, *pilots[:20])]
    for seeds, groups in DESIGNS:
        told, *alone = (one.told(replace(one.parts.design, seeds=seeds, groups=groups)) for one in asked)
        large = draw_studies(replace(world, groups=groups), seeds, studies, (0.0, GAIN), first=2)
        happens = adds(differences(large, GAIN)) / studies
        low, high = np.quantile(alone, [0.1, 0.9])
        print(f"{world.name:26} {100 * effect:+5.1f} {seeds:5} {groups:6}   {told:.2f}   {low:.2f} to {high:.2f}   "
              f"{happens:.2f}   {told - happens:+.2f}", flush=True)  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("studies", nargs="?", type=int, default=1000)
    given = ask.parse_args()
    print(f"{'world':26} {'gain':5} {'seeds':5} {'groups':6}   told   one pilot      simulated  difference")
    for world in WORLDS[:4]:
        row(world, given.studies)


if __name__ == "__main__":
    main()
