"""Score recordings, not their windows: the mean of what is said of all rows of one value of a column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.said import Said
from multimodal_lab.evaluate.tasks import kind, labelled
from multimodal_lab.metric import classes
from multimodal_lab.text import expected_one_of


def pooled(e: Embeddings, samples: pd.DataFrame, column: str, evaluator: str) -> Embeddings:
    """One row for each value of a column of the sample table, named by it, in the order of the first of its rows.

    Vectors are means over the rows that have the stream. What heads say: classes by their mean probability, several 0/1
    labels by theirs, numbers by their mean, over the rows that were asked; words are left out. `ValueError` where the
    column is not there, a row has no value, or a label differs within one.
    """
    if column not in samples:
        raise ValueError(
            f"evaluate.{evaluator}.pool={column}: no such column; {expected_one_of(column, list(map(str, samples)))}"
        )
    of = dict(zip(samples["id"].astype(str), samples[column], strict=True))
    values = pd.Series([of[name] for name in e.ids])
    if values.isna().any():
        raise ValueError(f"evaluate.{evaluator}.pool={column}: sample {e.ids[int(values.isna().argmax())]!r} has none")
    home, names = pd.factorize(values.map(str))
    first = np.unique(home, return_index=True)[1]

    def mean(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        total, count = np.zeros((len(names), *x.shape[1:])), np.zeros(len(names))
        np.add.at(total, home[rows], x[rows])
        np.add.at(count, home[rows], 1)
        return np.asarray(total / np.maximum(count, 1).reshape(-1, *[1] * (x.ndim - 1)))

    def any_of(rows: np.ndarray) -> np.ndarray:
        found = np.zeros(len(names), dtype=bool)
        found[home[rows]] = True
        return found

    there = {name: any_of(rows) for name, rows in e.present.items()}
    vectors = {n: mean(x, e.present[n]).astype(np.float32) for n, x in e.vectors.items()}
    projected = {n: mean(x, e.present[n]).astype(np.float32) for n, x in e.projected.items()}
    targets = {
        label: _one(t, home, first, names, f"evaluate.{evaluator}.pool={column}: label {label}")
        for label, t in e.targets.items()
    }
    said = {}
    for head, one in e.said.items():
        if one.label in targets and (what := kind(targets[one.label])) != "sequence":
            apart = _accuracy(one, e.targets[one.label]) if what == "classes" else None
            said[head] = Said(one.label, _answer(what, one, mean), any_of(one.rows), unpooled=apart)
    return replace(
        e.rows(first), vectors=vectors, present=there, targets=targets, ids=[str(n) for n in names], projected=projected,
        same=None, items={}, others={}, others_projected={}, said=said,
    )  # fmt: skip


def _answer(what: str, one: Said, mean: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """What a head says of each recording, in its own terms: log-probabilities, logits, numbers."""
    if what == "classes":
        chances = classes.log_probabilities(torch.as_tensor(one.values)).exp().numpy()
        found = np.log(np.maximum(mean(chances, one.rows), 1e-30))
        return np.asarray(found if one.values.shape[1] > 1 else found[:, 1:] - found[:, :1], dtype=np.float32)
    if what == "multilabel":
        chances = np.clip(mean(1 / (1 + np.exp(-one.values.astype(np.float64))), one.rows), 1e-12, 1 - 1e-12)
        return np.asarray(np.log(chances) - np.log1p(-chances), dtype=np.float32)
    return np.asarray(mean(one.values, one.rows), dtype=np.float32)


def _accuracy(one: Said, target: np.ndarray) -> float | None:
    """Of the rows by themselves; None where no class is known."""
    rows = np.flatnonzero(one.rows & labelled(target))
    chosen = classes.log_probabilities(torch.as_tensor(one.values[rows])).argmax(1).numpy()
    return float((chosen == target[rows]).mean()) if len(rows) else None


def _one(target: np.ndarray, home: np.ndarray, first: np.ndarray, names: pd.Index, where: str) -> np.ndarray:
    """The label of each recording: that of its rows that have one."""
    made: np.ndarray = target[first].copy()
    known = labelled(target)
    rows = np.flatnonzero(known)
    made[home[rows[::-1]]] = target[rows[::-1]]
    torn = rows[[not np.array_equal(made[home[r]], target[r]) for r in rows]] if len(rows) else rows
    if len(torn):
        raise ValueError(f"{where} differs within {names[home[torn[0]]]!r}; expected one value in all its rows")
    return made
