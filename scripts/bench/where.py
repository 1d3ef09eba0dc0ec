"""How often the tables of *where does it add?* are wrong, in simulated studies.

python scripts/bench/where.py               # both tables; some minutes on one core
python scripts/bench/where.py fdr 1000      # false discoveries among classes, 1,000 studies a row
python scripts/bench/where.py acquire 1000  # the interval of the loss at the chosen share, and false claims that it is small

fdr: 12 classes; fusion gains on some of them. A sample is right where a latent score is above 0: how hard sample and group
are, how well the arm suits the group (shared by its seeds), the luck of the seed, and noise. False discoveries are classes
of no gain that are found, or that are found with the wrong sign.

acquire: the first model's doubt is how near its latent score is to 0, blurred; fusion adds to the score. The truth of a share is
its loss over many groups and seeds of the same world.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from _rates import upper

from multimodal_lab.stats.acquisition import SHARES, acquired, acquisition, ranks
from multimodal_lab.stats.subgroups import subgroups

CLASSES, SEEDS, MARGIN = 12, 5, 0.02


@dataclass(frozen=True)
class World:
    """Groups and how they meet the classes; standard deviations of the latent score's parts."""

    name: str
    groups: int = 96
    size: float = 8.0
    spread: float = 0.5
    nested: bool = True  # a group has one class, as an individual a species; else all, as a site
    suits: float = 0.4
    seed: float = 0.15


WORLDS = (
    World("a group has one class, 8 groups each"),
    World("a group has one class, 5 groups each", groups=60, size=12),
    World("a group has all classes, 24 groups", groups=24, size=32, nested=False),
    World("seeds matter much", suits=0.1, seed=0.5),
    World("single samples", groups=768, size=1, spread=0, suits=0),
)


def members(size: float, spread: float, groups: int, draw: np.random.Generator) -> np.ndarray:
    """The group (N,) of every sample: log-normal sizes around `size`, one sample at least."""
    count = np.maximum(1, np.round(size * draw.lognormal(0, spread, groups))).astype(int)
    return np.repeat(np.arange(groups), count)


def scores(
    world: World, gain: np.ndarray, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both arms' scores (S, 1, N), groups and classes (N,); gain (C,) is added to the fused arm's latent score."""
    groups = members(world.size, world.spread, world.groups, draw)
    classes = groups % CLASSES if world.nested else draw.integers(CLASSES, size=len(groups))
    hard = 0.7 + draw.normal(size=world.groups)[groups] + draw.normal(size=len(groups))
    arms = []
    for shift in (np.zeros(CLASSES), gain):
        suits = world.suits * draw.normal(size=world.groups)[groups]
        luck = world.seed * draw.normal(size=(SEEDS, 1, 1))
        noise = draw.normal(size=(SEEDS, 1, len(groups)))
        arms.append((hard + shift[classes] + suits + luck + noise > 0).astype(float))
    return arms[0], arms[1], groups, classes


def fdr(studies: int) -> None:
    """The mean share of false ones among the classes that are found; at most .05 is promised."""
    print(
        f"False discoveries among {CLASSES} classes, {studies} studies a row: mean share (upper 95 % bound); share found"
    )
    print(
        f"{'world':38} {'none gain':>14} {'4 of 12 gain':>14} {'found':>6} {'8 of 12 gain':>14} {'found':>6} {'gain':>6}"
    )
    for world in WORLDS:
        cells, points = [], []
        for count in (0, 4, 8):
            false, power = [], []
            gain = np.where(np.arange(CLASSES) < count, 1.0, 0.0)
            for i in range(studies):
                base, arm, groups, classes = scores(world, gain, np.random.default_rng([count, i]))
                points += [(arm - base)[:, :, gain[classes] > 0].mean()] if count else []
                told = subgroups(base, arm, groups, classes.astype(object))
                hits = [(gain[int(s.name)] > 0 and s.found == "gains") for s in told if s.found]
                false.append(1 - np.mean(hits) if hits else 0.0)
                power.append(sum(hits) / count if count else np.nan)
            # the share of one study lies in [0, 1]: an upper bound of its mean by the normal of many
            bound = np.mean(false) + 1.645 * np.std(false) / studies**0.5
            cells.append(f"{np.mean(false):8.3f} ({bound:.3f})" + (f" {np.mean(power):6.2f}" if count else ""))
        print(f"{world.name:38} {' '.join(cells)} {100 * np.mean(points):+6.1f}", flush=True)


@dataclass(frozen=True)
class Acquired:
    """A world of acquisition: fusion's latent gain, and how blurred the first model's doubt is."""

    name: str
    groups: int = 24
    size: float = 12.0
    spread: float = 1.0
    gain: float = 1.2
    blur: float = 0.5
    suits: float = 0.4
    seed: float = 0.15
    margin: float = MARGIN


ACQUIRED = (
    Acquired("24 groups, margin 2 points"),
    Acquired("24 groups, margin 5 points", margin=0.05),
    Acquired("60 groups, doubt says little", groups=60, blur=3.0, margin=0.05),
    Acquired("8 groups, very unequal", groups=8, size=40, spread=1.2, margin=0.05),
    Acquired("400 single samples", groups=400, size=1, spread=0, suits=0, margin=0.05),
    Acquired("seeds matter much", suits=0.1, seed=0.5, margin=0.05),
    Acquired("fusion hardly gains", gain=0.1, margin=0.02),
)


def draw_study(world: Acquired, draw: np.random.Generator, groups: int, seeds: int) -> tuple[np.ndarray, ...]:
    """Scores of the first modality and of both (S, 1, N), the first's doubt, and groups."""
    index = members(world.size, world.spread, groups, draw)
    n = len(index)
    hard = 0.5 + draw.normal(size=groups)[index] + draw.normal(size=n)
    parts = []
    for _ in range(2):
        luck = world.seed * draw.normal(size=(seeds, 1, 1)) + draw.normal(size=(seeds, 1, n))
        parts.append(world.suits * draw.normal(size=groups)[index] + luck)
    latent = hard + parts[0]
    doubt = -np.abs(latent) + world.blur * draw.normal(size=latent.shape)
    second = hard + world.gain + parts[1]
    return (latent > 0).astype(float), (second > 0).astype(float), doubt, index


def truth(world: Acquired) -> np.ndarray:
    """The loss (len(SHARES),) over many groups and seeds."""
    found = []
    for i in range(10):
        first, both, doubt, _ = draw_study(world, np.random.default_rng([99, i]), max(400, 20 * world.groups), 20)
        rank = ranks(doubt, first)
        found.append([both.mean() - acquired(first, both, rank, share).mean() for share in SHARES])
    return np.mean(found, 0)


def acquire(studies: int) -> None:
    """Coverage of the loss's interval at the chosen share, and how often a loss is falsely told to be less than the margin."""
    print(f"\nAcquisition, {studies} studies a row: at the chosen share")
    print(f"{'world':34} {'coverage':>9} {'false claim':>14} {'claimed':>8} {'share':>6} {'true loss':>10}")
    for world in ACQUIRED:
        losses = truth(world)
        covered, false, claimed, share, true = 0, 0, 0, [], []
        for i in range(studies):
            first, both, doubt, groups = draw_study(world, np.random.default_rng(i), world.groups, SEEDS)
            found = acquisition(first, both, doubt, groups, world.margin)
            assert found is not None
            own = float(np.mean(np.interp(found.shares, SHARES, losses)))
            covered += found.loss.low <= own <= found.loss.high
            claimed += found.small
            false += found.small and own >= world.margin
            share.append(found.share)
            true.append(own)
        told = f"{false / studies:.3f} ({upper(false, studies):.3f})"
        print(f"{world.name:34} {covered / studies:9.3f} {told:>14} {claimed / studies:8.2f} {np.mean(share):6.2f} "
              f"{np.mean(true):10.3f}", flush=True)  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("table", nargs="?", choices=("fdr", "acquire", "all"), default="all")
    ask.add_argument("studies", nargs="?", type=int, default=1000)
    given = ask.parse_args()
    if given.table in ("fdr", "all"):
        fdr(given.studies)
    if given.table in ("acquire", "all"):
        acquire(given.studies)


if __name__ == "__main__":
    main()
