"""Error rates of *adds* and *redundant*, and power of *adds*, in simulated studies.

python scripts/bench/calibration.py            # all tables; a few minutes on one core
python scripts/bench/calibration.py null 2000  # the rate of false *adds* alone, 2,000 studies a row
python scripts/bench/calibration.py equal 2000 # the rate of false *redundant* alone

A study is a baseline, a fused arm and two controls, their seeds, and a test part of 24 groups of unequal size
(log-normal, about 290 samples in all). A sample is right where a latent score is above 0: the sum of how hard sample and
group are (shared by all arms), how well the arm suits the group (shared by its seeds), the luck of the seed, of the seed on that
group, and noise. Under the null all arms draw these from the same distributions, as where the second modality is shuffled.

test: a gain by `crossed` at .05 two-sided, alone. verdict: *adds*, which asks for a sure lead over both controls as well.
Beside them the t-test over seeds, which takes the groups for the whole world, and sign flips of groups, which take
the seeds for it.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from scipy import stats

from multimodal_lab.stats.crossed import Crossed, crossed
from multimodal_lab.stats.equivalence import equivalence, tost
from multimodal_lab.stats.paired import paired
from multimodal_lab.stats.permutation import sign_flip
from multimodal_lab.stats.power import detectable
from multimodal_lab.stats.verdict import REQUIRED, ControlEvidence, Evidence, difference, verdict

MARGIN = 0.01


@dataclass(frozen=True)
class World:
    """Standard deviations of the latent score's parts, and the shape of the test part."""

    name: str
    suits: float = 0.5
    seed: float = 0.15
    both: float = 0.3
    train: float = 0.0
    groups: int = 24
    spread: float = 1.0
    splits: int = 1
    share: float = 0.25


WORLDS = (
    World("groups and seeds matter"),
    World("groups matter much", suits=1.0, seed=0.05),
    World("seeds matter much", suits=0.1, seed=0.5),
    World("neither matters", suits=0.0, seed=0.0, both=0.0),
    World("8 groups, very unequal", groups=8, spread=1.2),
    World("60 groups", groups=60),
    World("3 splits, 40 groups", groups=40, splits=3, train=0.15),
    World("5 splits, 40 groups", groups=40, splits=5, train=0.15),
    World("5 splits, training part rules", groups=40, splits=5, train=0.4),  # beyond what the test can promise
)


def study(world: World, seeds: int, gain: float, draw: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Scores (S, R, N) of baseline, fused and two controls, and groups (N,); fused has `gain` more latent score."""
    size = np.maximum(1, np.round(draw.lognormal(2.0, world.spread, world.groups))).astype(int)
    groups = np.repeat(np.arange(world.groups), size)
    hard = 0.7 + draw.normal(size=world.groups)[groups] + draw.normal(size=len(groups))
    tested = _test_parts(world, draw)
    mask = np.where(tested[:, groups], 1.0, np.nan)[None]
    arms = []
    for shift in (0.0, gain, 0.0, 0.0):
        suits = world.suits * draw.normal(size=world.groups)
        luck = world.seed * draw.normal(size=(seeds, world.splits, 1))
        both = world.both * draw.normal(size=(seeds, world.splits, world.groups))
        helps = world.train * draw.normal(size=world.groups)
        train = np.array([helps[~t].sum() / max(1, (~t).sum()) ** 0.5 for t in tested])[None, :, None]
        noise = draw.normal(size=(seeds, world.splits, len(groups)))
        arms.append((hard + shift + suits[groups] + luck + both[:, :, groups] + train + noise > 0) * mask)
    return arms, groups


def _test_parts(world: World, draw: np.random.Generator) -> np.ndarray:
    tested = np.zeros((world.splits, world.groups), bool)
    for part in tested:
        part[draw.permutation(world.groups)[: round(world.share * world.groups)]] = True
    return tested if world.splits > 1 else np.ones_like(tested)


def ratio(world: World) -> float | None:
    """Test samples per training sample."""
    return world.share / (1 - world.share) if world.splits > 1 else None


def finds(world: World, arms: list[np.ndarray], groups: np.ndarray) -> dict[str, bool]:
    """By each test: a gain, at .05 two-sided."""
    baseline, fused, *controls = arms
    pairs = paired(baseline, fused, groups)
    up, runs = pairs.mean > 0, pairs.runs.ravel()
    gain = crossed(pairs, ratio(world))
    seed_only = up if np.ptp(runs) < 1e-12 else up and stats.ttest_1samp(runs, 0).pvalue < 0.05
    return {
        "test": up and gain.p < 0.05,
        "verdict": up and gain.p < 0.05 and _verdict(world, gain, baseline, fused, controls, groups) == "adds",
        "t over seeds": bool(seed_only),
        "flips of groups": up and sign_flip(pairs.by_group, draws=999).p < 0.05,
    }


def _verdict(
    world: World, gain: Crossed, baseline: np.ndarray, fused: np.ndarray, controls: list[np.ndarray], groups: np.ndarray
) -> str:
    steps = [(baseline, c) for c in controls] + [(c, fused) for c in controls]
    found = [gain, *(crossed(paired(a, b, groups), ratio(world)) for a, b in steps)]
    gained, *others = (difference(f, f.p) for f in found)
    judged = [ControlEvidence(name, *both) for name, *both in zip(REQUIRED, others[:2], others[2:])]
    equal = equivalence(gain, MARGIN)
    return verdict(Evidence(gained, equal, judged, detectable(gain.se, gain.df), gain.seeds)).kind


def rates(world: World, seeds: int, studies: int, gain: float = 0.0, first: int = 0) -> tuple[dict[str, int], float]:
    """How many of the studies find a gain, by each test; and the mean difference of accuracies."""
    found: dict[str, int] = {}
    means = []
    for i in range(studies):
        draw = np.random.default_rng([first, seeds, i])
        arms, groups = study(world, seeds, gain, draw)
        means.append(np.nanmean(arms[1] - arms[0]))
        for test, hit in finds(world, arms, groups).items():
            found[test] = found.get(test, 0) + hit
    return found, float(np.mean(means))


def upper(hits: int, studies: int) -> float:
    """Upper 95 % bound (one-sided) of a rate. Clopper & Pearson 1934."""
    return 1.0 if hits == studies else float(stats.beta.ppf(0.95, hits + 1, studies - hits))


def null(studies: int) -> None:
    """The rate of *adds* where nothing is added."""
    print(f"Rate of *adds* over {studies} null studies a row (upper 95 % bound); at most .05 (.07) is asked")
    print(f"{'world':34} {'seeds':>5} {'test':>14} {'verdict':>14} {'t over seeds':>14} {'flips of groups':>16}")
    for world in WORLDS:
        for seeds in (3, 5, 10):
            found, _ = rates(world, seeds, studies)
            cells = [f"{n / studies:.3f} ({upper(n, studies):.3f})" for n in found.values()]
            print(f"{world.name:34} {seeds:5} {cells[0]:>14} {cells[1]:>14} {cells[2]:>14} {cells[3]:>16}", flush=True)


def power(studies: int) -> None:
    """How often a true gain is found."""
    print(f"\nRate found over {studies} studies a row, by the true gain in points: by the test / by the verdict")
    gains = (0.1, 0.2, 0.4, 0.6, 0.9)
    for world in WORLDS:
        for seeds in (3, 5, 10):
            cells = []
            for gain in gains:
                found, points = rates(world, seeds, studies, gain)
                cells.append(f"{100 * points:+5.1f}: {found['test'] / studies:.2f}/{found['verdict'] / studies:.2f}")
            print(f"{world.name:34} {seeds:5}   {'   '.join(cells)}", flush=True)


def equal(studies: int) -> None:
    """The rate of *redundant* where the difference is the margin: single samples that few errors tell apart."""
    print(
        f"\nRate of *redundant* over {studies} studies a row whose true difference is the margin; at most .05 is asked"
    )
    print(
        f"{'samples':>7} {'margin':>6} {'errors':>9} {'false':>14} {'without the floor':>18} {'true: no difference':>20}"
    )
    for samples, margin in ((10, 0.05), (20, 0.02), (40, 0.02), (100, 0.02), (200, 0.02), (400, 0.02), (800, 0.02)):
        for alike in (True, False):
            wrong = bare = right = 0
            for i in range(studies):
                draw = np.random.default_rng([samples, i])
                found = _rare(samples, margin, alike, draw)
                wrong += equivalence(found, margin).shown
                bare += tost(found.mean, found.se, found.df, margin).shown
                right += equivalence(_rare(samples, 0.0, alike, draw), margin).shown
            told = f"{wrong / studies:.3f} ({upper(wrong, studies):.3f})"
            kind = "by sample" if alike else "by seed"
            print(
                f"{samples:7} {margin:6} {kind:>9} {told:>14} {bare / studies:18.3f} {right / studies:20.3f}",
                flush=True,
            )


def _rare(samples: int, difference: float, alike: bool, draw: np.random.Generator, seeds: int = 3) -> Crossed:
    """A fused arm that is wrong on 1 sample in 100, a baseline on `difference` more; alike: in all seeds on the same ones."""
    shape = (1 if alike else seeds, 1, samples)
    baseline, fused = (
        (draw.random(shape) >= p).astype(float).repeat(seeds if alike else 1, 0) for p in (0.01 + difference, 0.01)
    )
    return crossed(paired(baseline, fused))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("table", nargs="?", choices=("null", "power", "equal", "all"), default="all")
    ask.add_argument("studies", nargs="?", type=int, default=2000)
    given = ask.parse_args()
    if given.table in ("null", "all"):
        null(given.studies)
    if given.table in ("power", "all"):
        power(max(1, given.studies // 5))
    if given.table in ("equal", "all"):
        equal(given.studies)


if __name__ == "__main__":
    main()
