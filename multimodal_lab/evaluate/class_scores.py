"""Scores of each class, and of each class in each value of a column such as country: `scores/*.csv` of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab import files
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.metric import multilabel
from multimodal_lab.text import expected_one_of

FOLDER, CLASSES, BY = "scores", "classes", "by"  # of a run; the names of its tables
MEAN = "(macro)"  # the row over all classes of a value


@dataclass(frozen=True)
class ClassScores:
    """Rows of a table: name is `classes` or `by`, frame holds a row for each class, or for each value and class."""

    name: str
    frame: pd.DataFrame


def of_classes(head: str, label: str, classes: Sequence[str], found: multilabel.Scores, at: np.ndarray) -> ClassScores:
    """A row a class: head, label, class, n, positives, threshold, every score, tp, fp, fn, tn; empty where not defined."""
    first: dict[str, Any] = {"head": head, "label": label, "class": list(classes)}
    counts = {name: found.counts[name] for name in ("n", "positives")}
    cells = {name: found.counts[name] for name in ("tp", "fp", "fn", "tn")}
    return ClassScores(CLASSES, pd.DataFrame({**first, **counts, "threshold": at, **found.each, **cells}))


def by_column(
    head: str, label: str, classes: Sequence[str], column: str, values: np.ndarray,
    ranked: np.ndarray, predicted: np.ndarray, truth: np.ndarray,
) -> ClassScores:  # fmt: skip
    """A row for each value (N,) of a column and each class: n, positives, average precision and F1, and their macro mean."""
    parts = []
    for value in sorted(set(values.tolist())):
        rows = values == value
        found = multilabel.scores(ranked[rows], predicted[rows], truth[rows])
        own: dict[str, list[Any]] = {"n": found.counts["n"].tolist(), "positives": found.counts["positives"].tolist()}
        means: dict[str, Any] = {"n": int(rows.sum()), "positives": int((~found.absent).sum())}
        for name in ("average_precision", "f1"):
            own[name], means[name] = found.each[name].tolist(), found.means[f"{name}_macro"]
        table = pd.DataFrame({"class": [*classes, MEAN], **{k: [*v, means[k]] for k, v in own.items()}})
        first = {"head": head, "label": label, "column": column, "value": value}
        parts.append(table.assign(**first)[[*first, *table.columns]])
    return ClassScores(BY, pd.concat(parts, ignore_index=True))


def require_columns(columns: Sequence[str], samples: pd.DataFrame, key: str) -> None:
    """`ValueError` for a column that the sample table lacks."""
    for column in columns:
        if column not in samples:
            there = [str(c) for c in samples if c != "id"]
            raise ValueError(f"{key}: the samples have no column {column!r}; {expected_one_of(column, there)}")


def values_of(e: Embeddings, samples: pd.DataFrame, column: str, pool: str | None) -> np.ndarray:
    """(N,) str, what a column of the sample table says of each row, `(none)` where it is empty, `(several)` of a pooled row
    whose samples differ."""
    of = samples[column].map(str).where(samples[column].notna(), "(none)")
    names = samples[pool or "id"].map(str)
    differs = of.groupby(names).nunique() > 1
    told = of.groupby(names).first().where(~differs, "(several)")
    return np.asarray(told.reindex([str(i) for i in e.ids]).to_numpy(), dtype=object)


def write(folder: Path, tables: Iterable[ClassScores]) -> list[Path]:
    """`scores/classes.csv` and `scores/by.csv`, each at once or not at all; the files, of tables that have rows."""
    found: dict[str, list[pd.DataFrame]] = {}
    for table in tables:
        found.setdefault(table.name, []).append(table.frame)
    paths = []
    for name, frames in found.items():
        path = folder / FOLDER / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        files.write_text(path, pd.concat(frames, ignore_index=True).to_csv(index=False))
        paths.append(path)
    return paths


def of_each(each: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, float]:
    """{SCORE@CLASS: its value} of scores (K,) of K classes; those that are not finite are left out."""
    return {f"{score}@{c}": float(v) for score, values in each.items() for c, v in zip(names, values, strict=True)
            if np.isfinite(v)}  # fmt: skip


def named(names: Sequence[str], k: int, whole: bool = False) -> list[str]:
    """Names of k classes, but in a table (whole) without the slash that parts the words of a key."""
    if len(names) != k:
        return [str(i) for i in range(k)]
    return [str(n) if whole else str(n).replace("/", "_") for n in names]
