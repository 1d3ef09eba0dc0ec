"""Zero-shot classification: class names become texts, and the class whose text is nearest is the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.bounds import Count, Positive
from multimodal_lab.evaluate import predictions, prompt_vectors
from multimodal_lab.evaluate.class_scores import ClassScores, named, of_classes, of_each
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.predictions import Predicted
from multimodal_lab.evaluate.prompt_vectors import lost, text_stream
from multimodal_lab.evaluate.prompts import Names, prompts, spelt
from multimodal_lab.evaluate.tasks import ScoreSheet, Task
from multimodal_lab.evaluate.temperature import of_losses
from multimodal_lab.evaluate.templates import read
from multimodal_lab.metric import classes, classification, multilabel
from multimodal_lab.metric.zero_shot import cosines, top_accuracy
from multimodal_lab.text import expected_one_of

KEY = "evaluate.zero_shot"
PROBABLE = ("auroc", "average_precision", "ece", "brier", "nll")  # scores that a temperature decides
FUSED = "fused"  # it has seen all streams, and lies in no space with one of them


class ZeroShot:
    """Every stream but the one of the prompts, classified by the cosine with what the text tower makes of class names.

    The classes of a label are put into `templates`, read by the run's own tokenizer, embedded by its own text tower and, with
    `projection`, head; a class is the mean of its prompts' unit vectors, of unit length (Radford 2021, sec. 3.1.4). Nothing is
    fitted, and no training row is needed. Probabilities are the softmax of cosines over the temperature of the run's own
    contrastive loss (SigLIP's: its scale; its bias is the same for all classes), or over `temperature`.

    Scores: `zero_shot/<name>/<label>/` accuracy, top5_accuracy, balanced_accuracy, the mean recall of classes, and the rest of
    `metric.classes` and `metric.calibration`; chance and chance_top5, the shares of the commonest class and the commonest five;
    of several 0/1 labels average_precision_macro by cosine. `recall@CLASS` of labels of at most `per_class` classes; their table
    is in `scores/classes.csv`. templates: see `templates.read`. class_names: {label: {class: name, or several}}, see
    `prompts.spelt`. prompt_stream: whose tower reads them, None is the only one. labels: those that are judged, None is all.
    """

    by = "label"
    scores: ClassVar = {
        "accuracy": "max", "top5_accuracy": "max", "balanced_accuracy": "max", "macro_f1": "max", "auroc": "max",
        "average_precision": "max", "average_precision_macro": "max", "ece": "min", "brier": "min", "nll": "min",
        "recall@*": "max", "chance": None, "chance_top5": None, "temperature": None, "prompts": None, "n_absent": None,
    }  # fmt: skip
    shown: ClassVar = {
        "accuracy": "accuracy", "top5_accuracy": "top-5 accuracy", "balanced_accuracy": "mean recall",
        "average_precision_macro": "AP macro", "ece": "ECE", "chance": "chance", "chance_top5": "chance of 5",
    }  # fmt: skip
    predicts = True
    names: ClassVar = {"labels": "label", "prompt_stream": "stream"}
    title = "Zero-shot classification by prompts"

    def __init__(
        self,
        *,
        templates: str | Sequence[str] = "simple",
        class_names: Mapping[str, Names] | None = None,
        prompt_stream: str | None = None,
        labels: Sequence[str] | None = None,
        temperature: Positive | None = None,
        projection: bool = True,
        per_class: Count = 50,
        bins: Count = 15,
    ) -> None:
        self.templates = read(templates, f"{KEY}.templates")
        self.class_names = {str(label): dict(names) for label, names in (class_names or {}).items()}
        self.prompt_stream, self.labels, self.temperature, self.projection = (
            prompt_stream,
            labels,
            temperature,
            projection,
        )
        self.per_class, self.bins = per_class, bins
        self.predictions: list[Predicted] = []  # of the last call, as are the tables
        self.tables: list[ClassScores] = []

    def require(self, data: Any, splits: Sequence[str], eval_split: str) -> list[str]:
        """Refuse, before the training, what can't be asked of these data; notes on prompts that the tokenizer loses parts of."""
        stream = text_stream(data, self.prompt_stream, f"{KEY}.prompt_stream")
        there = [label for label, names in data.classes.items() if names]
        for key, asked in (("labels", self.labels or ()), ("class_names", self.class_names)):
            if unknown := [label for label in asked if label not in there]:
                near = expected_one_of(unknown[0], there)
                raise ValueError(f"{KEY}.{key}: no label {unknown[0]!r} of classes; {near}")
        if not there:
            raise ValueError(
                f"{KEY}: the data have no label of classes whose names could be put into prompts; set data.labels"
            )
        texts = [t for label in self._labels(data) for t in prompts(self.templates, self._names(data, label)).texts]
        return lost(data.tokens[stream], texts, stream)

    def _labels(self, data: Any) -> list[str]:
        return [label for label, own in data.classes.items() if own and (self.labels is None or label in self.labels)]

    def _names(self, data: Any, label: str) -> list[list[str]]:
        return spelt(data.classes[label], self.class_names.get(label, {}), f"{KEY}.class_names.{label}")

    def __call__(self, test: Embeddings, data: Any, system: Any, device: torch.device | str) -> dict[str, float]:
        """Flat scores on test."""
        sheet = ScoreSheet("zero_shot")
        self.predictions, self.tables = [], []
        stream = text_stream(data, self.prompt_stream, f"{KEY}.prompt_stream")
        heat = self.temperature or of_losses(system)
        judged = replace(
            test, vectors={k: v for k, v in test.vectors.items() if k.partition("@")[0] not in (stream, FUSED)},
            targets={k: test.targets[k] for k in self._labels(data) if k in test.targets},
        )  # fmt: skip
        made: dict[tuple[str, bool], Tensor] = {}  # by label, and of which space
        for task in sheet.held_out(judged, ("classes", "multilabel")):
            projected = self.projection and {task.name, stream} <= test.projected.keys()
            names = self._names(data, task.label)
            if (task.label, projected) not in made:
                made[task.label, projected] = prompt_vectors.of_classes(
                    system, data, stream, self.templates, names, device, projected
                )
            x = torch.as_tensor(test.space(task.name, projected)[task.rows])
            vectors = made[task.label, projected]
            if x.shape[1] != vectors.shape[1]:
                sheet.skip(task.key, f"width_{x.shape[1]}_is_not_{vectors.shape[1]}")
                continue
            count = sum(len(own) for own in names) * len(self.templates)
            sheet.put(task.key, prompts=count, **({"temperature": heat} if heat else {}))
            score = self._classes if task.kind == "classes" else self._multilabel
            score(sheet, task, cosines(x, vectors), heat, data.classes[task.label])
        return sheet.scores

    def _classes(self, sheet: ScoreSheet, task: Task, z: Tensor, heat: float | None, names: list[str]) -> None:
        k, truth = z.shape[1], torch.as_tensor(task.y).long()
        if k < 2:
            return sheet.skip(task.key, "fewer_than_two_classes")
        log_p = classes.log_probabilities(z.double() / (heat or 1))
        found, each, _ = classes.scores(log_p, truth, self.bins)
        if not heat:
            found = {name: value for name, value in found.items() if name not in PROBABLE}
            sheet.skip(task.key, "probabilities_as_no_loss_has_a_temperature")
        shares = np.sort(np.bincount(task.y, minlength=k))[::-1] / len(task.y)
        found |= {"top5_accuracy": top_accuracy(z, truth, 5), "chance": shares[0], "chance_top5": shares[:5].sum()}
        chosen, one = z.argmax(1).numpy(), np.eye(k, dtype=np.int64)
        if k <= self.per_class:
            found |= of_each({"recall": each["recall"]}, named(names, k))
            table = multilabel.scores(z.numpy(), one[chosen] > 0, one[task.y])
            called = named(names, k, whole=True)
            self.tables.append(of_classes(f"zero_shot.{task.name}", task.label, called, table, np.full(k, np.nan)))
        sheet.put(task.key, **found)
        chances = log_p.exp().numpy() if heat else np.full((len(z), k), np.nan)
        kept = predictions.of_classes(task.y, chosen, np.arange(k), chances)
        kept |= {} if heat else {"outputs": None}
        self.predictions.append(Predicted("zero_shot", task.name, task.label, task.rows, **kept))
        return None

    def _multilabel(self, sheet: ScoreSheet, task: Task, z: Tensor, heat: float | None, names: list[str]) -> None:
        found, absent = classification.average_precision(z, torch.as_tensor(task.y))
        sheet.put(task.key, average_precision_macro=found, n_absent=absent)
