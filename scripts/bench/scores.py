"""How often a study is wrong by every score, in simulated studies.

python scripts/bench/scores.py             # 1,000 studies a row; half an hour on one core
python scripts/bench/scores.py 200 rare    # fewer, of the worlds whose name holds a word
python scripts/bench/scores.py 200 rare auroc   # by this score alone

A study is a baseline, a fused arm and two controls, five seeds each, on one test part. A class is told by a logit: how clear the
class is, how well the arm suits the group (shared by its seeds), the luck of the seed, of the seed on that group, and noise; a
number is told with the same errors. In the null all arms are drawn from the same distributions.

Test: how often a difference is found (two-sided, .05) in the null. Adds: a gain and leads over both controls, each sure
one-sided: in the null, where both controls are weak, and where fusion gains no more than one control does, while the other is as
good as the baseline. Harms: a sure loss in the null. (That a sure difference may also be *redundant* or *invalid* can only make
these rarer.) Redundant: how often a difference is shown to be within the margin that is the margin. Covered: how often the 95 %
interval holds the true difference, which is that of 4 studies of 100 times as many groups.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
from _rates import lower, upper
from _scored_worlds import SEEDS, WORLDS, Runs, World, study

from multimodal_lab.stats.answers import ENOUGH, Answers, in_groups, usable
from multimodal_lab.stats.crossed import Crossed, crossed
from multimodal_lab.stats.equivalence import within
from multimodal_lab.stats.mover import Bounds, beyond, mover
from multimodal_lab.stats.paired import Paired, paired, stratified
from multimodal_lab.stats.score import NAMES, Score, named
from multimodal_lab.stats.verdict import ONE_SIDED

GAIN = 0.5  # of the fused arm's clearness
WEAK = -0.25  # of a weak control's
ARMS = (0.0, 0.0, 0.0, 0.0, WEAK, WEAK, GAIN, GAIN)
BASELINE, FUSED, FIRST, SECOND, POOR, POORER, BETTER, AS_GOOD = range(len(ARMS))
_KEPT: dict[tuple[str, int], tuple[np.ndarray, ...]] = {}
COLUMNS = ("test", "adds", "adds, weak", "adds, capacity", "harms", "redundant", "covered")


def tested(score: Score, runs: Runs) -> tuple[Paired, Crossed, Bounds | None]:
    """The differences of a score, the study's test of them, and the further interval that an area under a curve has."""
    one = runs[0][0]
    (baseline, beside), (arm, each) = (_scored(score, own) for own in runs)
    uneven = one.kind == "labels" or _few(score, one, ENOUGH)

    def pairs_of(low: np.ndarray, high: np.ndarray, low_each: np.ndarray, high_each: np.ndarray) -> Paired:
        pairs = replace(paired(low, high, one.groups), uneven=uneven)
        if score.reach is not None and one.kind == "classes":
            pairs = stratified(pairs, low_each, high_each, one.groups, one.truth, score.reach)
        return pairs

    pairs = pairs_of(baseline, arm, beside, each)
    found = crossed(pairs).widened()
    if not score.area:
        return pairs, found, None
    none, zero = np.where(np.isnan(arm), np.nan, 0.0), np.zeros_like(each)
    own = [crossed(pairs_of(none, x, zero, e)) for x, e in ((baseline, beside), (arm, each))]
    bounds = partial(mover, own[0], own[1], found)
    low, high = bounds(0.95)
    return pairs, replace(found, low=min(found.low, low), high=max(found.high, high)), bounds


def _scored(score: Score, arm: list[Answers]) -> tuple[np.ndarray, np.ndarray]:
    """What each sample gives to the score of each seed, and by itself, (S, 1, N) both; kept while the study is judged."""
    key = (score.name, id(arm))
    if key not in _KEPT:
        _KEPT[key] = tuple(np.stack([of(a) for a in arm])[:, None] for of in (score.values, score.each))
    return _KEPT[key]


def true(score: Score, world: World) -> float:
    """The difference that `GAIN` makes in the long run."""
    large = replace(world, groups=100 * world.groups)
    found = []
    for i in range(4):
        runs = study(large, (0.0, GAIN), np.random.default_rng([7, i]))
        means = [np.mean([score.values(a).mean() for a in arm]) for arm in runs]
        found.append(means[1] - means[0])
    return float(np.mean(found))


def row(world: World, studies: int, asked: Sequence[str]) -> None:
    """Print the rates of every score that is asked for and fits the world."""
    scores = [named(name) for name in asked if world.kind in named(name).kinds]
    truth = {s.name: true(s, world) for s in scores}
    counts = {s.name: np.zeros(1 + len(COLUMNS), int) for s in scores}
    for i in range(studies):
        runs = study(world, ARMS, np.random.default_rng([i, world.groups]))
        for s in scores:
            _KEPT.clear()
            if s.pseudo is None or len(usable(runs[0][0].kind, runs[0][0].truth, runs[0][0].groups)):
                counts[s.name] += [1, *_found(s, runs, truth[s.name])]
    for s in scores:
        n, *hits = (int(x) for x in counts[s.name])
        bounds = [*(upper(k, n) for k in hits[:-1]), lower(hits[-1], n)]
        told = "  ".join(f"{k / n:.3f} ({b:.3f})" for k, b in zip(hits, bounds, strict=True))
        print(f"{world.name:34} {s.name:18} {truth[s.name]:+.3f} {n:5}  {told}", flush=True)


def _found(score: Score, runs: Runs, at: float) -> list[bool]:
    """One study: what is found, in the order of `COLUMNS`."""

    def test(low: int, high: int) -> Crossed:
        return tested(score, [runs[low], runs[high]])[1]

    gain = test(BASELINE, FUSED)
    sure = gain.p_above < ONE_SIDED
    pairs, real, bounds = tested(score, [runs[BASELINE], runs[BETTER]])
    claims = real.p_above < ONE_SIDED
    apart = max(within(pairs, real, abs(at)), beyond(bounds, abs(at)) if bounds is not None else 0.0)
    return [
        gain.p < 0.05,
        sure and all(test(c, FUSED).p_above < ONE_SIDED for c in (FIRST, SECOND)),
        sure and all(test(c, FUSED).p_above < ONE_SIDED for c in (POOR, POORER)),
        claims and all(test(c, BETTER).p_above < ONE_SIDED for c in (AS_GOOD, FIRST)),
        gain.mean < 0 and gain.p < 0.05,
        apart < score.small and not _few(score, runs[0][0], score.enough),
        real.low <= at <= real.high,
    ]


def _few(score: Score, one: Answers, enough: int) -> bool:
    """Whether a class stands in so few groups that its probabilities say little, as in `study.analysis.few_groups`."""
    if not score.outputs or one.kind == "values":
        return False
    if one.kind == "classes":
        return min(in_groups(one.truth == c, one.groups) for c in np.unique(one.truth)) < enough
    return min(in_groups(one.truth[:, k] == v, one.groups) for k in range(one.truth.shape[1]) for v in (0, 1)) < enough


def recall(studies: int) -> None:
    """The rate of *redundant* where fusion finds .6 of a class of 1.5 % that the baseline never does, by two scores."""
    print(
        f"\n{studies} studies a row: a class of 1.5 % whose recall rises from 0 to .6 is called redundant (margin 2 points)"
    )
    print(
        f"{'samples':>8} {'in groups of':>13}   {'by accuracy':>11}   {'by balanced accuracy':>20}   gain surely found by it"
    )
    for samples, size in ((400, 1), (800, 1), (2000, 1), (800, 4), (2000, 4)):
        counts = np.zeros(3, int)
        for i in range(studies):
            runs = _rare(samples, size, np.random.default_rng([samples, size, i]))
            _KEPT.clear()
            accuracy, balanced = (tested(named(name), runs) for name in ("accuracy", "balanced_accuracy"))
            counts += [
                within(*accuracy[:2], 0.02) < 0.05,
                within(*balanced[:2], 0.02) < 0.05,
                balanced[1].mean > 0 and balanced[1].p < 0.05,
            ]
        told = [f"{c / studies:.3f}" for c in counts]
        print(f"{samples:8} {size:13}   {told[0]:>11}   {told[1]:>20}   {told[2]}", flush=True)


def _rare(samples: int, size: int, draw: np.random.Generator) -> Runs:
    groups = np.arange(samples) // size
    rare = np.zeros(groups.max() + 1, int)
    rare[draw.permutation(len(rare))[: round(0.015 * len(rare))]] = 1
    truth, arms = rare[groups], []
    for found in (0.0, 0.6):
        said = [np.where(truth == 1, draw.random(samples) < found, draw.random(samples) < 0.01) for _ in range(SEEDS)]
        arms.append([Answers("classes", truth, s.astype(int), None, groups) for s in said])
    return arms


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("studies", nargs="?", type=int, default=1000)
    ask.add_argument("word", nargs="?", default="")
    ask.add_argument("scores", nargs="*", help="only these, such as auroc average_precision; all that fit by default")
    given = ask.parse_args()
    print(f"{given.studies} studies a row; all but covered at most .05 (bound .07)")
    print(f"{'world':34} {'score':18} {'true':6}     n  {'  '.join(f'{c:13}' for c in COLUMNS)}")
    for world in WORLDS:
        if given.word in world.name:
            row(world, given.studies, given.scores or NAMES)
    if given.word in "recall" and not given.scores:
        recall(max(1, given.studies // 5))


if __name__ == "__main__":
    main()
