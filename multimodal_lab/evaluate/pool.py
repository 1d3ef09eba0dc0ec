"""Score recordings, not their windows or clips: the mean of what is said of all rows of one value of a column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from multimodal_lab.data.readers.pieces import CLIP
from multimodal_lab.data.readers.recordings import RECORDING, START
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.said import Said
from multimodal_lab.evaluate.tasks import TaskKind, kind, labelled
from multimodal_lab.hashing import stable_id
from multimodal_lab.metric import classes
from multimodal_lab.text import expected_one_of


@dataclass(frozen=True)
class Pool:
    """Which of N rows stand for one of M things: their names (M,), home (N,) of each row among them, first (M,) row of each."""

    names: list[str]
    home: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, ids: Sequence[str], samples: pd.DataFrame, column: str, key: str) -> Pool:
        """By the values of a column of the sample table, in the order of their first rows.

        key: what messages call the choice. `ValueError` where the column is not there, or a row has no value.
        """
        if column not in samples:
            raise ValueError(f"{key}={column}: no such column; {expected_one_of(column, list(map(str, samples)))}")
        values = _values(ids, samples, column)
        if values.isna().any():
            raise ValueError(f"{key}={column}: sample {ids[int(values.isna().argmax())]!r} has none")
        home, names = pd.factorize(values.map(str))
        return cls([str(n) for n in names], home, np.unique(home, return_index=True)[1])

    def mean(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(M, …) of x (N, …) over the `rows` (N,) bool of each; 0 without any."""
        total, count = np.zeros((len(self.names), *x.shape[1:])), np.zeros(len(self.names))
        np.add.at(total, self.home[rows], x[rows])
        np.add.at(count, self.home[rows], 1)
        return np.asarray(total / np.maximum(count, 1).reshape(-1, *[1] * (x.ndim - 1)))

    def any_of(self, rows: np.ndarray) -> np.ndarray:
        """(M,) bool: whether any of `rows` (N,) bool is one of each."""
        found = np.zeros(len(self.names), dtype=bool)
        found[self.home[rows]] = True
        return found

    def said(self, one: Said, what: TaskKind, target: np.ndarray | None = None) -> Said:
        """What a head says of each: classes by their mean probability, several 0/1 labels by theirs, numbers by their mean, over
        the rows that were asked. target: of the rows, for the accuracy of classes of rows by themselves."""
        apart = _accuracy(one, target) if target is not None and what == "classes" else None
        return Said(one.label, _answer(what, one, self.mean), self.any_of(one.rows), unpooled=apart)


def pooled(e: Embeddings, samples: pd.DataFrame, column: str, evaluator: str) -> Embeddings:
    """One row for each value of a column of the sample table, named by it, see `Pool`.

    Vectors are means over the rows that have the stream. What heads say: see `Pool.said`; words are left out. Two hold the
    same item where all their rows do, one by one; texts that all rows of one share stay texts. `ValueError` where the column is
    not there, a row has no value, or a label differs within one.
    """
    key = f"evaluate.{evaluator}.pool"
    pool = Pool.of(e.ids, samples, column, key)
    there = {name: pool.any_of(rows) for name, rows in e.present.items()}
    vectors = {n: pool.mean(x, e.present[n]).astype(np.float32) for n, x in e.vectors.items()}
    projected = {n: pool.mean(x, e.present[n]).astype(np.float32) for n, x in e.projected.items()}
    targets = {label: _one(t, pool, f"{key}={column}: label {label}") for label, t in e.targets.items()}
    said = {
        head: pool.said(one, what, e.targets[one.label])
        for head, one in e.said.items()
        if one.label in targets and (what := kind(targets[one.label])) != "sequence"
    }
    held = _Held(e, pool.home)
    return replace(
        e.rows(pool.first), vectors=vectors, present=there, targets=targets, ids=pool.names, projected=projected,
        items={name: held.items(name) for name in e.items}, text_ids={name: held.text_ids(name) for name in e.text_ids},
        others={n: held.others(n, x) for n, x in e.others.items()},
        others_projected={n: held.others(n, x) for n, x in e.others_projected.items()}, said=said,
    )  # fmt: skip


def pooled_by(pool: str | None, e: Embeddings, samples: pd.DataFrame) -> str | None:
    """The column that an evaluator's `pool` names; `auto` is that of `recordings`."""
    return recordings(e, samples) if pool == "auto" else pool


def recordings(e: Embeddings, samples: pd.DataFrame) -> str | None:
    """The column of recordings where rows are no samples of their own: clips of one, or windows of one beside its one text."""
    if RECORDING not in samples or not {CLIP, START} & {*samples}:
        return None
    values = _values(e.ids, samples, RECORDING)
    if values.isna().any() or not values.duplicated().any():
        return None
    held = _Held(e, pd.factorize(values.map(str))[0])
    words = any(held.alike(name).all() for name in e.text_ids if e.present[name].any())
    return RECORDING if CLIP in samples or words else None


class _Held:
    """What the rows of each of R recordings hold; home (N,): which recording a row is of."""

    def __init__(self, e: Embeddings, home: np.ndarray) -> None:
        self.e, self.home, self.count = e, home, int(home.max(initial=-1)) + 1

    def first(self, name: str) -> np.ndarray:
        """(R,): the first row of each that has the stream, else its first row."""
        rows = np.unique(self.home, return_index=True)[1]
        there = np.flatnonzero(self.e.present[name])[::-1]
        rows[self.home[there]] = there
        return rows

    def alike(self, name: str) -> np.ndarray:
        """(R,) bool: whether all rows that have a text have the same."""
        more = self.e.others.get(name)
        ids = self.e.text_ids[name]
        ids = ids if more is None else np.where(np.c_[np.ones(len(ids), bool), np.isfinite(more).all(2)], ids, 0)
        rows = np.flatnonzero(self.e.present[name])
        found = np.ones(self.count, dtype=bool)
        np.logical_and.at(found, self.home[rows], (ids[rows] == ids[self.first(name)[self.home[rows]]]).all(1))
        return found

    def items(self, name: str) -> np.ndarray:
        """(R,) int64: equal where the rows of two recordings hold the same things, each as often."""
        return self._sequences(self.e.items[name], name)

    def text_ids(self, name: str) -> np.ndarray:
        """(R, 1 + K): of a recording whose rows hold one text that of these, of another its own."""
        ids = self.e.text_ids[name]
        return np.where(self.alike(name)[:, None], ids[self.first(name)], self._sequences(ids[:, 0], name)[:, None])

    def others(self, name: str, more: np.ndarray) -> np.ndarray:
        """(R, K, D): the later texts of a recording whose rows hold the same ones, NaN of another."""
        same = self.alike(name) if name in self.e.text_ids else np.zeros(self.count, dtype=bool)
        return np.where(same[:, None, None], more[self.first(name)], np.float32(np.nan))

    def _sequences(self, ids: np.ndarray, name: str) -> np.ndarray:
        found: list[list[str]] = [[] for _ in range(self.count)]
        for home, own, there in zip(self.home.tolist(), ids.tolist(), self.e.present[name].tolist(), strict=True):
            found[home].append(str(own) if there else "")
        return np.array([stable_id(" ".join(sorted(own))) for own in found], dtype=np.int64)


def _values(ids: Sequence[str], samples: pd.DataFrame, column: str) -> pd.Series:
    of = dict(zip(samples["id"].astype(str), samples[column], strict=True))
    return pd.Series([of[name] for name in ids])


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


def _one(target: np.ndarray, pool: Pool, where: str) -> np.ndarray:
    """The label of each recording: that of its rows that have one."""
    made: np.ndarray = target[pool.first].copy()
    known = labelled(target)
    rows = np.flatnonzero(known)
    made[pool.home[rows[::-1]]] = target[rows[::-1]]
    torn = rows[[not np.array_equal(made[pool.home[r]], target[r]) for r in rows]] if len(rows) else rows
    if len(torn):
        raise ValueError(
            f"{where} differs within {pool.names[pool.home[torn[0]]]!r}; expected one value in all its rows"
        )
    return made
