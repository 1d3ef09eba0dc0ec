"""Whether the classes of a label stand in enough groups for what is claimed of a difference by this score."""

from __future__ import annotations

import numpy as np

from multimodal_lab.stats.answers import ENOUGH, in_groups
from multimodal_lab.study.ledger.outcomes import Scores
from multimodal_lab.text import split_labels


def too_few(scores: Scores) -> str:
    """Why no difference is called small by this score, a clause; "" where one may be.

    Probabilities differ most in a rare class: where that stands in few groups, those of them that would differ may not be among
    the ones seen (docs/scores.md). Choices, such as accuracy's, have the law of rare events instead (`stats.betabinomial`).
    """
    if not _by_probabilities(scores):
        return ""
    found = _stand_in(scores)
    rare = min(found, key=lambda what: found[what], default="")
    if not rare or found[rare] >= scores.by.score.enough:
        return ""
    stands = f"{rare} stands in {found[rare]} group{'s' * (found[rare] != 1)} of the test part"
    least = f"where a class stands in fewer than {scores.by.score.enough}"
    return f"{stands}, and by {scores.by.title} no difference is called too small to matter {least}"


def uneven(scores: Scores) -> bool:
    """Whether few groups may move the mean more than the others: see `stats.paired.Paired.uneven`.

    Those that have one of several labels do, and those of a rare class by its probabilities.
    """
    if scores.by.kind == "labels":
        return True
    return _by_probabilities(scores) and min(_stand_in(scores).values(), default=ENOUGH) < ENOUGH


def _by_probabilities(scores: Scores) -> bool:
    return scores.by.score.outputs and scores.by.kind != "values"


def _stand_in(scores: Scores) -> dict[str, int]:
    """{class, or label that some have or have not: in how many groups it stands}."""
    found = {}
    for name, rows in _classes(scores).items():
        found[repr(name)] = in_groups(rows, scores.groups)
        if scores.by.kind == "labels" and not rows.all():
            found[f"no {name!r}"] = in_groups(~rows, scores.groups)
    return found


def _classes(scores: Scores) -> dict[str, np.ndarray]:
    """{class: its samples (N,)}; of several 0/1 labels those that have it."""
    truth = scores.truth.astype(str)
    if scores.by.kind == "classes":
        return {str(c): truth == c for c in np.unique(truth)}
    sets = [{*split_labels(text)} for text in truth.tolist()]
    return {c: np.array([c in own for own in sets]) for c in sorted(set().union(*sets))}
