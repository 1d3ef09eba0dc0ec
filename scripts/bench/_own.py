"""How often the interval of an arm's own accuracy holds the true one, for `calibration.py own`."""

from __future__ import annotations

import numpy as np
from _redundant import Rare, arms

from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.own import own
from multimodal_lab.stats.paired import paired

SHAPES = (
    *(Rare(f"{n} x 1", n, 1, correlation=0.0) for n in (20, 50, 100, 400)),
    Rare("8 x 40, probit", 8, 40),
    Rare("20 x 20, probit", 20, 20),
    Rare("20 x 20, rates .1", 20, 20, correlation=0.1),
    Rare("24 unequal, probit", 24, 7.4, 1.0),
    Rare("20 x 5, fail whole", 20, 5, correlation=1.0, alike=1.0),
)


def coverage(world: Rare, seeds: int, right: float, studies: int) -> tuple[float, float, float]:
    """Share of studies whose interval holds the accuracy; that of the t-interval; mean width."""
    held = plain = width = 0.0
    for i in range(studies):
        (score,), groups = arms(world, seeds, [right], np.random.default_rng([seeds, i]))
        pairs = paired(np.zeros_like(score), score, groups)
        found, t = own(pairs), crossed(pairs)
        held += found.low <= right <= found.high
        plain += t.low <= right <= t.high
        width += found.high - found.low
    return held / studies, plain / studies, width / studies


def intervals(studies: int) -> None:
    """By accuracy and by 3 and 5 seeds."""
    print(
        f"\nCoverage of an arm's own 95 % interval over {studies} studies, of the t-interval, and its mean width in points"
    )
    for world in SHAPES:
        for seeds in (3, 5):
            cells = [coverage(world, seeds, right, studies) for right in (0.99, 0.95, 0.7)]
            told = " | ".join(f"{a:.3f} | {b:.3f} | {100 * c:.1f}" for a, b, c in cells)
            print(f"| {world.name} | {seeds} | {told} |", flush=True)
