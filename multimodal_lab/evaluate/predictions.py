"""Per-sample held-out predictions (`predictions.parquet`), the input of paired comparisons."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_lab import files
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.text import join_labels

MOST = 100  # classes whose probabilities are all kept, for scores that need more than that of the truth


@dataclass(frozen=True)
class Predicted:
    """One label read from one stream. rows (n,): places among the held-out samples; all else of these rows.

    truth, predicted: class index (n,), 0/1 (n, K), values (n,) or (n, P). probability (n,) of the truth, NaN where the
    evaluator gives none. score (n,), whose mean is the score of all: 1 or 0 for a class; the share of the K labels that
    are right; for values 1 - squared error / variance, so that the mean is R². Texts (n,) have neither of the two.
    outputs: the probability of every class (n, C), of which there are at most `MOST`, or that of every label (n, K).
    of: what `rows` are places in, where that is not the samples themselves but recordings of several.
    """

    evaluator: str
    stream: str
    label: str
    rows: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray
    score: np.ndarray
    outputs: np.ndarray | None = None
    of: Embeddings | None = None


def of_classes(truth: np.ndarray, predicted: np.ndarray, seen: np.ndarray, chances: np.ndarray) -> dict[str, Any]:
    """The last five of `Predicted`: chances (n, K) of the classes `seen` (K,); a class not among them has none."""
    place = np.searchsorted(seen, truth).clip(max=len(seen) - 1)
    probability = np.where(seen[place] == truth, chances[np.arange(len(truth)), place], 0.0)
    outputs = None
    if (count := int(seen.max()) + 1) <= MOST:
        outputs = np.zeros((len(truth), count))
        outputs[:, seen] = chances
    return {"truth": truth, "predicted": predicted, "probability": probability, "score": predicted == truth,
            "outputs": outputs}  # fmt: skip


def of_labels(truth: np.ndarray, chances: np.ndarray, threshold: float | np.ndarray = 0.5) -> dict[str, Any]:
    """The same of K labels: truth and chances (n, K), thresholds (K,); the probability is that of the whole row."""
    predicted = chances > threshold
    own = np.where(truth > 0, chances, 1 - chances)
    right = (predicted == (truth > 0)).mean(1)
    # labels may be kept as floats, and are no numbers all the same
    return {"truth": truth.astype(int), "predicted": predicted.astype(int), "probability": own.prod(1), "score": right,
            "outputs": chances}  # fmt: skip


def of_values(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """The same of numbers, (n,) or (n, P); R² of several numbers is their mean."""
    error = ((truth - predicted) ** 2).reshape(len(truth), -1)
    variance = truth.reshape(len(truth), -1).var(0)
    score = (1 - error / np.where(variance > 0, variance, np.nan)).mean(1)
    return {"truth": truth, "predicted": predicted, "probability": np.full(len(truth), np.nan), "score": score}


def write(path: Path, test: Embeddings, found: Iterable[Predicted]) -> None:
    """Write a Parquet table, at once or not at all.

    Columns: id, group, evaluator, stream, label, truth, predicted, probability, score, outputs, targets. A class is its name,
    several labels theirs by `text.join_labels`, a number its decimal form. outputs: a list, the probabilities of the classes or
    labels in the order that the table's metadata give under `classes`, or the numbers that were told; targets: the true
    numbers, or 0/1 of each label. Null of texts, and of more than `MOST` classes.
    """
    found = list(found)
    parts = [_rows(p, p.of or test) for p in found]
    table = pa.concat_tables(parts) if parts else _SCHEMA.empty_table()
    names = {p.label: own for p in found if 0 < len(own := (p.of or test).classes.get(p.label, [])) <= MOST}
    table = table.replace_schema_metadata({"classes": json.dumps(names)})
    files.atomic_write(path, lambda file: pq.write_table(table, file))


_WORD = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    [("id", pa.string()), ("group", pa.int64()), ("evaluator", _WORD), ("stream", _WORD), ("label", _WORD),
     ("truth", _WORD), ("predicted", _WORD), ("probability", pa.float32()), ("score", pa.float64()),
     ("outputs", pa.list_(pa.float64())), ("targets", pa.list_(pa.float64()))]
)  # fmt: skip


def _rows(p: Predicted, of: Embeddings) -> pa.Table:
    ids, groups, classes = np.asarray(of.ids, dtype=object), of.groups, of.classes.get(p.label, [])
    words = [pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(p.rows), np.int32)), [w]) for w in
             (p.evaluator, p.stream, p.label)]  # fmt: skip
    said = [_words(v, classes) for v in (p.truth, p.predicted)]
    numbers = [pa.array(p.probability.astype(np.float32)), pa.array(p.score.astype(np.float64))]
    columns = [pa.array(ids[p.rows], pa.string()), pa.array(groups[p.rows], pa.int64()), *words, *said, *numbers]
    several = p.truth.dtype.kind != "O" and (p.truth.dtype.kind == "f" or p.truth.ndim > 1)
    outputs = p.predicted if p.truth.dtype.kind == "f" else p.outputs
    lists = [_lists(outputs, len(p.rows)), _lists(p.truth if several else None, len(p.rows))]
    return pa.table([*columns, *lists], schema=_SCHEMA)


def _lists(values: np.ndarray | None, rows: int) -> pa.Array:
    """(n,) or (n, K) numbers as n lists; None: as many nulls."""
    if values is None:
        return pa.nulls(rows, pa.list_(pa.float64()))
    flat = values.reshape(rows, -1).astype(np.float64)
    ends = np.arange(rows + 1, dtype=np.int32) * flat.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(flat.ravel()))


def _words(values: np.ndarray, classes: list[str]) -> pa.DictionaryArray:
    if values.ndim == 1 and values.dtype.kind in "iu" and len(classes) > values.max(initial=-1):
        return pa.DictionaryArray.from_arrays(pa.array(values.astype(np.int32)), pa.array(classes, pa.string()))
    if values.dtype.kind == "O":
        named = values.tolist()
    elif values.ndim > 1 and values.dtype.kind in "iub" and len(classes) == values.shape[1]:
        named = [join_labels(c for c, v in zip(classes, row, strict=True) if v > 0) for row in values]
    else:
        named = [" ".join(f"{v:g}" for v in np.atleast_1d(row)) for row in values]
    return pa.array(named, pa.string()).dictionary_encode()
