"""Load and validate the prediction table of one finished cell."""

from __future__ import annotations

from dataclasses import dataclass
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
LEAST, MOST = -1e60, 1 + 1e-9  # of a score: R² has no bound below, but its squares must be numbers


@dataclass(frozen=True)
class Outcome:
    """One cell, one label, one stream: per held-out sample, in the order of ids.

    ids (n,) str; groups (n,) int64, as `Batch.groups`; truth, predicted (n,) str; score (n,) and probability (n,) as in
    `evaluate.predictions.Predicted`.
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


def read(entry: Entry, evaluator: str, label: str, stream: str) -> Outcome | None:
    """One label read from one stream of a finished cell; None where it was not judged.

    `StudyError` where the table is not as a run writes it. Scores may still be no numbers: see `require_scores`.
    """
    table = _table(entry.folder / hashes.PREDICTIONS, entry.summary[hashes.OF_PREDICTIONS])
    for column, value in (("evaluator", evaluator), ("label", label), ("stream", stream)):
        table = table.filter(pc.equal(table[column], value))
    if not len(table):
        return None
    table = table.sort_by("id")
    ids, truth, predicted = (np.asarray(table[k].to_numpy()).astype(str) for k in ("id", *WORDS))
    groups, probability, score = (np.asarray(table[k].to_numpy()) for k in ("group", *NUMBERS))
    return Outcome(
        entry.cell.arm, entry.cell.seed, entry.cell.split, label, stream, ids, groups, truth, predicted, probability, score
    )  # fmt: skip


def require_scores(path: Path, outcome: Outcome) -> None:
    """`StudyError` where a score is no finite number that a score can be; `path` is the cell's table."""
    if wrong := int((~((outcome.score >= LEAST) & (outcome.score <= MOST))).sum()):
        raise StudyError(
            f"{path}: {outcome.label}, {outcome.stream}: {wrong} of {len(outcome.score)} scores are no finite numbers of "
            "at most 1 (a label of numbers that has one value only in a test part has no R²)"
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
        table = pa.table({name: table[name].cast(kind) for name, kind in kinds.items()})
        for name in (*KEYS, *WORDS, "group"):
            if table[name].null_count:
                raise not_so(path, f"{table[name].null_count} rows have no {name}")
        keys = table.select(KEYS).set_column(3, "id", pc.utf8_rtrim(table["id"], "\0"))  # as NumPy has it
        if twice := len(table) - len(keys.group_by([*KEYS]).aggregate([])):
            raise not_so(path, f"{twice} rows of an id, label and stream that another row has; ids must be unique")
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise StudyError(f"{path}: can't be read ({str(error).partition(chr(10))[0]})") from None
    return table


def _like(found: pa.DataType, kind: pa.DataType) -> bool:
    """Whether values of one type are kept as the other without being read as something else."""
    found = found.value_type if pa.types.is_dictionary(found) else found
    if kind == pa.string():
        return bool(pa.types.is_string(found) or pa.types.is_large_string(found))
    return bool(pa.types.is_integer(found) or (kind == pa.float64() and pa.types.is_floating(found)))
