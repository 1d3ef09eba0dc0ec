"""Compare one fused arm with one baseline on one label: every statistic of the pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from multimodal_lab.config.study import Study
from multimodal_lab.stats.bootstrap import Bootstrap, hierarchical
from multimodal_lab.stats.crossed import Crossed, crossed
from multimodal_lab.stats.effect import Effect, hedges_g_av, wins
from multimodal_lab.stats.equivalence import Equivalence, equivalence, rivals
from multimodal_lab.stats.mover import Bounds, mover
from multimodal_lab.stats.own import own
from multimodal_lab.stats.paired import Paired, paired, stratified
from multimodal_lab.stats.permutation import SignFlip, sign_flip, wilcoxon
from multimodal_lab.stats.power import Asked, Needed, detectable, seeds_needed
from multimodal_lab.stats.verdict import ONE_SIDED, REQUIRED
from multimodal_lab.study.analysis.control_name import control_name
from multimodal_lab.study.analysis.few_groups import too_few, uneven
from multimodal_lab.study.ledger.outcomes import Scores
from multimodal_lab.study.ledger.scoring import Scoring

ALPHA = 0.05


@dataclass(frozen=True)
class Guard:
    """A control of the fused arm. gain: over the better baseline, of `pairs`; lead: of the fused arm over it."""

    arm: str
    name: str
    pairs: Paired
    gain: Crossed
    lead: Crossed


@dataclass(frozen=True)
class Comparison:
    """A pair of arms on one label; `better`: the baseline is the best single modality of this label.

    margin: in the unit of the score, which `by` names.
    alpha, lead_alpha: the levels at which a gain, and a lead over a control of each name, are found, corrected for how many
    are asked. behind: by how much the baseline's score is below that of the better one, whose score a control has.
    repeated: how many seeds have the predictions of another in both arms, and count as one with it. among: how many baselines
    the better one was chosen from. bounds: see `bounds`. few: see `too_few`.
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
    by: Scoring
    behind: float = 0.0
    repeated: int = 0
    among: int = 1
    alpha: float = ONE_SIDED
    lead_alpha: Mapping[str, float] = field(default_factory=dict)
    bounds: Bounds | None = None
    few: str = ""

    @cached_property
    def equivalence(self) -> Equivalence:
        """Whether the difference is shown to be within the margin, of this arm alone."""
        found = equivalence(self.pairs, self.gain, self.margin, self.by.score.small, self.among, self.bounds)
        return replace(found, p=1.0) if self.few else found

    @property
    def asked(self) -> list[Asked]:
        """The tests that *adds* takes: of the gain, and of the lead over each control that guards it."""
        leads = [Asked(g.lead.cautious, self.lead_alpha.get(g.name, ONE_SIDED), self.behind)
                 for g in self.controls if g.name in REQUIRED]  # fmt: skip
        return [Asked(self.gain.cautious, self.alpha), *leads]

    @cached_property
    def detectable(self) -> float:
        """The smallest true gain at which the verdict is *adds* with 80 % chance."""
        most = 1.0 if self.by.score.share else 1e3 * self.margin
        return detectable([one.at(one.found.seeds) for one in self.asked], most=most)

    @cached_property
    def need(self) -> Needed:
        """Seeds to add for *adds* with 80 % chance at a gain that matters: twice the margin."""
        return seeds_needed(self.asked, 2 * self.margin, score=self.by.score)

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
        found = [repeats(self.repeated)] if self.repeated else []
        for test, what, name in ((self.ranks, "seeds", "exact Wilcoxon"), (self.flips, "groups", "sign-flip")):
            if test.hopeless:
                few = (
                    f"{test.n} {what if test.n != 1 else what[:-1]} that differ{'s' * (test.n == 1)}"
                    if test.n
                    else f"no {what} differ"
                )
                least = f"{test.smallest:.4f}".lstrip("0")
                found.append(f"{few}: no data could bring the {name} p over {what} below {least}")
        return found


def repeats(count: int) -> str:
    """What is told of seeds that repeat another."""
    few = "1 seed has" if count == 1 else f"{count} seeds have"
    return f"{few} the very predictions of another in both arms, and count{'s' if count == 1 else ''} as one with it"


def compare(study: Study, scores: Scores, test_per_train: float | None) -> list[Comparison]:
    """Every fused arm of a label's scores against every baseline."""
    best = better(study, scores)
    others = [b for b in study.baselines if b in scores.score and b != best]
    among = rivals([test(scores, other, best, test_per_train) for other in others])
    there = [arm for arm in study.fused if arm in scores.score]
    return [
        replace(_pair(study, scores, arm, baseline, best, test_per_train), among=among if baseline == best else 1)
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
    found, by = own(pair(scores, None, arm), test_per_train), scores.by.score
    if np.isfinite(found.se) and by.share and by.name != "r2":
        return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))
    return found


def test(scores: Scores, baseline: str, arm: str, test_per_train: float | None) -> Crossed:
    """The study's test of arm - baseline; the interval is wider where few groups differ, and of a share it ends at 1."""
    found = crossed(pair(scores, baseline, arm), test_per_train).widened()
    if (more := bounds(scores, baseline, arm, test_per_train, found)) is not None:
        low, high = more(0.95)
        found = replace(found, low=min(found.low, low), high=max(found.high, high))
    if np.isfinite(found.se) and scores.by.score.share and scores.by.score.name != "r2":
        return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))
    return found


def bounds(scores: Scores, baseline: str, arm: str, test_per_train: float | None, gain: Crossed) -> Bounds | None:
    """Of areas under curves the interval of a gain that its own level makes longer near 1; None of other scores."""
    if not scores.by.score.area:
        return None
    one, other = (crossed(pair(scores, None, name), test_per_train) for name in (baseline, arm))
    return partial(mover, one, other, gain)


def pair(scores: Scores, baseline: str | None, arm: str) -> Paired:
    """The differences arm - baseline (None: from 0); with those of each class where the score is over classes."""
    seeds = distinct(scores, arm) if baseline is None else distinct(scores, baseline, arm)
    values, each = scores.score[arm][seeds], scores.each[arm][seeds]
    other, beside = (np.where(np.isnan(x), np.nan, 0.0) for x in (values, each))
    if baseline is not None:
        other, beside = scores.score[baseline][seeds], scores.each[baseline][seeds]
    pairs = replace(paired(other, values, scores.groups), uneven=uneven(scores))
    reach = scores.by.score.reach
    if reach is None or scores.by.kind != "classes":
        return pairs
    return stratified(pairs, beside, each, scores.groups, scores.truth.astype(str), reach)


def distinct(scores: Scores, *arms: str) -> np.ndarray:
    """The places of the seeds whose predictions differ from those of every seed before, in at least one of the arms."""
    codes = np.stack([scores.same_as.get(arm, np.arange(len(scores.seeds))) for arm in arms])
    return np.sort(np.unique(codes, axis=1, return_index=True)[1])


def _pair(study: Study, scores: Scores, arm: str, baseline: str, best: str, test_per_train: float | None) -> Comparison:
    def tested(low: str, high: str) -> Crossed:
        return test(scores, low, high, test_per_train)

    pairs, seeds = pair(scores, baseline, arm), distinct(scores, baseline, arm)
    fused, base = (scores.score[name][seeds] for name in (arm, baseline))
    guards = [
        Guard(name, control_name(study, name, scores.label, best, scores.score), pair(scores, best, name),
              tested(best, name), tested(name, arm))
        for name, facts in study.controls.items()
        if facts.of == arm and name in scores.score
    ]  # fmt: skip
    gain = tested(baseline, arm)
    behind = float(runs(scores.score[best]).mean() - runs(scores.score[baseline]).mean())
    return Comparison(
        scores.label, arm, baseline, baseline == best, pairs, runs(base).ravel(), runs(fused).ravel(), gain,
        guards, scores.by.margin, scores.by, behind, len(scores.seeds) - len(seeds),
        bounds=bounds(scores, baseline, arm, test_per_train, gain), few=too_few(scores),
    )  # fmt: skip
