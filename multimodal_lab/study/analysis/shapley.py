"""Shapley values and interactions of the modalities in a study.

Of one model that was trained with modality dropout, and of as many models as there are subsets, each trained on one: the slow
check. The first says what this model uses, the second what there is to be learnt; they need not agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from multimodal_lab.config.problem import StudyError
from multimodal_lab.evaluate.subsets import members
from multimodal_lab.stats.crossed import Crossed, crossed
from multimodal_lab.stats.paired import paired
from multimodal_lab.stats.shapley import Subset, interactions, missing_curve, shapley
from multimodal_lab.study.design.retrain import JOIN
from multimodal_lab.study.ledger import metric
from multimodal_lab.study.ledger.outcomes import Outcomes
from multimodal_lab.study.ledger.scoring import RECORDED

Told = dict[str, Any]


def shares(found: Outcomes, label: str) -> Told | None:
    """Shapley values of the study's `subsets` arm on one label; None if there is none or it was not judged.

    A Shapley value is linear in the scores, so that each sample has its own and the interval is that of the study's test, over
    seeds and groups. The empty set scores what the majority answer of training does (see `ledger.metric`); None where that
    was not recorded. Samples that lack a modality are left out: they have no score on every subset.
    """
    arm = found.plan.study.subsets
    if arm is None or not (streams := _streams(found, arm, label)):
        return None
    try:
        if _prior(found, arm, label) is None:
            return None
        scores = {subset: found.scores(label, [arm], {arm: name}) for subset, name in streams.items()}
    except StudyError:
        return None
    shared = set.intersection(*(set(s.ids.tolist()) for s in scores.values()))
    if not shared:
        return None
    first = next(iter(scores.values()))
    groups = first.groups[np.isin(first.ids, list(shared))]
    value = {subset: s.score[arm][:, :, np.isin(s.ids, list(shared))] for subset, s in scores.items()}
    return {"arm": arm, **_game(found, label, arm, value, groups)}


def retrained(found: Outcomes, label: str) -> Told | None:
    """The same of the models that were trained on each subset alone (see `Study.retrain`); `arms` says which they are.

    Every subset is judged on the samples that all of these arms were judged on, seed by seed. None where nothing is retrained,
    or some subset has no finished cell.
    """
    arms = {frozenset(name.split(JOIN)): arm for name, arm in found.plan.retrained.items()}
    if not arms:
        return None
    try:
        scores = found.scores(label, list(arms.values()))
    except StudyError:
        return None
    whole = arms[max(arms, key=len)]
    if not set(arms.values()) <= scores.score.keys() or _prior(found, whole, label) is None:
        return None
    value = {own: scores.score[arm] for own, arm in arms.items()}
    told = _game(found, label, whole, value, scores.groups)
    return {"arm": whole, "arms": dict(found.plan.retrained), **told}


def _game(found: Outcomes, label: str, arm: str, value: Mapping[Subset, np.ndarray], groups: np.ndarray) -> Told:
    """value[subset] (S, R, N): the scores of the samples, whose groups are (N,); what answers for the whole is `arm`."""
    ratio, by = found.test_per_train, found.scoring(label)
    title = by.title
    empty = _prior(found, arm, label)
    assert empty is not None
    order = [name for one in sorted((s for s in value if len(s) == 1), key=list(value).index) for name in one]

    def test(score: np.ndarray) -> Told:
        # a mean with its interval is the paired difference to a score of 0
        zero = np.where(np.isnan(score), np.nan, 0.0)
        return _interval(crossed(paired(zero, score, groups), ratio))

    means = {subset: float(np.nanmean(v, axis=2).mean()) for subset, v in value.items()}
    return {
        "metric": title if by.score.higher_is_better else f"{title}, its sign turned",
        "empty": empty,
        "n": len(groups),
        "scores": {JOIN.join(sorted(s, key=order.index)): test(v) for s, v in value.items()},
        "shapley": {name: test(v) for name, v in _linear(value, empty, shapley).items()},
        "interactions": {JOIN.join(sorted(t, key=order.index)): test(v)
                         for t, v in _linear(value, empty, lambda s, e: interactions(s, e, 2)).items()},
        "curve": [{"present": n, "mean": m, "low": low, "high": high}
                  for n, m, low, high in missing_curve(means, empty)],
    }  # fmt: skip


def _streams(found: Outcomes, arm: str, label: str) -> dict[Subset, str]:
    """{subset: the stream's name}, the whole set among them; {} unless all are there."""
    there = found.streams(arm, label)
    proper = {members(name): name for name in there if members(name)}
    whole: Subset = frozenset().union(*proper)
    wholes = {name.partition("@")[0] for name in proper.values()}  # fused, or the head of the label
    complete = len(proper) == 2 ** len(whole) - 2 and len(wholes) == 1 and wholes <= {*there}
    return {**proper, whole: wholes.pop()} if proper and complete else {}


def _linear(value: Mapping[Subset, np.ndarray], empty: float, of: Callable[..., Mapping[Any, float]]) -> dict[Any, Any]:
    """A linear function of the subsets' scores, applied to the scores of every sample."""
    # linear, so that its values at the unit vectors are its coefficients
    constant = of(dict.fromkeys(value, 0.0), empty)
    parts = {s: of({t: float(t == s) for t in value}, 0.0) for s in value}
    return {key: sum(parts[s][key] * value[s] for s in value) + constant[key] for key in constant}


def _prior(found: Outcomes, arm: str, label: str) -> float | None:
    """What no modality scores, more being better as in `Scores`; of others than accuracy and R² the best constant answer."""
    by = found.scoring(label)
    if by.score.name not in RECORDED:
        return by.score.sign * by.constant if np.isfinite(by.constant) else None
    own = [metric.prior(e.summary, found.evaluator, label) for e in found.finished if e.cell.arm == arm]
    known = [p for p in own if p is not None]
    return float(np.mean(known)) if known and len(known) == len(own) else None


def _interval(found: Crossed) -> Told:
    return {"mean": found.mean, "low": found.low, "high": found.high}
