"""What the heads of a run say of samples: classes with probabilities, labels, numbers, texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from multimodal_lab.data import kinds
from multimodal_lab.data.source import DataError
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.pool import Pool
from multimodal_lab.evaluate.said import Said
from multimodal_lab.evaluate.tasks import TaskKind
from multimodal_lab.evaluate.thresholds import chosen, probabilities
from multimodal_lab.metric.classes import log_probabilities
from multimodal_lab.text import expected_one_of, join_labels

Kind = Literal["class", "labels", "number", "text"]
_TASKS: dict[Kind, TaskKind] = {"class": "classes", "labels": "multilabel", "number": "values"}


@dataclass(frozen=True)
class Answer:
    """What one head says of a label of N samples.

    value (N,): the class, of several labels those by `text.join_labels`, the number or the text; None where the head had nothing
    to read. probability (N, K): of each of `classes`, NaN there; None of numbers and texts. std (N,): of a number, where the head
    gives a variance.
    """

    label: str
    kind: Kind
    value: np.ndarray
    classes: list[str] = field(default_factory=list)
    probability: np.ndarray | None = None
    std: np.ndarray | None = None


@dataclass(frozen=True)
class Predictions:
    """Answers of N samples by label, HEAD/LABEL where several heads tell one; embeddings where they were asked for."""

    ids: list[str]
    answers: dict[str, Answer]
    embeddings: Embeddings | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, label: str) -> Answer:
        if label not in self.answers:
            raise KeyError(f"no head tells {label!r}; {expected_one_of(label, self.answers)}")
        return self.answers[label]

    def table(self) -> pd.DataFrame:
        """A row a sample: `id`, then LABEL, LABEL/CLASS (its probability) and LABEL/std."""
        columns: dict[str, Any] = {"id": self.ids}
        for name, one in self.answers.items():
            columns[name] = one.value.astype(float) if one.kind == "number" else one.value
            if one.probability is not None:
                columns |= {f"{name}/{c}": one.probability[:, i] for i, c in enumerate(one.classes)}
            if one.std is not None:
                columns[f"{name}/std"] = one.std
        return pd.DataFrame(columns)


def answers(
    said: Mapping[str, Said], kinds: Mapping[str, Kind], classes: Mapping[str, list[str]], spell: Mapping[str, Any],
    threshold: float | Mapping[str, Mapping[str, float]],
) -> dict[str, Answer]:  # fmt: skip
    """{label: answer} of what heads say. spell: {label: tokenizer} of those that write words.

    threshold: what several labels are given above, one number or {head: {class: number}}.
    """
    told = Counter(one.label for one in said.values())
    found = {}
    for head, one in said.items():
        name = one.label if told[one.label] == 1 else f"{head}/{one.label}"
        kind: Kind = "text" if one.label in spell else kinds.get(one.label, "number")
        names = list(classes.get(one.label, []))
        at = _threshold(head, _named(names, one.values.shape[1]), threshold) if kind == "labels" else None
        made = _MAKERS[kind](one, names, spell.get(one.label), at)
        found[name] = Answer(one.label, kind, **made)
    return found


def _threshold(head: str, names: list[str], threshold: float | Mapping[str, Mapping[str, float]]) -> Any:
    """One number, or one a class (K,)."""
    return threshold if isinstance(threshold, float) else chosen(head, names, threshold)


def _class(said: Said, names: list[str], _: Any, __: Any) -> dict[str, Any]:
    chance = log_probabilities(torch.as_tensor(said.values)).exp().numpy()
    value = np.array(_named(names, chance.shape[1]), dtype=object)[chance.argmax(1)]
    return _known(said, value, names, chance)


def _labels(said: Said, names: list[str], _: Any, threshold: Any) -> dict[str, Any]:
    chance = probabilities(said)
    called = _named(names, chance.shape[1])
    joined = [join_labels(c for c, above in zip(called, row, strict=True) if above) for row in chance > threshold]
    return _known(said, np.array(joined, dtype=object), names, chance)


def _number(said: Said, _: list[str], __: Any, ___: Any) -> dict[str, Any]:
    values = said.values.reshape(len(said.values), -1).astype(np.float64)
    value = np.where(said.rows, values[:, 0], np.nan)
    return {"value": value, "std": np.where(said.rows, np.sqrt(values[:, 1]), np.nan) if values.shape[1] == 2 else None}


def _text(said: Said, _: list[str], spell: Any, __: Any) -> dict[str, Any]:
    words = [spell.decode(tokens) if there else None for tokens, there in zip(said.values, said.rows, strict=True)]
    return {"value": np.array(words, dtype=object)}


_MAKERS = {"class": _class, "labels": _labels, "number": _number, "text": _text}


def _known(said: Said, value: np.ndarray, names: list[str], chance: np.ndarray) -> dict[str, Any]:
    value[~said.rows] = None
    chance = np.where(said.rows[:, None], chance, np.nan)
    return {"value": value, "classes": _named(names, chance.shape[1]), "probability": chance}


def _named(names: list[str], k: int) -> list[str]:
    return names if len(names) == k else [str(i) for i in range(k)]


def of_each(found: Embeddings, samples: pd.DataFrame, column: str, kinds: Mapping[str, Kind]) -> Embeddings:
    """Rows that are equal in a column of the samples as one, named by its value, with what heads say of them alone.

    `DataError` where the column is not there, a row has no value, or a head writes words, which have no mean.
    """
    try:
        pool = Pool.of(found.ids, samples, column, "pool")
    except ValueError as error:
        raise DataError(f"{error} (pool=null answers row by row)") from error
    said = {}
    for head, one in found.said.items():
        if one.of_pixels:
            continue
        if kinds.get(one.label) not in _TASKS:
            raise DataError(
                f"pool={column}: head {head} tells {one.label}, which has no mean over rows; expected pool=null"
            )
        said[head] = pool.said(one, _TASKS[kinds[one.label]])
    return replace(
        found.rows(pool.first), ids=pool.names, vectors={}, present={}, projected={}, targets={}, same=None, items={},
        others={}, others_projected={}, said=said,
    )  # fmt: skip


def require_labels(system: Any, folder: Path) -> None:
    """`DataError` where no head of a run tells a label of a sample."""
    maps = [name for name in system.labels if getattr(system.heads[name], "per_pixel", False)]
    if maps and len(maps) == len(system.labels):
        raise DataError(
            f"{folder}: its head {maps[0]} tells a map, a value for every pixel; give a scene, and a file for the map: "
            "python -m multimodal_lab.predict run=DIR scene=FILE out=FILE.tif"
        )
    if not system.labels:
        heads = ", ".join(system.heads)
        reads = any(kinds.of(stream).stored == "column" for stream in system.streams.values())
        own = "name classes of your own, classes=[cat, dog], or " if reads else ""
        raise DataError(f"{folder}: no head of this run tells a label (it has {heads}); {own}embed the samples instead")
