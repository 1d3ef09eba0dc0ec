"""Scores of what the trained heads say: what was trained is what is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.evaluate import pixels, predictions
from multimodal_lab.evaluate.class_scores import (
    ClassScores,
    by_column,
    named,
    of_classes,
    of_each,
    require_columns,
    values_of,
)
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.predictions import Predicted
from multimodal_lab.evaluate.said import Said
from multimodal_lab.evaluate.tasks import ScoreSheet, TaskKind, kind, labelled
from multimodal_lab.evaluate.thresholds import UNTUNED, Tuned, chosen, probabilities, tune
from multimodal_lab.metric import calibration, classes, multilabel, regression

Found = dict[str, float]


@dataclass(frozen=True)
class Asked:
    """One head and what is to be scored of it: rows (n,) of test, truth (n, …) there, whole (n,) bool where all is known."""

    head: str
    said: Said
    rows: np.ndarray
    truth: np.ndarray
    whole: np.ndarray
    test: Embeddings
    val: Embeddings | None
    data: Any

    @property
    def values(self) -> np.ndarray:
        """(n, …), what the head says of these rows."""
        return np.asarray(self.said.values[self.rows])

    @property
    def names(self) -> list[str]:
        """The classes of the label, [] of numbers."""
        return self.test.classes.get(self.said.label, [])


class Head:
    """Every head that tells a label, on the rows where it had something to read and the label is known.

    Classes: the largest logit or log-probability is the answer, softmax its probability (see `metric.classes`). Several 0/1
    labels: sigmoid above `threshold`, or where that is `tuned` above that of each class with the best F1 on the validation
    split (see `metric.multilabel`); without one, as in a validation pass, above 0.5. Numbers: as they are, in the label's
    unit, with their variance where a head gives one (see `metric.regression`). Scores: `head/<head>/<label>/…`; `SCORE@CLASS`
    and `confusion@TRUTH>ANSWER`, counts above 0, of labels of at most `per_class` classes, and `absent@CLASS`, 1 of a class
    without a positive. Maps: counts over all known pixels (see `metric.segmentation`), with `iou@CLASS`; `n` counts pixels. Words
    that a head writes are kept in `predictions`, and not scored. by: columns of the sample table by whose values classes are
    scored, too (see `class_scores`). pool: see `pool.pooled`; `accuracy_unpooled` is that of the rows, such as clips of a video.
    """

    by = "label"
    reads = "heads"
    scores: ClassVar = {
        "accuracy": "max", "accuracy_unpooled": "max", "balanced_accuracy": "max", "macro_f1": "max", "auroc": "max",
        "average_precision": "max",
        "ece": "min", "brier": "min", "nll": "min", "recall@*": "max", "f1@*": "max", "auroc@*": "max", "confusion@*": None,
        "average_precision_macro": "max", "average_precision_micro": "max", "average_precision_samplewise": "max",
        "auroc_macro": "max", "auroc_micro": "max", "auroc_samplewise": "max",
        "f1_macro": "max", "f1_micro": "max", "f1_samplewise": "max",
        "f2_macro": "max", "f2_micro": "max", "f2_samplewise": "max",
        "precision_macro": "max", "precision_micro": "max", "precision_samplewise": "max",
        "recall_macro": "max", "recall_micro": "max", "recall_samplewise": "max",
        "specificity_macro": "max", "specificity_micro": "max", "specificity_samplewise": "max",
        "accuracy_macro": "max", "accuracy_micro": "max", "accuracy_samplewise": "max",
        "average_precision@*": "max", "exact_match": "max", "n_absent": None, "absent@*": None,
        "r2": "max", "rmse": "min", "mae": "min", "miou": "max", "pixel_accuracy": "max", "class_accuracy": "max", "iou@*": "max",
        "pixel_rmse": "min", "pixel_mae": "min",
    }  # fmt: skip
    shown: ClassVar = {
        "accuracy": "accuracy", "average_precision_macro": "AP macro", "average_precision_micro": "AP micro",
        "f1_macro": "F1 macro", "f1_micro": "F1 micro", "r2": "R²", "rmse": "RMSE", "miou": "mIoU",
        "pixel_accuracy": "pixel accuracy", "pixel_rmse": "pixel RMSE",
    }  # fmt: skip
    beside_chance = True
    predicts = True

    def __init__(
        self,
        *,
        threshold: Fraction | Literal["tuned"] = 0.5,
        by: Sequence[str] = (),
        per_class: Count = 50,
        bins: Count = 15,
        pool: str | None = None,
    ) -> None:
        self.threshold, self.columns, self.per_class, self.bins, self.pool = threshold, [*by], per_class, bins, pool
        self.predictions: list[Predicted] = []  # of the last call, as are these
        self.tables: list[ClassScores] = []
        self.tuned: list[Tuned] = []
        # those of a run that is judged: they are taken, and none is tuned
        self.thresholds: Mapping[str, Mapping[str, float]] = {}

    def require(self, data: Any, splits: Sequence[str], eval_split: str) -> list[str]:
        """Refuse, before the training, a column that the samples lack and a threshold that can't be tuned; notes to tell.

        splits: those that are embedded at the end.
        """
        require_columns(self.columns, data.samples, "evaluate.head.by")
        several = any(data.classes[label] and values.ndim > 1 for label, values in data.targets.items())
        if self.threshold != "tuned" or not several or self.thresholds:
            return []
        if eval_split == "val":
            return [
                "evaluate.head.threshold=tuned: none is tuned with eval_split=val, the split to tune on: 0.5 of each class"
            ]
        if "val" not in splits:
            near = "embed.splits has none" if len(data.splits.get("val", ())) else "give data.split.val a share"
            raise ValueError(f"evaluate.head.threshold=tuned: there is no validation split to tune on ({near})")
        return []

    def __call__(self, test: Embeddings, val: Embeddings | None = None, data: Any = None) -> dict[str, float]:
        """Flat scores on test; thresholds are tuned on val, words are spelt by the tokenizers of data."""
        sheet = ScoreSheet("head")
        self.predictions, self.tables, self.tuned = [], [], []
        for head, said in test.said.items():
            if said.of_pixels:
                self._pixels(sheet, head, said, data)
                continue
            if said.label not in test.targets:
                continue
            target = test.targets[said.label]
            what, key = kind(target), f"head/{head}/{said.label}"
            if what == "sequence":
                self._words(head, said, target, data)
                continue
            rows = np.flatnonzero(said.rows & _known(target, what))
            sheet.put(key, n=len(rows), n_missing=len(test) - len(rows))
            if not len(rows):
                sheet.skip(key, "no_test_rows")
                continue
            score = {"classes": self._classes, "multilabel": self._multilabel, "values": self._values}[what]
            whole = labelled(target)[rows]  # what is predicted of a sample is kept where all of its label is known
            found, kept = score(Asked(head, said, rows, target[rows], whole, test, val, data))
            sheet.put(key, **found, **({} if said.unpooled is None else {"accuracy_unpooled": said.unpooled}))
            self.predictions.append(Predicted("head", head, said.label, rows[whole], **kept))
        return sheet.scores

    def _pixels(self, sheet: ScoreSheet, head: str, said: Said, data: Any) -> None:
        key, names = f"head/{head}/{said.label}", getattr(data, "maps", {}).get(said.label, [])
        found, count = pixels.scores(said.values[said.rows], names)
        sheet.put(key, n=count, n_missing=int((~said.rows).sum()))
        if not count:
            sheet.skip(key, "no_test_pixels")
        sheet.put(key, **(found if len(names) <= self.per_class else {k: v for k, v in found.items() if "@" not in k}))

    def _classes(self, a: Asked) -> tuple[Found, dict[str, Any]]:
        log_p = classes.log_probabilities(torch.as_tensor(a.values))
        k = log_p.shape[1]
        if a.truth.max() >= k:
            raise ValueError(
                f"a head gives {a.values.shape[1]} numbers a sample, and its label has class {a.truth.max()}"
            )
        found, each, counts = classes.scores(log_p, torch.as_tensor(a.truth).long(), self.bins)
        called, chosen = named(a.names, k), log_p.argmax(1).numpy()
        if k <= self.per_class:
            found |= of_each(each, called)
            found |= {f"confusion@{called[i]}>{called[j]}": float(counts[i, j]) for i, j in zip(*counts.nonzero())}
            one = np.eye(k, dtype=np.int64)
            self._tabulate(a, log_p.numpy(), one[chosen] > 0, one[a.truth], np.full(k, np.nan))
        return found, predictions.of_classes(a.truth, chosen, np.arange(k), log_p.exp().numpy())

    def _multilabel(self, a: Asked) -> tuple[Found, dict[str, Any]]:
        k, chances = a.truth.shape[1], probabilities(a.said)[a.rows]
        at = np.full(k, UNTUNED if self.threshold == "tuned" else self.threshold)
        called = named(a.names, k)
        if self.threshold == "tuned" and (self.thresholds or a.val is not None):
            names = named(a.names, k, whole=True)
            if self.thresholds:
                at = chosen(a.head, names, self.thresholds)
            elif a.val is not None:
                at = tune(a.head, a.val, names)
            self.tuned.append(Tuned(a.head, a.said.label, at, names))
        found = self._tabulate(a, a.values.astype(np.float64), chances > at, a.truth, at)
        means = found.means | calibration.of_labels(a.values, a.truth, self.bins)
        if k <= self.per_class:
            means |= of_each({name: found.each[name] for name in ("average_precision", "auroc", "f1")}, called)
            means |= {f"absent@{c}": 1.0 for c, absent in zip(called, found.absent, strict=True) if absent}
        return means, predictions.of_labels(a.truth[a.whole], chances[a.whole], at)

    def _tabulate(
        self, a: Asked, ranked: np.ndarray, predicted: np.ndarray, truth: np.ndarray, at: np.ndarray
    ) -> multilabel.Scores:
        """The scores of classes, put into tables: all arrays (n, K), thresholds (K,)."""
        found, names = multilabel.scores(ranked, predicted, truth), named(a.names, truth.shape[1], whole=True)
        self.tables.append(of_classes(a.head, a.said.label, names, found, at))
        for column in self.columns:
            values = values_of(a.test, a.data.samples, column, self.pool)[a.rows]
            self.tables.append(by_column(a.head, a.said.label, names, column, values, ranked, predicted, truth))
        return found

    def _values(self, a: Asked) -> tuple[Found, dict[str, Any]]:
        n = len(a.truth)
        truth, values = a.truth.reshape(n, -1), a.values.reshape(n, -1).astype(np.float64)
        p = truth.shape[1]
        found = regression.scores(values[:, :p], truth)
        if values.shape[1] == 2 * p:
            found["nll"] = regression.gaussian_nll(values[:, :p], values[:, p:], truth)
        return found, predictions.of_values(truth[a.whole], values[a.whole, :p])

    def _words(self, head: str, said: Said, target: np.ndarray, data: Any) -> None:
        spell = getattr(data, "tokens", {}).get(said.label)
        rows = np.flatnonzero(said.rows)
        if spell is None or not len(rows):
            return
        truth, predicted = (np.array([spell.decode(t) for t in x[rows]], dtype=object) for x in (target, said.values))
        none = np.full(len(rows), np.nan)
        self.predictions.append(Predicted("head", head, said.label, rows, truth, predicted, none, none))


def _known(target: np.ndarray, what: TaskKind) -> np.ndarray:
    """(N,) bool: rows with anything to score; single missing labels or numbers of a row are left out later."""
    if what == "classes":
        return labelled(target)
    there = np.isfinite(target) if what == "values" else target >= 0
    return np.asarray(there.reshape(len(target), -1).any(1))
