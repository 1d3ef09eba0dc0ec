"""By which score a label of a study is judged, its margin, and what every sample gives to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.study import Study
from multimodal_lab.config.study_score import of_label
from multimodal_lab.stats.answers import Answers, Kind, usable
from multimodal_lab.stats.score import Score, fitting, named
from multimodal_lab.stats.score_names import ScoreName
from multimodal_lab.study.ledger.predictions import LARGEST, Outcome
from multimodal_lab.text import some, split_labels

RARE = 0.1  # of the samples that are tested: a class of fewer hardly moves the accuracy
MOST = 1 + 1e-9  # of a recorded score
SEVERAL = "share of labels right"
RECORDED = ("accuracy", "r2")  # as the evaluators told them of each sample
SAID = {"classes": "classes", "labels": "several 0/1 labels", "values": "numbers"}


@dataclass(frozen=True)
class Scoring:
    """The score of a label. kind: of the label; title: its name in sentences; margin: in its unit; why: what decided.

    constant: what the best constant answer scores on the samples that are tested. left_out: which classes a score over classes
    does not count, a sentence for each split.
    """

    score: Score
    kind: Kind
    title: str
    margin: float
    constant: float
    why: str
    left_out: tuple[str, ...] = ()


def require_fitting(score: ScoreName | Mapping[str, ScoreName] | None, kinds: Mapping[str, Kind]) -> None:
    """`StudyError` where a label is of another kind than the score that `study.score` gives it."""
    for label, kind in kinds.items():
        asked = of_label(score, label)
        if asked is not None and kind not in named(asked).kinds:
            raise StudyError(
                f"study.score={asked}: {label} is a label of {SAID[kind]}, which {asked} doesn't fit; "
                f"those that do: {', '.join(fitting(kind))}"
            )


def require_scores(o: Outcome, by: Scoring) -> None:
    """`StudyError` where a recorded score is no finite number that a score can be."""
    if by.score.name in RECORDED and (wrong := int((~((o.score >= -LARGEST) & (o.score <= MOST))).sum())):
        raise StudyError(
            f"{o.path}: {o.label}, {o.stream}: {wrong} of {len(o.score)} scores are no finite numbers of "
            "at most 1 (a label of numbers that has one value only in a test part has no R²)"
        )


def scoring(study: Study, label: str, kind: Kind, tested: Sequence[Outcome]) -> Scoring:
    """What `study.score` says of the label, else the default of its kind. tested: one outcome for each split.

    Default: R² of numbers, accuracy of classes, and balanced accuracy where the rarest class is less than `RARE` of what is
    tested; of several 0/1 labels the share that is right. `StudyError` where the score doesn't fit the label.
    """
    require_fitting(study.score, {label: kind})
    asked = study.scored_by(label)
    name, why = (asked, "as study.score says") if asked is not None else _default(kind, tested)
    score = named(name)
    title = SEVERAL if (kind, name) == ("labels", "accuracy") else score.title
    constant = _constant(score, kind, tested)
    margin = study.margin_of(label)
    margin = score.margin(constant) if margin is None else margin
    left = tuple(
        f"{label}: {said} of split {o.split}: left out of the {title}"
        for o in tested
        if (said := _alone(score, kind, o))
    )
    return Scoring(score, kind, title, margin, constant, why, left)


def values(by: Scoring, o: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """What each sample gives to the score, more being better, and by itself: (n,) each, see `stats.score.Score`.

    `StudyError` where the cell has kept too little, or too few classes can be scored.
    """
    if by.score.name in RECORDED:
        return o.score.astype(float), o.score.astype(float)
    a = answers(by.kind, o, by.score.outputs or by.kind != "classes")
    if by.score.pseudo is not None and not len(usable(a.kind, a.truth, a.groups)):
        raise StudyError(
            f"{o.path}: {o.label}: {by.title} needs two classes that stand in two groups of the test part; "
            "study.score=accuracy needs none"
        )
    each = by.score.each(a)
    return (by.score.values(a) if by.score.pseudo else by.score.sign * each), each


def answers(kind: Kind, o: Outcome, outputs: bool = True) -> Answers:
    """An outcome as scores take it. `StudyError` where outputs are asked for, and its cell has kept none."""
    if outputs and (o.outputs is None or (kind == "values" and o.targets is None)):
        what = "numbers" if kind == "values" else "probabilities"
        raise StudyError(
            f"{o.path}: {o.label}: holds no {what} of every sample (from before they were kept, or of more than 100 classes); "
            "remove the cell to have it trained again, or judge by study.score=accuracy"
        )
    if kind == "values":
        assert o.outputs is not None
        assert o.targets is not None
        return Answers(kind, o.targets, o.outputs, o.outputs, o.groups)
    if kind == "labels":
        assert o.outputs is not None
        said = [{*split_labels(text)} for text in o.predicted.tolist()]
        predicted = np.array([[name in row for name in o.classes] for row in said], int)
        truth = np.zeros_like(predicted) if o.targets is None else o.targets.astype(int)
        return Answers(kind, truth, predicted, o.outputs, o.groups)
    names = [*o.classes, *sorted({*o.truth.tolist(), *o.predicted.tolist()} - {*o.classes})]
    place = {name: i for i, name in enumerate(names)}
    truth, predicted = (np.array([place[v] for v in own.tolist()], int) for own in (o.truth, o.predicted))
    return Answers(kind, truth, predicted, o.outputs, o.groups)


def _alone(score: Score, kind: Kind, o: Outcome) -> str:
    """The classes that stand in one group of the test part, which a score over classes leaves out."""
    if score.pseudo is None or kind != "classes":
        return ""
    names, truth = np.unique(o.truth, return_inverse=True)
    alone = [str(names[k]) for k in np.setdiff1d(truth, usable(kind, truth, o.groups))]
    return f"{some(alone)} in one group only of the test part" if alone else ""


def _default(kind: Kind, tested: Sequence[Outcome]) -> tuple[str, str]:
    if kind != "classes":
        return (
            ("r2", "the default of numbers") if kind == "values" else ("accuracy", "the default of several 0/1 labels")
        )
    truth = np.concatenate([o.truth for o in tested]) if tested else np.array([], str)
    names, counts = np.unique(truth, return_counts=True)
    rare = counts.min(initial=len(truth)) / max(1, len(truth))
    whole = all(len(usable(kind, np.unique(o.truth, return_inverse=True)[1], o.groups)) for o in tested)
    if len(names) < 2 or rare >= RARE or not whole:
        return "accuracy", "the default of classes"
    share = f"{100 * rare:.2g} %"
    return (
        "balanced_accuracy",
        f"{names[counts.argmin()]} is {share} of the tested samples, and hardly moves the accuracy",
    )


def _constant(score: Score, kind: Kind, tested: Sequence[Outcome]) -> float:
    """The score of the best answer that is the same for all: class frequencies, the median, or the mean."""
    found = [_constant_of(score, kind, o) for o in tested]
    return float(np.mean(found)) if found else float("nan")


def _constant_of(score: Score, kind: Kind, o: Outcome) -> float:
    if kind == "classes":
        _, truth, counts = np.unique(o.truth, return_inverse=True, return_counts=True)
        said = np.tile(counts / len(truth), (len(truth), 1))
        a = Answers(kind, truth, np.full(len(truth), counts.argmax()), said, o.groups)
    elif o.targets is None:
        return float("nan")
    elif kind == "labels":
        truth = o.targets.astype(int)
        said = np.tile(truth.mean(0), (len(truth), 1))
        a = Answers(kind, truth, (said > 0.5).astype(int), said, o.groups)
    else:
        best = np.median(o.targets, 0) if score.name == "absolute_error" else o.targets.mean(0)
        said = np.tile(best, (len(o.targets), 1))
        a = Answers(kind, o.targets, said, said, o.groups)
    return float(score.sign * np.mean(score.values(a)))
