"""The rate of false *redundant*, and how often arms that are equal are shown to be, for `calibration.py equal`.

A world has groups, sizes and a law of errors. `probit`: a sample is right where a latent score is above 0, with difficulties of
sample and group that all arms share, and parts of their own. `rates`: each arm has an error rate in each group, from a
beta distribution with the given correlation within groups; 1 is a group that fails whole. `alike`: how much of what decides
a sample is the same in all seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from _rates import upper
from scipy import stats

from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.equivalence import Equivalence, over_arms, rivals, tost, within
from multimodal_lab.stats.paired import paired

MARGIN = 0.02


@dataclass(frozen=True)
class Rare:
    """Size and spread: of the log-normal number of samples in a group. correlation: None is `probit`."""

    name: str
    groups: int
    size: float
    spread: float = 0.0
    correlation: float | None = None
    alike: float = 0.5
    right: float = 0.99
    margin: float = MARGIN


WORLDS = (
    Rare("8 x 40, probit", 8, 40),
    Rare("8 x 40, rates .2", 8, 40, correlation=0.2),
    Rare("20 x 20, probit", 20, 20),
    Rare("20 x 20, rates .05", 20, 20, correlation=0.05),
    Rare("24 unequal, probit", 24, 7.4, 1.0),
    Rare("60 x 20, probit", 60, 20),
    Rare("60 x 20, rates .1", 60, 20, correlation=0.1),
    Rare("150 unequal, fail whole", 150, 4.5, 1.0, correlation=1.0, alike=1.0),
    Rare("300 unequal, fail whole", 300, 4.5, 1.0, correlation=1.0, alike=1.0),
    Rare("400 x 1", 400, 1, correlation=0.0),
    Rare("60 x 20, probit, .80", 60, 20, right=0.8),
)
SINGLE = tuple(
    Rare(f"{n} x 1, errors by {'sample' if alike else 'seed'}", n, 1, correlation=0.0, alike=alike, margin=margin)
    for n, margin in ((10, 0.05), (20, 0.02), (40, 0.02), (100, 0.02), (200, 0.02), (400, 0.02), (800, 0.02))
    for alike in (1.0, 0.0)
)
CHOSEN = (WORLDS[5], WORLDS[9])


def arms(
    world: Rare, seeds: int, right: Sequence[float], draw: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Scores (S, 1, N) of arms with these accuracies, and groups (N,)."""
    size = np.maximum(1, np.round(world.size * np.exp(world.spread * draw.normal(size=world.groups)))).astype(int)
    groups = np.repeat(np.arange(world.groups), size)
    if world.correlation is None:
        return _probit(seeds, right, groups, draw), groups
    own, new = world.alike**0.5, (1 - world.alike) ** 0.5
    found = []
    for accuracy in right:
        luck = own * draw.normal(size=len(groups)) + new * draw.normal(size=(seeds, len(groups)))
        wrong = _rates(1 - accuracy, world.correlation, world.groups, draw)[groups]
        found.append((luck > stats.norm.ppf(wrong)).astype(float)[:, None])
    return found, groups


def _rates(mean: float, correlation: float, groups: int, draw: np.random.Generator) -> np.ndarray:
    if correlation in (0, 1):
        return np.full(groups, mean) if correlation == 0 else (draw.random(groups) < mean).astype(float)
    spread = (1 - correlation) / correlation
    return draw.beta(spread * mean, spread * (1 - mean), groups)


def _probit(seeds: int, right: Sequence[float], groups: np.ndarray, draw: np.random.Generator) -> list[np.ndarray]:
    parts = {"group": 1.0, "sample": 1.0, "suits": 0.5, "seed": 0.15, "both": 0.3, "noise": 1.0}
    count, whole = groups.max() + 1, sum(x**2 for x in parts.values()) ** 0.5
    hard = parts["group"] * draw.normal(size=count)[groups] + parts["sample"] * draw.normal(size=len(groups))
    found = []
    for accuracy in right:
        suits, luck = parts["suits"] * draw.normal(size=count), parts["seed"] * draw.normal(size=(seeds, 1))
        both = parts["both"] * draw.normal(size=(seeds, count))
        noise = parts["noise"] * draw.normal(size=(seeds, len(groups)))
        latent = hard + whole * stats.norm.ppf(accuracy) + suits[groups] + luck + both[:, groups] + noise
        found.append((latent > 0).astype(float)[:, None])
    return found


def shown(
    world: Rare, seeds: int, fused: Sequence[float], base: Sequence[float], draw: np.random.Generator
) -> tuple[bool, bool]:
    """Whether the headline is *redundant*, by the rule and by the two t-tests alone, without any correction.

    The better baseline and the fused arm of most gain are chosen by the scores, as a study does.
    """
    scores, groups = arms(world, seeds, [*fused, *base], draw)
    mine, others = scores[: len(fused)], scores[len(fused) :]
    others.sort(key=lambda score: -score.mean())
    among = rivals([crossed(paired(other, others[0], groups)) for other in others[1:]])
    pairs = [paired(others[0], score, groups) for score in mine]
    found = [crossed(p) for p in pairs]
    p = [within(a, b, world.margin, among) for a, b in zip(pairs, found, strict=True)]
    equal = over_arms([Equivalence(world.margin, x, 0.0, 0.0, 0.05) for x in p])
    head = int(np.argmax([f.mean for f in found]))
    return equal[head].shown, tost(found[head].mean, found[head].se, found[head].df, world.margin).shown


def rate(world: Rare, seeds: int, studies: int, fused: Sequence[float], base: Sequence[float]) -> tuple[int, int]:
    """How many studies say *redundant*: by the rule, by the t-tests alone."""
    told = [shown(world, seeds, fused, base, np.random.default_rng([seeds, i])) for i in range(studies)]
    return sum(a for a, _ in told), sum(b for _, b in told)


def _cell(hits: int, studies: int) -> str:
    return f"{hits / studies:.3f} ({upper(hits, studies):.3f})"


def grouped(studies: int, worlds: Sequence[Rare] = WORLDS) -> None:
    """Truth at the margin: a baseline that is worse by it, in few, unequal and rare groups."""
    print(
        f"\nRate of *redundant* over {studies} studies whose true difference is the margin (bound), by 3, 5 and 10 seeds; then"
    )
    print("by the t-tests alone, and where the arms are equal, over an eighth of the studies")
    for world in worlds:
        lower, cells = world.right - world.margin, []
        for seeds in (3, 5, 10):
            told, plain = rate(world, seeds, studies, [world.right], [lower])
            equal, _ = rate(world, seeds, max(1, studies // 8), [world.right], [world.right])
            cells.append(f"{_cell(told, studies)} {plain / studies:.3f} {equal / max(1, studies // 8):.3f}")
        print(f"| {world.name} | " + " | ".join(cells) + " |", flush=True)


def single(studies: int) -> None:
    """The same of single samples, three seeds."""
    print("\nSingle samples, three seeds: false *redundant*, by the t-tests alone, and where the arms are equal")
    for world in SINGLE:
        told, plain = rate(world, 3, studies, [world.right], [world.right - world.margin])
        equal, _ = rate(world, 3, max(1, studies // 8), [world.right], [world.right])
        print(f"| {world.name} | {world.margin} | {_cell(told, studies)} | {plain / studies:.3f} | "
              f"{equal / max(1, studies // 8):.3f} |", flush=True)  # fmt: skip


def chosen(studies: int) -> None:
    """Several equal baselines that the fused arm beats by the margin; several fused arms that lose by it. Five seeds."""
    print("\nChosen among several: false *redundant* of the headline, and by the t-tests alone")
    for world in CHOSEN:
        high, low = world.right, world.right - world.margin
        for base, fused in ((1, 1), (2, 1), (3, 1), (5, 1), (1, 2), (1, 4)):
            accuracies = ([high], [low] * base) if fused == 1 else ([low] * fused, [high])
            told, plain = rate(world, 5, studies, *accuracies)
            print(f"| {world.name} | {base} | {fused} | {_cell(told, studies)} | {plain / studies:.3f} |", flush=True)
