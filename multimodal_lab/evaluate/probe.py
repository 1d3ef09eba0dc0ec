"""Linear probes on frozen embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import logit
from torch import Tensor

from multimodal_lab.bounds import Count, Natural, Positive
from multimodal_lab.evaluate import predictions
from multimodal_lab.evaluate.chance import chance
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.joined import JOINED, both, streams_joined
from multimodal_lab.evaluate.late_fusion import LATE, LateFusionInputs, average_predictions
from multimodal_lab.evaluate.linear_models import Fit, Model, Score, by_logistic, by_ridge, r2
from multimodal_lab.evaluate.memo import once
from multimodal_lab.evaluate.predictions import Predicted
from multimodal_lab.evaluate.tasks import ScoreSheet, Task, labelled
from multimodal_lab.metric import calibration, classification, multilabel
from multimodal_lab.metric.classes import log_probabilities
from multimodal_lab.metric.folds import deal


class Probe:
    """Logistic regression (classes, several 0/1 labels) or ridge regression (values) on standardised embeddings.

    The strength is chosen among `strengths` (C: larger is weaker regularisation) by validation inside the training
    rows, in folds that no group crosses; of equal scores the strongest regularisation wins. Then it is refitted on
    all of them. With `choose_on="val"` it is chosen on the validation split, and refitted on both, as CLIP's probes are
    (Radford 2021, appendix A.3; there of 96 strengths from 1e-6 to 1e6, of features that are not standardised). With
    `fit_on="val"` it is chosen in folds of the validation split, and fitted on that alone: where what was trained on can't tell
    the label, such as pairs that all obey the rule that is asked for. Test rows are
    only predicted; `predictions` keeps what was said of each. Scores: `probe/<name>/<label>/` accuracy, balanced_accuracy,
    macro_f1, or those of several 0/1 labels given above 0.5 (see `metric.multilabel`), with the calibration of their
    probabilities (see `metric.calibration`; no nll where the truth of a row is of no training row), or r2; C, the strength
    chosen; and `chance/<label>` (see `chance`). Where nothing is fused, `late` is what the probes of all streams say
    together (see `late_fusion`); or, with `join`, `joined` is a probe of all streams' vectors side by side. pool: see
    `pool.pooled`.
    """

    by = "label"
    scores: ClassVar = {
        "accuracy": "max", "balanced_accuracy": "max", "macro_f1": "max", "r2": "max", "C": None,
        "ece": "min", "brier": "min", "nll": "min",
        "average_precision_macro": "max", "average_precision_micro": "max", "average_precision_samplewise": "max",
        "auroc_macro": "max", "auroc_micro": "max", "auroc_samplewise": "max",
        "f1_macro": "max", "f1_micro": "max", "f1_samplewise": "max",
        "f2_macro": "max", "f2_micro": "max", "f2_samplewise": "max",
        "precision_macro": "max", "precision_micro": "max", "precision_samplewise": "max",
        "recall_macro": "max", "recall_micro": "max", "recall_samplewise": "max",
        "specificity_macro": "max", "specificity_micro": "max", "specificity_samplewise": "max",
        "accuracy_macro": "max", "accuracy_micro": "max", "accuracy_samplewise": "max",
        "exact_match": "max", "n_absent": None,
    }  # fmt: skip
    shown: ClassVar = {
        "accuracy": "accuracy", "average_precision_macro": "AP macro", "average_precision_micro": "AP micro",
        "f1_macro": "F1 macro", "f1_micro": "F1 micro", "r2": "R²",
    }  # fmt: skip
    beside_chance = True
    predicts = True
    splits: ClassVar = {"choose_on": {"val": ("val",)}, "fit_on": {"val": ("val",), ...: ()}}
    also = ("chance", "chance_prior", "chance_majority")
    adds = ("late", "joined")

    def __init__(
        self,
        *,
        strengths: Sequence[Positive] = (0.001, 0.01, 0.1, 1.0),
        folds: Count = 3,
        seed: Natural = 0,
        choose_on: Literal["folds", "val"] = "folds",
        fit_on: Literal["train", "val"] = "train",
        join: bool = False,
        pool: str | None = None,
    ) -> None:
        if not strengths or min(strengths) <= 0:
            raise ValueError(f"probe: strengths is {list(strengths)}, expected one or more numbers > 0")
        self.strengths, self.folds, self.seed, self.pool = sorted(strengths), folds, seed, pool
        if fit_on == "val" and choose_on == "val":
            raise ValueError(
                "probe: choose_on=val: with fit_on=val strengths are chosen in folds of it; take choose_on=folds"
            )
        self.choose_on, self.fit_on, self.join = choose_on, fit_on, join
        self.predictions: list[Predicted] = []  # of the last call
        self._told: dict[str, list[LateFusionInputs]] = {}  # by label, of the last call
        self._on: np.ndarray | None = None  # (N,) bool: the rows of a task that strengths are chosen on

    def require(self, data: Any, splits: Sequence[str], eval_split: str) -> list[str]:
        """Refuse, before the training, to choose or fit on a validation split that is not there; notes to tell."""
        if self.fit_on == "val" and eval_split == "val":
            raise ValueError("evaluate.probe.fit_on=val: the validation split is what is scored; take fit_on=train")
        if self.choose_on == "val" and eval_split == "val":
            return [
                "evaluate.probe.choose_on=val: the validation split is what is scored; strengths are chosen in folds of train"
            ]
        if "val" in (self.choose_on, self.fit_on) and "val" not in splits:
            near = "embed.splits has none" if len(data.splits.get("val", ())) else "give data.split.val a share"
            if self.fit_on == "val":
                raise ValueError(
                    f"evaluate.probe.fit_on=val: there is no validation split to fit on ({near}); take train"
                )
            raise ValueError(
                f"evaluate.probe.choose_on=val: there is no validation split to choose on ({near}); take folds"
            )
        return []

    def __call__(self, train: Embeddings, test: Embeddings, val: Embeddings | None = None) -> dict[str, float]:
        """Flat scores on test; val: for `choose_on` and `fit_on`."""
        ledger = ScoreSheet("probe")
        self.predictions, self._told = [], {}
        if self.join:
            train, test = (streams_joined(e) for e in (train, test))
            val = None if val is None else streams_joined(val)
        own = train
        if self.fit_on == "val" and val is not None:
            own = train = val
        if self.choose_on == "val" and val is not None:
            train = both(train, val)
        for task in ledger.tasks(train, test, ("classes", "multilabel", "values")):
            center, scale = task.train_x.mean(0), task.train_x.std(0)
            scale[scale < 1e-8] = 1  # a dimension that never moves says nothing; dividing by it would make noise of it
            x, held = (torch.as_tensor((part - center) / scale).float() for part in (task.train_x, task.x))
            judge = {"classes": self._classes, "multilabel": self._multilabel, "values": self._values}[task.kind]
            rows = train.present[task.name] & labelled(train.targets[task.label])
            self._on = None if train is own else np.flatnonzero(rows) >= len(own)
            ledger.put(task.key, **judge(task, x, held))
        if not {"fused", JOINED} & {*test.vectors}:
            self._late(test, ledger)
        return {**ledger.scores, **chance(own, test)}

    def _classes(self, task: Task, x: Tensor, held: Tensor) -> dict[str, float]:
        seen, y = np.unique(task.train_y, return_inverse=True)
        truth = torch.as_tensor(y)
        binary = len(seen) == 2
        target = truth[:, None].float() if binary else F.one_hot(truth, len(seen)).float()

        def hit(z: Tensor, t: Tensor) -> float:
            return float(((z > 0) == (t > 0) if binary else z.argmax(1) == t.argmax(1)).double().mean())

        model, strength = self._choose(
            x, target, y, task.train_groups, by_logistic("sigmoid" if binary else "softmax"), hit
        )
        z = model(held)
        index = (z[:, 0] > 0).long() if binary else z.argmax(1)
        count = int(max(seen.max(), task.y.max())) + 1
        predicted, truth = torch.as_tensor(seen).long()[index], torch.as_tensor(task.y).long()
        chances = log_probabilities(z).exp()
        self._keep(task, predictions.of_classes(task.y, predicted.numpy(), seen, chances.numpy()))
        said = np.zeros((len(task.y), count))
        said[:, seen] = chances.numpy()
        self._tell(task, said)
        return {
            **classification.scores(predicted, truth, count),
            **calibration.of_probabilities(torch.as_tensor(said), truth),
            "C": strength,
        }

    def _multilabel(self, task: Task, x: Tensor, held: Tensor) -> dict[str, float]:
        def precision(z: Tensor, t: Tensor) -> float:
            return classification.average_precision(z, t)[0]

        target = torch.as_tensor(task.train_y).float()
        model, strength = self._choose(x, target, None, task.train_groups, by_logistic("sigmoid"), precision)
        z = model(held)
        self._keep(task, predictions.of_labels(task.y, z.sigmoid().numpy()))
        self._tell(task, z.sigmoid().numpy())
        ranked = z.double().numpy()
        return {
            **multilabel.scores(ranked, ranked > 0, task.y).means,
            **calibration.of_labels(ranked, task.y),
            "C": strength,
        }

    def _values(self, task: Task, x: Tensor, held: Tensor) -> dict[str, float]:
        y, truth = (torch.as_tensor(v).double().reshape(len(v), -1) for v in (task.train_y, task.y))
        if len(truth) < 2:
            return {"r2": float("nan")}
        model, strength = self._choose(x, y, None, task.train_groups, by_ridge, r2)
        predicted = model(held)
        self._keep(task, predictions.of_values(truth.numpy(), predicted.numpy()))
        self._tell(task, predicted.numpy())
        return {"r2": r2(predicted, truth), "C": strength}

    def _keep(self, task: Task, said: dict[str, Any]) -> None:
        self.predictions.append(Predicted("probe", task.name, task.label, task.rows, **said))

    def _tell(self, task: Task, said: np.ndarray) -> None:
        self._told.setdefault(task.label, []).append(LateFusionInputs(task.name, task.kind, task.rows, said))

    def _late(self, test: Embeddings, ledger: ScoreSheet) -> None:
        """Where nothing is fused: the mean of what the streams' probes say, judged as another stream, `late`."""
        for label, told in self._told.items():
            if len(told) < 2:
                continue
            rows, said = average_predictions(told)
            y = test.targets[label][rows]
            what: dict[str, Any]
            if told[0].kind == "classes":
                predicted = said.argmax(1)
                what = predictions.of_classes(y, predicted, np.arange(said.shape[1]), said)
                truth = torch.as_tensor(y).long()
                found = classification.scores(torch.as_tensor(predicted), truth, said.shape[1])
                found |= calibration.of_probabilities(torch.as_tensor(said), truth)
            elif told[0].kind == "multilabel":
                what = predictions.of_labels(y, said)
                found = multilabel.scores(said, said > 0.5, y).means | calibration.of_labels(logit(said), y)
            else:
                what = predictions.of_values(y.reshape(len(y), -1), said)
                found = {"r2": r2(torch.as_tensor(said), torch.as_tensor(y).reshape(len(y), -1))}
            self.predictions.append(Predicted("probe", LATE, label, rows, **what))
            counts = {"n": len(rows), "n_missing": len(test) - len(rows)}
            ledger.put(f"probe/{LATE}/{label}", **counts, **found)

    def _choose(
        self, x: Tensor, y: Tensor, classes: np.ndarray | None, groups: np.ndarray, fit: Fit, score: Score
    ) -> tuple[Model, float]:
        facts = f"{score.__qualname__} {self.strengths} {self.folds} {self.seed}"  # of each task, its own score
        made = partial(self._compare, x, y, classes, groups, fit, score)
        return once(
            made, facts, x.numpy(), y.numpy(), None if classes is None else np.asarray(classes), groups, self._on
        )

    def _compare(
        self, x: Tensor, y: Tensor, classes: np.ndarray | None, groups: np.ndarray, fit: Fit, score: Score
    ) -> tuple[Model, float]:
        totals = np.zeros(len(self.strengths))
        if len(self.strengths) > 1:
            for outside in map(torch.as_tensor, self._outside(classes, groups)):
                inside = ~outside
                models = fit(x[inside], y[inside], self.strengths)
                totals += np.nan_to_num([score(m(x[outside]), y[outside]) for m in models])
        # where nothing was compared (one group, or nothing ever right) neither end of the list has an argument
        best = int(totals.argmax()) if totals.any() else len(self.strengths) // 2
        return fit(x, y, [self.strengths[best]])[0], self.strengths[best]

    def _outside(self, classes: np.ndarray | None, groups: np.ndarray) -> list[np.ndarray]:
        """(N,) bool each: the rows that strengths are compared on, after a fit on all others."""
        if self._on is not None:
            return [self._on] if 0 < self._on.sum() < len(self._on) else []
        folds = min(self.folds, len(np.unique(groups)))
        fold = deal(groups, classes, folds, self.seed) if folds > 1 else None
        return [] if fold is None else [fold == i for i in range(folds)]
