"""The scores by which a study judges its arms: name, direction, unit, margin, and what every sample gives to the score.

A study's test is of means over samples. Of a score that is no mean (balanced accuracy, F1, AUROC, average precision) each
sample has a pseudo-value, whose mean is the score: see `influence`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from multimodal_lab.stats import influence, loss
from multimodal_lab.stats.answers import ENOUGH, Answers, Kind
from multimodal_lab.stats.paired import Reach
from multimodal_lab.stats.score_names import ScoreName
from multimodal_lab.text import nearest

MARGIN = 0.02
SMALL = 0.05
# At .05 a true difference of the margin was called smaller in .06 to .074 of studies by the AUROC of a class of 20 to 60 samples,
# and in .06 by the average precision of labels: few of a class say little of how far an area lies below its ceiling.
SMALL_AREA = 0.025
ENOUGH_RANKS = 2 * ENOUGH  # with a class of 12 it was in .107 at .05


@dataclass(frozen=True)
class Score:
    """One score.

    title: its name in a sentence. kinds: of labels that it fits. each: what a sample gives by itself, (n,) of `Answers`, such
    as 1 or 0 for a right or wrong answer; its mean is the score unless there is `pseudo`, whose mean is. share: told in points
    of 0.01, all else as plain numbers. outputs: whether it needs an evaluator's probabilities or values, not its choices alone.
    reach: of a score over classes, how much of it one class holds, by the number of classes. area: whether it is one under a
    curve, whose interval near 1 is widened, see `mover`. enough: of a score by probabilities, in how many groups each class
    must stand for a difference to be called small; small: at which level, on either side, it is.
    """

    name: ScoreName
    title: str
    kinds: tuple[Kind, ...]
    each: Callable[[Answers], np.ndarray]
    pseudo: Callable[[Answers], np.ndarray] | None = None
    higher_is_better: bool = True
    share: bool = True
    outputs: bool = True
    reach: Reach | None = None
    area: bool = False
    enough: int = ENOUGH
    small: float = SMALL

    @property
    def sign(self) -> int:
        """1, or -1 of a loss: a gain is the difference times this, so that it is above 0 where the arm is better."""
        return 1 if self.higher_is_better else -1

    @property
    def unit(self) -> str:
        """`points` of 0.01, or nothing for a plain number."""
        return "points" if self.share else ""

    def values(self, answers: Answers) -> np.ndarray:
        """(n,), whose mean is the score times `sign`: what the study's test takes."""
        found: np.ndarray = self.sign * (self.pseudo or self.each)(answers).astype(float)
        return found

    def told(self, x: float) -> str:
        """A score as such: `.79`, `1.35`."""
        if not np.isfinite(x):
            return "–"
        text = f"{x:.3f}" if abs(x) < 0.1 else f"{x:.2f}" if self.share or abs(x) < 100 else f"{x:.4g}"
        return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text

    def signed(self, x: float, unit: bool = True) -> str:
        """A gain: `+1.2 points`, or `+0.034` of a plain number. unit=False leaves `points` out."""
        if not self.share:
            return f"{x:+.3g}"
        return f"{100 * x:+.1f}" + (" points" if unit else "")

    def size(self, x: float, unit: bool = True) -> str:
        """A size without a sign, such as a margin: `2 points`, `1 point`, `0.014`."""
        if not self.share:
            return f"{x:.3g}"
        text = f"{100 * x:.3g}"
        return text + (f" point{'' if text == '1' else 's'}" if unit else "")

    def margin(self, constant: float) -> float:
        """The default margin, in the score's unit: 2 points of a share, 2 % of a loss of the best constant answer."""
        return MARGIN if self.share else MARGIN * abs(constant) or MARGIN


def _mean(classes: int) -> float:
    return 1 / classes


def _against_the_rest(classes: int) -> float:
    """A sample counts for its own class, and against another in that one's score."""
    return min(1.0, 2 / classes)


_CLASSES: tuple[Kind, ...] = ("classes", "labels")
_EVERY = {
    s.name: s
    for s in (
        Score("accuracy", "accuracy", _CLASSES, loss.right, outputs=False),
        Score("balanced_accuracy", "balanced accuracy", _CLASSES, loss.right, influence.balanced_accuracy, outputs=False,
              reach=_mean),
        Score("macro_f1", "macro F1", _CLASSES, loss.right, influence.macro_f1, outputs=False, reach=_mean),
        Score("auroc", "AUROC", _CLASSES, influence.ranked_above, influence.auroc, reach=_against_the_rest, area=True,
              small=SMALL_AREA, enough=ENOUGH_RANKS),
        Score("average_precision", "average precision", _CLASSES, influence.precision_at, influence.average_precision,
              reach=_against_the_rest, area=True, small=SMALL_AREA),
        Score("log_loss", "log loss", _CLASSES, loss.log_loss, higher_is_better=False, share=False),
        Score("brier", "Brier score", _CLASSES, loss.brier, higher_is_better=False, share=False),
        Score("r2", "R²", ("values",), loss.r2, outputs=False),
        Score("squared_error", "squared error", ("values",), loss.squared_error, higher_is_better=False, share=False),
        Score("absolute_error", "absolute error", ("values",), loss.absolute_error, higher_is_better=False, share=False),
    )
}  # fmt: skip
NAMES = tuple(_EVERY)
ACCURACY = _EVERY["accuracy"]


def named(name: str) -> Score:
    """A score by its name; `ValueError` names the nearest of those that there are."""
    if name not in _EVERY:
        near = (nearest(name, NAMES) or NAMES)[0]
        raise ValueError(f"no score {name}; did you mean {near}? There are {', '.join(NAMES)}")
    return _EVERY[name]  # type: ignore[index]


def fitting(kind: Kind) -> tuple[str, ...]:
    """The names of the scores of a kind of label."""
    return tuple(s.name for s in _EVERY.values() if kind in s.kinds)
