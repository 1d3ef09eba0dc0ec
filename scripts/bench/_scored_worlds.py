"""Worlds for the benchmark of scores, and the answers of arms drawn in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from multimodal_lab.stats.answers import Answers, Kind

SEEDS = 5


@dataclass(frozen=True)
class World:
    """groups of about `size` samples (equal to 1: single samples); share: of each class; the rest are standard deviations."""

    name: str
    kind: Kind
    groups: int
    size: float = 1.0
    share: tuple[float, ...] = (0.5, 0.5)
    clear: float = 1.0
    suits: float = 0.0
    seed: float = 0.1
    both: float = 0.2
    heavy: bool = False


WORLDS = (
    World("single samples", "classes", 200),
    World("24 unequal groups", "classes", 24, 8, suits=0.5),
    World("4 classes, 40 groups", "classes", 40, 5, share=(0.4, 0.3, 0.2, 0.1), suits=0.3),
    *(World(f"rare class, {n} of 400 samples", "classes", 400, share=(1 - n / 400, n / 400)) for n in (12, 20, 30, 40)),
    World("rare class, 6 of 60 groups", "classes", 60, 5, share=(0.9, 0.1), suits=0.3),
    World("several labels, single samples", "labels", 200, share=(0.4, 0.25, 0.15)),
    World("several labels, 24 unequal groups", "labels", 24, 8, share=(0.4, 0.25, 0.15), suits=0.5),
    World("numbers, single samples", "values", 200),
    World("numbers, 24 unequal groups", "values", 24, 8, suits=0.5),
    World("numbers, heavy tails", "values", 100, 2, suits=0.2, heavy=True),
)
Runs = list[list[Answers]]  # of each arm, its seeds


def study(world: World, shifts: Sequence[float], draw: np.random.Generator) -> Runs:
    """The answers of arms that are clearer by these shifts."""
    size = np.ones(world.groups, int)
    if world.size > 1:
        size = np.maximum(1, np.round(draw.lognormal(np.log(world.size) - 0.3, 0.8, world.groups))).astype(int)
    groups = np.repeat(np.arange(world.groups), size)
    truth = _truth(world, groups, draw)
    width = truth.shape[1] if truth.ndim > 1 else len(world.share)
    hard = draw.normal(size=(len(groups), width))
    arms = []
    for more in shifts:
        suits = world.suits * draw.normal(size=(world.groups, width))[groups]
        runs = []
        for _ in range(SEEDS):
            luck = world.seed * draw.normal() + world.both * draw.normal(size=(world.groups, width))[groups]
            noise = draw.standard_t(3, (len(groups), width)) if world.heavy else draw.normal(size=(len(groups), width))
            runs.append(_answers(world, truth, groups, more, hard, suits + luck, noise))
        arms.append(runs)
    return arms


def _truth(world: World, groups: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    if world.kind == "values":
        return np.asarray(draw.normal(size=(len(groups), 1)) + 0.5 * draw.normal(size=(world.groups, 1))[groups])
    if world.kind == "labels":
        return np.asarray(draw.random((world.groups, len(world.share)))[groups] < world.share, int)
    counts = np.round(np.array(world.share) * world.groups).astype(int)
    counts[0] += world.groups - counts.sum()
    return np.asarray(draw.permutation(np.repeat(np.arange(len(counts)), counts))[groups])


def _answers(world: World, truth: np.ndarray, groups: np.ndarray, more: float, hard: np.ndarray, luck: np.ndarray,
             noise: np.ndarray) -> Answers:  # fmt: skip
    if world.kind == "values":
        said = truth + 0.5 * hard + (1 - more / 2) * (luck + noise)
        return Answers("values", truth, said, said, groups)
    own = np.eye(len(world.share))[truth] if world.kind == "classes" else truth
    logit = (world.clear + more) * (2 * own - 1) + hard + luck + 0.5 * noise + np.log(world.share) * 0.3
    if world.kind == "labels":
        said = special.expit(logit)
        return Answers("labels", truth, (said > 0.5).astype(int), said, groups)
    return Answers("classes", truth, logit.argmax(1), special.softmax(logit, 1), groups)
