"""How many seeds, groups and samples a study needs: from the variance components of a pilot, by the rules of the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import special, stats

from multimodal_lab.config.problem import StudyError
from multimodal_lab.stats.components import Components, Design, components, root
from multimodal_lab.stats.crossed import Crossed, crossed
from multimodal_lab.stats.equivalence import Equivalence, within
from multimodal_lab.stats.paired import paired
from multimodal_lab.stats.seeds import FEWEST_SEEDS
from multimodal_lab.stats.smallest import smallest
from multimodal_lab.stats.verdict import (
    ONE_SIDED,
    REQUIRED,
    ControlEvidence,
    Difference,
    Evidence,
    difference,
    verdict,
)
from multimodal_lab.study.analysis.compare import ALPHA
from multimodal_lab.study.analysis.judge import Answer

ENOUGH = 0.8
MANY_SEEDS, MANY_GROUPS, MANY_SAMPLES = 1000, 100_000, 100_000
SEVERAL = (5, 10, 20)  # seeds that are told with the groups they need
STUDIES, DRAWS = 400, 600


@dataclass(frozen=True)
class Option:
    """A design that would do, or None where no number of what is changed would."""

    what: str
    design: Design | None
    told: float


@dataclass(frozen=True)
class Forecast:
    """A label's headline comparison in studies of another size, at a true gain `effect`, with controls that gain nothing.

    parts: of the fused arm, the better baseline and the controls, in this order; names: of the controls.
    """

    parts: Components
    names: Sequence[str]
    alpha: float
    lead_alpha: Sequence[float]
    margin: float
    effect: float

    def told(self, design: Design) -> float:
        """The chance of *adds*: the verdict's rules on means and standard errors drawn from their distributions.

        Means are normal with the components' covariance, squared standard errors chi-squared. Each design has the same draws, so
        that a larger one is never told to be worse by luck. No difference is taken to be shown as small: the effect is not.
        """
        if design.seeds < FEWEST_SEEDS:
            return 0.0
        arms = len(self.parts.mean)
        pairs = [
            (0, 1),
            *((k, 1) for k in range(2, arms)),
            *((0, k) for k in range(2, arms)),
        ]  # gain, controls' gains, leads
        contrasts = np.zeros((len(pairs), arms))
        for row, (high, low) in enumerate(pairs):
            contrasts[row, [high, low]] = 1, -1
        true = [self.effect if high == 0 else 0.0 for high, _ in pairs]
        tests = [self.parts.of(w, design, gain) for w, gain in zip(contrasts, true, strict=True)]
        draw = np.random.default_rng(0)
        normal = draw.normal(size=(DRAWS, arms)) @ root(self.parts.covariance(design)).T @ contrasts.T + true
        # two tests share one arm, so that where arms vary alike their differences are correlated by .5, and the squares by .25
        level = special.ndtr(0.5 * draw.normal(size=(DRAWS, 1)) + 0.75**0.5 * draw.normal(size=(DRAWS, len(tests))))
        found = [_drawn(test, normal[:, k], level[:, k]) for k, test in enumerate(tests)]
        large = [Equivalence(self.margin, 1.0, -np.inf, np.inf, ALPHA)] * (1 + len(self.names))
        return sum(self._kind([f[i] for f in found], large) == "adds" for i in range(DRAWS)) / DRAWS

    def simulated(self, design: Design, studies: int = STUDIES, seed: int = 0) -> float:
        """The share of simulated studies whose verdict is *adds*."""
        draw = np.random.default_rng(seed)
        means = np.zeros(len(self.parts.mean))
        means[0] = self.effect
        drawn = (self.parts.draw(design, means, draw) for _ in range(studies))
        return sum(self._verdict(arms) == "adds" for arms in drawn) / studies

    def _verdict(self, arms: np.ndarray) -> str:
        fused, baseline, *controls = arms
        pairs = [(baseline, fused), *((baseline, c) for c in controls), *((c, fused) for c in controls)]
        tested = [(own := paired(low, high), crossed(own)) for low, high in pairs]
        small = [Equivalence(self.margin, within(*one, self.margin), -np.inf, np.inf, ALPHA)
                 for one in tested[: 1 + len(controls)]]  # fmt: skip
        return self._kind([test for _, test in tested], small)

    def _kind(self, tests: Sequence[Crossed], small: Sequence[Equivalence]) -> str:
        """The word for the gain, the controls' gains and the leads over them; small: whether each gain is."""
        gain, *others = tests
        count = len(self.names)
        evidence = [
            ControlEvidence(name, difference(own, own.p), _at(lead, level), little.shown)
            for name, own, lead, level, little in zip(
                self.names, others[:count], others[count:], self.lead_alpha, small[1:], strict=True
            )
        ]
        return verdict(Evidence(_at(gain, self.alpha), small[0], evidence, float("inf"), gain.seeds)).kind

    @cached_property
    def options(self) -> list[Option]:
        """The pilot as it is, more of one thing each, and the groups that other numbers of seeds need."""
        now = self.parts.design
        seeds = max(now.seeds, FEWEST_SEEDS)
        found = [
            Option("the pilot", now, self.told(now)),
            self._least("more seeds", lambda n: replace(now, seeds=n), seeds, MANY_SEEDS),
            self._least("more groups", lambda n: replace(now, seeds=seeds, groups=n), now.groups, MANY_GROUPS),
            self._least("more samples in a group", lambda n: replace(now, seeds=seeds, samples=n), int(now.samples) + 1,
                        MANY_SAMPLES),
        ]  # fmt: skip
        found += [self._groups(s) for s in SEVERAL if s > seeds]
        return found

    def _groups(self, seeds: int) -> Option:
        now = self.parts.design
        what = f"{seeds} seeds and more groups"
        return self._least(what, lambda n: replace(now, seeds=seeds, groups=n), now.groups, MANY_GROUPS)

    @property
    def best(self) -> Option | None:
        """The pilot where it does; more seeds where 20 do; else the fewest groups, and of about as many the fewest seeds."""
        pilot, more, *_ = self.options
        if pilot.told >= ENOUGH:
            return pilot
        if more.design is not None and more.design.seeds <= SEVERAL[-1]:
            return more
        grown = [o for o in self.options if o.design is not None and "groups" in o.what]
        if not grown:
            return more if more.design is not None else None
        fewest = min(o.design.groups for o in grown if o.design)
        return next(o for o in grown if o.design and o.design.groups <= 1.15 * fewest)

    def _least(self, what: str, of: Callable[[int], Design], low: int, most: int) -> Option:
        if self.told(of(most)) < ENOUGH:
            return Option(what, None, self.told(of(most)))
        design = of(smallest(low - 1, most, lambda n: self.told(of(n)) >= ENOUGH))
        return Option(what, design, self.told(design))


def forecast(answer: Answer, effect: float) -> Forecast:
    """The forecast of a label's headline comparison. `StudyError` where the pilot's parts can't be told."""
    head, scores = answer.headline, answer.scores
    if head is None or scores is None:
        raise StudyError(f"{answer.label}: {answer.why or 'nothing was compared'}")
    c = head.of
    guards = [g for g in c.controls if g.name in REQUIRED]
    if c.gain.seeds < 2 or c.gain.groups < 2:
        found = f"{c.gain.seeds} seed(s) and {c.gain.groups} group(s) in the test part"
        raise StudyError(f"{answer.label}: the pilot has {found}; its variance has no parts with fewer than 2 of each")
    if effect <= c.margin:
        size = c.by.score.size
        raise StudyError(
            f"effect={effect:g}: {answer.label}: is within the margin of {size(c.margin)}, where a study says redundant; "
            f"give an effect above {c.margin:g}, or a pilot with a smaller study.margin"
        )
    levels = [c.lead_alpha.get(g.name, ONE_SIDED) for g in guards]
    arms = np.stack([scores.score[name] for name in (c.arm, c.baseline, *(g.arm for g in guards))])
    return Forecast(components(arms, scores.groups), [g.name for g in guards], c.alpha, levels, c.margin, effect)


def _drawn(test: Crossed, means: np.ndarray, level: np.ndarray) -> list[Crossed]:
    """The test with other means (M,), and with standard errors at quantiles `level` (M,) of their distribution."""
    if test.se in (0, float("inf")):
        return [replace(test, mean=float(m)) for m in means]
    se = test.se * np.sqrt(stats.chi2.ppf(level, test.df) / test.df)
    p = 2 * stats.t.sf(np.abs(means) / se, test.df)
    return [replace(test, mean=float(m), se=float(s), p=float(q)) for m, s, q in zip(means, se, p, strict=True)]


def _at(found: Crossed, level: float) -> Difference:
    """A difference whose p is what Holm's correction leaves of it at its strictest level."""
    times = ONE_SIDED / level
    return difference(found, min(1.0, times * found.p), min(1.0, times * found.p_above))
