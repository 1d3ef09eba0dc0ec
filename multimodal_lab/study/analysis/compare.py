"""Compare one fused arm with one baseline on one label: every statistic of the pair."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from multimodal_lab.config.study import Study
from multimodal_lab.runs.guarded import parse_yaml
from multimodal_lab.stats.bootstrap import Bootstrap, hierarchical
from multimodal_lab.stats.crossed import Crossed, crossed
from multimodal_lab.stats.effect import Effect, hedges_g_av, wins
from multimodal_lab.stats.equivalence import Equivalence, equivalence
from multimodal_lab.stats.paired import Paired, paired
from multimodal_lab.stats.permutation import SignFlip, sign_flip, wilcoxon
from multimodal_lab.stats.power import Needed, detectable, seeds_needed
from multimodal_lab.stats.verdict import REQUIRED, WITHIN
from multimodal_lab.study.ledger.outcomes import Scores

ALPHA = 0.05


@dataclass(frozen=True)
class Guard:
    """A control of the fused arm. gain: over the better baseline; lead: of the fused arm over it."""

    arm: str
    name: str
    gain: Crossed
    lead: Crossed


@dataclass(frozen=True)
class Comparison:
    """A pair of arms on one label; `better`: the baseline is the best single modality of this label.

    alpha: the level at which a gain is found, corrected for how many are asked.
    """

    label: str
    arm: str
    baseline: str
    better: bool
    pairs: Paired
    baseline_runs: np.ndarray
    arm_runs: np.ndarray
    gain: Crossed
    controls: Sequence[Guard]
    margin: float
    alpha: float = ALPHA

    @cached_property
    def equivalence(self) -> Equivalence:
        """Whether the difference is shown to be within the margin."""
        return equivalence(self.gain, self.margin, ALPHA)

    @cached_property
    def detectable(self) -> float:
        """The smallest difference that is found with 80 % chance, at `alpha`."""
        return detectable(self.gain.cautious.se, self.gain.df, alpha=self.alpha)

    @cached_property
    def need(self) -> Needed:
        """Seeds to add to see one point, at `alpha`."""
        return seeds_needed(self.gain.cautious, alpha=self.alpha)

    @cached_property
    def bootstrap(self) -> Bootstrap:
        """Seeds, splits and groups drawn again."""
        return hierarchical(self.pairs)

    @cached_property
    def flips(self) -> SignFlip:
        """Signs of the groups' differences flipped: other groups, these seeds."""
        return sign_flip(self.pairs.by_group)

    @cached_property
    def ranks(self) -> SignFlip:
        """Wilcoxon's test of the seeds' differences: other seeds, these groups."""
        return wilcoxon(self.pairs.by_seed)

    @cached_property
    def effect(self) -> Effect:
        """Over runs only, not over samples: runs, which share training or test samples, count as independent."""
        if len(self.arm_runs) < 2:
            return Effect(float("nan"), float("nan"), float("nan"))
        return hedges_g_av(self.baseline_runs, self.arm_runs)

    @property
    def wins(self) -> tuple[int, int, int]:
        """Runs (seed and split) won, tied and lost."""
        return wins(self.baseline_runs, self.arm_runs)

    @property
    def notes(self) -> list[str]:
        """What the tests could not have shown whatever the data."""
        found = []
        for test, what, name in ((self.ranks, "seeds", "exact Wilcoxon"), (self.flips, "groups", "sign-flip")):
            if test.hopeless:
                least = f"{test.smallest:.4f}".lstrip("0")
                found.append(f"{test.n} {what} that differ: no data could bring the {name} p over {what} below {least}")
        return found


def compare(study: Study, scores: Scores, test_per_train: float | None) -> list[Comparison]:
    """Every fused arm of a label's scores against every baseline."""
    best = better(study, scores)
    there = [arm for arm in study.fused if arm in scores.score]
    return [
        _pair(study, scores, arm, baseline, best, test_per_train)
        for arm in there
        for baseline in study.baselines
        if baseline in scores.score
    ]


def better(study: Study, scores: Scores) -> str:
    """The baseline with the higher mean; of equal ones the first named."""
    means = {b: runs(scores.score[b]).mean() for b in study.baselines if b in scores.score}
    return max(means, key=lambda b: means[b])


def runs(score: np.ndarray) -> np.ndarray:
    """The mean of every run (S, R) over its test samples; score (S, R, N), NaN where not tested."""
    means: np.ndarray = np.nanmean(score, axis=2)
    return means


def mean(scores: Scores, arm: str, test_per_train: float | None) -> Crossed:
    """An arm's own mean with its interval, over seeds and groups."""
    own = scores.score[arm]
    return test(scores, np.where(np.isnan(own), np.nan, 0.0), own, test_per_train)


def test(scores: Scores, baseline: np.ndarray, arm: np.ndarray, test_per_train: float | None) -> Crossed:
    """The study's test of arm - baseline, both (S, R, N)."""
    return crossed(paired(baseline, arm, scores.groups), test_per_train)


def control_name(study: Study, control: str, label: str, best: str = "", there: Collection[str] | None = None) -> str:
    """What a control is to a label whose better baseline is `best`: what guards nothing has a name of its own, and is reported.

    That is a re-pairing within another column, and a duplicate that doesn't keep `best` beside one that does (among `there`:
    the controls that were judged; None is all).
    """
    facts = study.controls[control]
    if facts.kind == "duplicate":
        beside = [c for n, c in study.controls.items() if c.of == facts.of and (there is None or n in there)]
        keep = best != "" and any(c.keeps == best for c in beside)
        return REQUIRED[1] if not keep or facts.keeps == best else f"duplicate of {facts.keeps or 'no baseline'}"
    column = within(facts.set)
    return REQUIRED[0] if column is None else WITHIN if column == label else f"shuffled within {column}"


def within(lines: Sequence[str]) -> str | None:
    """The column inside which a control's overrides re-pair; None: among all."""
    column = None
    for line in lines:
        name, _, value = line.lstrip("+").partition("=")
        if name == "data.shuffle":
            found = parse_yaml(value)
            column = found.get("within") if isinstance(found, dict) else None
        elif name == "data.shuffle.within":
            column = parse_yaml(value)
    return None if column is None else str(column)


def _pair(study: Study, scores: Scores, arm: str, baseline: str, best: str, test_per_train: float | None) -> Comparison:
    own, base, top = (scores.score[name] for name in (arm, baseline, best))
    pairs = paired(base, own, scores.groups)
    guards = [
        Guard(name, control_name(study, name, scores.label, best, scores.score),
              test(scores, top, scores.score[name], test_per_train), test(scores, scores.score[name], own, test_per_train))
        for name, facts in study.controls.items()
        if facts.of == arm and name in scores.score
    ]  # fmt: skip
    return Comparison(
        scores.label, arm, baseline, baseline == best, pairs, runs(base).ravel(), runs(own).ravel(),
        crossed(pairs, test_per_train), guards, study.margin,
    )  # fmt: skip
