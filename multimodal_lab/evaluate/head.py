"""Scores of what the trained heads say: what was trained is what is scored."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.evaluate import pixels, predictions
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.predictions import Predicted
from multimodal_lab.evaluate.said import Said
from multimodal_lab.evaluate.tasks import ScoreSheet, TaskKind, kind, labelled
from multimodal_lab.metric import classes, multilabel, regression

Found = dict[str, float]


class Head:
    """Every head that tells a label, on the rows where it had something to read and the label is known.

    Classes: the largest logit or log-probability is the answer, softmax its probability (see `metric.classes`). Several 0/1
    labels: sigmoid above `threshold`, or with `tune_threshold` above that of each class with the best F1 on the validation
    split (see `metric.multilabel`). Numbers: as they are, in the label's unit, with their variance where a head gives one
    (see `metric.regression`). Scores: `head/<head>/<label>/…`; `SCORE@CLASS` and `confusion@TRUTH>ANSWER`, counts
    above 0, of labels of at most `per_class` classes. Maps: counts over all known pixels (see `metric.segmentation`), with
    `iou@CLASS`; `n` counts pixels. Words that a head writes are kept in `predictions`, and not scored.
    pool: see `pool.pooled`.
    """

    by = "label"
    reads = "heads"
    scores: ClassVar = {
        "accuracy": "max", "balanced_accuracy": "max", "macro_f1": "max", "auroc": "max", "ap": "max", "ece": "min",
        "nll": "min", "recall@*": "max", "f1@*": "max", "auroc@*": "max", "ap@*": "max", "confusion@*": None,
        "macro_ap": "max", "macro_auroc": "max", "micro_f1": "max", "micro_ap": "max", "micro_auroc": "max",
        "sample_f1": "max", "labels_right": "max", "all_right": "max", "n_absent": None, "r2": "max", "rmse": "min",
        "mae": "min", "miou": "max", "pixel_accuracy": "max", "class_accuracy": "max", "iou@*": "max", "pixel_rmse": "min",
        "pixel_mae": "min",
    }  # fmt: skip
    shown: ClassVar = {"accuracy": "accuracy", "macro_ap": "macro AP", "r2": "R²", "rmse": "RMSE", "miou": "mIoU",
                       "pixel_accuracy": "pixel accuracy", "pixel_rmse": "pixel RMSE"}  # fmt: skip
    beside_chance = True
    predicts = True

    def __init__(
        self,
        *,
        threshold: Fraction = 0.5,
        tune_threshold: bool = False,
        per_class: Count = 50,
        bins: Count = 15,
        pool: str | None = None,
    ) -> None:
        self.threshold, self.tune_threshold, self.per_class, self.bins = threshold, tune_threshold, per_class, bins
        self.pool = pool
        self.predictions: list[Predicted] = []  # of the last call

    def __call__(self, test: Embeddings, val: Embeddings | None = None, data: Any = None) -> dict[str, float]:
        """Flat scores on test; thresholds are tuned on val, words are spelt by the tokenizers of data."""
        sheet = ScoreSheet("head")
        self.predictions = []
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
            names = test.classes.get(said.label, [])
            whole = labelled(target)[rows]  # what is predicted of a sample is kept where all of its label is known
            found, kept = score(said.values[rows], target[rows], whole, names, None if val is None else (val, head))
            sheet.put(key, **found)
            self.predictions.append(Predicted("head", head, said.label, rows[whole], **kept))
        return sheet.scores

    def _pixels(self, sheet: ScoreSheet, head: str, said: Said, data: Any) -> None:
        key, names = f"head/{head}/{said.label}", getattr(data, "maps", {}).get(said.label, [])
        found, count = pixels.scores(said.values[said.rows], names if len(names) <= self.per_class else [])
        sheet.put(key, n=count, n_missing=int((~said.rows).sum()))
        if not count:
            sheet.skip(key, "no_test_pixels")
        sheet.put(key, **(found if len(names) <= self.per_class else {k: v for k, v in found.items() if "@" not in k}))

    def _classes(
        self, values: np.ndarray, y: np.ndarray, _: object, names: list[str], __: object
    ) -> tuple[Found, dict[str, Any]]:
        log_p = classes.log_probabilities(torch.as_tensor(values))
        k = log_p.shape[1]
        if y.max() >= k:
            raise ValueError(f"a head gives {values.shape[1]} numbers a sample, and its label has class {y.max()}")
        found, each, counts = classes.scores(log_p, torch.as_tensor(y).long(), self.bins)
        called = _called(names, k)
        if k <= self.per_class:
            found |= _of_each(each, called)
            found |= {f"confusion@{called[i]}>{called[j]}": float(counts[i, j]) for i, j in zip(*counts.nonzero())}
        return found, predictions.of_classes(y, log_p.argmax(1).numpy(), np.arange(k), log_p.exp().numpy())

    def _multilabel(
        self, values: np.ndarray, y: np.ndarray, whole: np.ndarray, names: list[str], val: tuple[Embeddings, str] | None
    ) -> tuple[Found, dict[str, Any]]:
        chances, k = _sigmoid(values), y.shape[1]
        at = np.full(k, self.threshold)
        said = val[0].said.get(val[1]) if val is not None else None
        if self.tune_threshold and (val is None or said is None or not said.rows.any()):
            warnings.warn(
                "evaluate.head.tune_threshold=true, and there is no validation split to tune on (data.split.val; none is left "
                f"with eval_split=val): labels are given above threshold={self.threshold:g}",
                stacklevel=2,
            )
        elif self.tune_threshold and val is not None and said is not None:
            e = val[0]
            at = multilabel.best_thresholds(
                _sigmoid(said.values[said.rows]), e.targets[said.label][said.rows], self.threshold
            )
        found, each = multilabel.scores(chances, chances > at, y)
        if k <= self.per_class:
            found |= _of_each(each, _called(names, k))
        return found, predictions.of_labels(y[whole], chances[whole], at)

    def _values(
        self, values: np.ndarray, y: np.ndarray, whole: np.ndarray, _: object, __: object
    ) -> tuple[Found, dict[str, Any]]:
        truth = y.reshape(len(y), -1)
        values = values.reshape(len(y), -1).astype(np.float64)
        p = truth.shape[1]
        found = regression.scores(values[:, :p], truth)
        if values.shape[1] == 2 * p:
            found["nll"] = regression.gaussian_nll(values[:, :p], values[:, p:], truth)
        return found, predictions.of_values(truth[whole], values[whole, :p])

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


def _of_each(each: Mapping[str, np.ndarray], called: list[str]) -> Found:
    return {f"{name}@{c}": float(v) for name, values in each.items() for c, v in zip(called, values, strict=True)
            if np.isfinite(v)}  # fmt: skip


def _called(names: list[str], k: int) -> list[str]:
    """Names of k classes, without the slash that parts the words of a key."""
    return [str(n).replace("/", "_") for n in names] if len(names) == k else [str(i) for i in range(k)]


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return torch.as_tensor(values).double().sigmoid().numpy()
