"""Load and validate the prediction table of one finished cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from multimodal_lab.config.problem import StudyError
from multimodal_lab.runs import hashes
from multimodal_lab.runs.guarded_arrays import read_parquet
from multimodal_lab.study.ledger.ledger import Entry

KEYS = ("evaluator", "stream", "label", "id")  # of a row; no two have the same
WORDS = ("truth", "predicted")
NUMBERS = ("probability", "score")
LISTS = ("outputs", "targets")  # tables from before scores other than accuracy lack them
LARGEST = 1e60  # of a number, whose squares must be numbers


@dataclass(frozen=True)
class Outcome:
    """One cell, one label, one stream: per held-out sample, in the order of ids.

    ids (n,) str; groups (n,) int64, as `Batch.groups`; truth, predicted (n,) str; score (n,) and probability (n,) as in
    `evaluate.predictions.Predicted`. outputs, targets: what `evaluate.predictions.write` keeps of each sample (n, K), None
    where nothing was; classes: what the places of outputs are called. path: the table.
    """

    arm: str
    seed: int
    split: int
    label: str
    stream: str
    ids: np.ndarray
    groups: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray
    score: np.ndarray
    outputs: np.ndarray | None = None
    targets: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    path: Path = Path()

    def rows(self, places: np.ndarray) -> Outcome:
        """Some of its samples, in another order."""
        own = {k: v[places] for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        return replace(self, **own)


def read(entry: Entry, evaluator: str, label: str, stream: str) -> Outcome | None:
    """One label read from one stream of a finished cell; None where it was not judged.

    `StudyError` where the table is not as a run writes it. Scores may still be no numbers: see `scoring.require_scores`.
    """
    path = entry.folder / hashes.PREDICTIONS
    table = _table(path, entry.summary[hashes.OF_PREDICTIONS])
    names = (table.schema.metadata or {}).get(b"classes", b"{}")
    for column, value in (("evaluator", evaluator), ("label", label), ("stream", stream)):
        table = table.filter(pc.equal(table[column], value))
    if not len(table):
        return None
    table = table.sort_by("id")
    ids, truth, predicted = (np.asarray(table[k].to_numpy()).astype(str) for k in ("id", *WORDS))
    groups, probability, score = (np.asarray(table[k].to_numpy()) for k in ("group", *NUMBERS))
    outputs, targets = (_matrix(path, table, k) for k in LISTS)
    return Outcome(
        entry.cell.arm, entry.cell.seed, entry.cell.split, label, stream, ids, groups, truth, predicted, probability, score,
        outputs, targets, _classes(path, names, label), path,
    )  # fmt: skip


def same_as(runs: Sequence[Sequence[Outcome]]) -> np.ndarray:
    """Of every seed the place of the first one whose answers, and their probabilities, are the same to the bit."""
    told = [[part for o in own for part in (o.ids, o.predicted, o.probability)] for own in runs]
    firsts = [next(j for j, other in enumerate(told) if _equal(own, other)) for own in told]
    return np.array(firsts)


def _equal(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> bool:
    return some is others or all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(some, others, strict=True)
    )


def not_so(path: Path, why: str) -> StudyError:
    """The error of a file that no run has written."""
    return StudyError(f"{path}: not as a run writes it ({why})")


@lru_cache(maxsize=512)
def _table(path: Path, seal: str) -> Any:
    """A cell's predictions; `seal` is of their content, so that another file of this name is another table."""
    try:
        table: Any = read_parquet(path)
        if lacking := {*KEYS, *WORDS, *NUMBERS, "group"} - set(table.column_names):
            raise not_so(path, f"no column {', '.join(sorted(lacking))}")
        kinds = {
            **dict.fromkeys((*KEYS, *WORDS), pa.string()),
            **dict.fromkeys(NUMBERS, pa.float64()),
            "group": pa.int64(),
        }
        for name, kind in kinds.items():
            if not _like(table.schema.field(name).type, kind):
                raise not_so(path, f"{name} is {table.schema.field(name).type}, expected {kind}")
        lists = [name for name in LISTS if name in table.column_names]
        kinds |= dict.fromkeys(lists, pa.list_(pa.float64()))
        table = pa.table({name: table[name].cast(kind) for name, kind in kinds.items()}, metadata=table.schema.metadata)
        for name in (*KEYS, *WORDS, "group"):
            if table[name].null_count:
                raise not_so(path, f"{table[name].null_count} rows have no {name}")
        keys = table.select(KEYS).set_column(3, "id", pc.utf8_rtrim(table["id"], "\0"))  # as NumPy has it
        if twice := len(table) - len(keys.group_by([*KEYS]).aggregate([])):
            raise not_so(path, f"{twice} rows of an id, label and stream that another row has; ids must be unique")
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise StudyError(f"{path}: can't be read ({str(error).partition(chr(10))[0]})") from None
    return table


def _matrix(path: Path, table: Any, name: str) -> np.ndarray | None:
    """A column of lists as (n, K); None where there is no such column, or no list in it."""
    if name not in table.column_names or table[name].null_count:
        return None
    lists = table[name].combine_chunks()
    widths = pc.unique(pc.list_value_length(lists)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise not_so(path, f"{name} are lists of {widths} numbers, expected as many in every row of a label")
    found = np.asarray(lists.flatten().to_numpy(zero_copy_only=False), float).reshape(len(table), -1)
    if not (np.isfinite(found) & (np.abs(found) < LARGEST)).all():
        raise not_so(path, f"{name} hold no finite numbers")
    return found


def _classes(path: Path, text: bytes, label: str) -> tuple[str, ...]:
    try:
        return tuple(map(str, json.loads(text).get(label, [])))
    except (ValueError, AttributeError, TypeError):
        raise not_so(path, "its metadata name no classes") from None


def _like(found: pa.DataType, kind: pa.DataType) -> bool:
    """Whether values of one type are kept as the other without being read as something else."""
    found = found.value_type if pa.types.is_dictionary(found) else found
    if kind == pa.string():
        return bool(pa.types.is_string(found) or pa.types.is_large_string(found))
    return bool(pa.types.is_integer(found) or (kind == pa.float64() and pa.types.is_floating(found)))
