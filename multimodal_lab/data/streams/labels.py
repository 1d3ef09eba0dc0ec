"""Encode the label columns of the sample table as integers or floats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from multimodal_lab.data.source import DataError
from multimodal_lab.text import expected_one_of, some

LabelKind = Literal["class", "number"]
COMPLETE = "complete"  # of a sample table's `attrs`: {column: the key of the config that lets it have gaps}
CLASSES = "classes"  # of the same: {column: its classes in order}, of a vocabulary that holds whatever the rows have


@dataclass(frozen=True)
class Target:
    """One label: `values` (N,) int64 class places, -1 where missing; (N,) float32, NaN where missing; or (N, K) float32
    several-hot, rows of -1 where missing. `classes` names the K classes, empty for a number."""

    values: np.ndarray
    classes: list[str]


def encode(
    samples: pd.DataFrame, label: str, classes: Sequence[str] | None = None, kind: LabelKind | None = None
) -> Target:
    """Column `label` as a `Target`: floats stay numbers, lists become several-hot, everything else a class.

    kind: what the values are where the type does not tell: codes stored as numbers are classes, counts are numbers.
    Classes are sorted (integers by size) over all rows, unless `classes` of a trained run are given: then an
    unknown class is -1, and an absent column is all missing. Raises `DataError` for an absent column, or one with no
    values.
    """
    if label not in samples:
        if classes is None:
            raise DataError(f"data.labels: no column {label!r}; there are {', '.join(map(str, samples.columns))}")
        return Target(np.full(len(samples), -1, dtype=np.int64), list(classes))
    column = samples[label]
    if kind == "class" and pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # codes that a gap in their column made floats
    values = [None if _missing(v) else v for v in column]
    kept = [v for v in values if v is not None]
    if not kept and classes is None:
        raise DataError(f"data.labels: column {label!r} holds no values")
    if any(isinstance(v, list | tuple | np.ndarray | set) for v in kept):
        return _several(values, label, classes)
    if kind == "number" or (classes is not None and not classes):
        return Target(_numbers(column, label), [])
    if kind is None and pd.api.types.is_float_dtype(column) and not classes:
        return Target(column.to_numpy(dtype=np.float32, na_value=np.nan), [])
    names = list(classes) if classes is not None else _sorted(kept)
    places = {name: i for i, name in enumerate(names)}
    return Target(np.array([-1 if v is None else places.get(str(v), -1) for v in values], dtype=np.int64), names)


def encode_all(
    samples: pd.DataFrame,
    labels: Sequence[str],
    kinds: Mapping[str, LabelKind],
    trained: Mapping[str, list[str]] | None,
    refuse: bool,
) -> dict[str, Target]:
    """{label: its numbers}, by the classes of the `trained` run where there is one; refuse: classes too small to split."""
    declared = samples.attrs.get(CLASSES) or {}
    classes = {k: declared[k] for k in labels if k in declared} if trained is None else trained
    if trained is None:
        require_complete(samples, labels)
        require_kinds(samples, kinds)
    targets = {k: encode(samples, k, classes.get(k), kinds.get(k)) for k in labels}
    if trained is None and refuse:
        for label, target in targets.items():
            refuse_single(samples, label, target)
    return targets


def require_kinds(samples: pd.DataFrame, kinds: Mapping[str, LabelKind]) -> None:
    """Refuse (`DataError`) a kind of a label that is no column."""
    for label in kinds:
        if label not in samples:
            raise DataError(f"data.kinds: no column {label!r}; {expected_one_of(label, map(str, samples.columns))}")


def _numbers(column: pd.Series, label: str) -> np.ndarray:
    """(N,) float32, NaN where missing; `DataError` names a value that is no number."""
    found = pd.to_numeric(column, errors="coerce")
    if (wrong := found.isna() & column.notna()).any():
        value = column[wrong].iloc[0]
        raise DataError(
            f"data.kinds.{label}: number, but {label} holds {value!r}; data.kinds.{label}=class takes names"
        )
    return np.asarray(found.to_numpy(dtype=np.float32, na_value=np.nan))


def require_complete(samples: pd.DataFrame, labels: Sequence[str]) -> None:
    """Refuse (`DataError`) a gap in a column that is learnt, where the table's `attrs` ask for none."""
    found = {label: samples[label].isna() for label in labels if label in samples.attrs.get(COMPLETE, {})}
    gaps = {label: missing for label, missing in found.items() if missing.any()}
    if not gaps:
        return
    said = []
    for label, missing in gaps.items():
        names = list(samples["id"][missing])
        said.append(f"{len(names)} of {len(samples)} samples have no {label} ({some(names, 3)})")
    others = ", ".join(label for label in labels if label not in gaps)
    key = samples.attrs[COMPLETE][next(iter(gaps))]
    raise DataError(
        f"data.labels: {'; '.join(said)}; {key}=keep keeps them unlabelled, data.labels=[{others}] learns none of it"
    )


def refuse_single(samples: pd.DataFrame, label: str, target: Target) -> None:
    """A class with one sample can't be both learnt and held out: a `DataError` that names it and the choices."""
    if not target.classes or target.values.ndim == 2:
        return
    found = np.bincount(target.values[target.values >= 0], minlength=len(target.classes))
    for place in np.flatnonzero(found == 1):
        row = samples["id"].iloc[int(np.flatnonzero(target.values == place)[0])]
        raise DataError(
            f"data.labels: {label} {target.classes[place]!r} has one sample ({row!r}), which can't be both learnt and "
            f"held out; leave it out, take {label} off data.labels, or keep it with data.split.min_class_policy=train"
        )


def counts(target: Target, rows: np.ndarray) -> dict[str, int]:
    """How many of `rows` have each class, and how many none (`missing`); for a number, how many have it (`present`)."""
    values = target.values[rows]
    if not target.classes:
        return {"present": int(np.isfinite(values).sum()), "missing": int((~np.isfinite(values)).sum())}
    if values.ndim == 2:
        known = values[values[:, 0] >= 0]
        found = known.sum(0).astype(int)
        missing = len(values) - len(known)
    else:
        found = np.bincount(values[values >= 0], minlength=len(target.classes))
        missing = int((values < 0).sum())
    named = {name: int(n) for name, n in zip(target.classes, found, strict=True)}
    return {**named, "missing": missing} if missing else named


def moments(values: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (P,) of numbers (N,) or (N, P), NaN left out; of no number 0 and 1, of equal ones 1."""
    x = values.reshape(len(values), -1).astype(np.float64) if values.dtype.kind == "f" else np.full((1, 1), np.nan)
    known = np.isfinite(x)
    count = known.sum(0).clip(min=1)
    mean = np.where(known, x, 0).sum(0) / count
    std = np.sqrt(np.where(known, x - mean, 0).__pow__(2).sum(0) / count)
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(np.where(std > 0, std, 1), dtype=torch.float32)


def _several(values: list[Any], label: str, classes: Sequence[str] | None) -> Target:
    for v in values:
        if isinstance(v, str):
            raise DataError(f"data.labels: column {label!r} mixes lists and single values ({v!r})")
    names = list(classes) if classes is not None else _sorted([item for v in values if v is not None for item in v])
    places = {name: i for i, name in enumerate(names)}
    hot = np.zeros((len(values), len(names)), dtype=np.float32)
    for row, items in zip(hot, values, strict=True):
        if items is None:
            row[:] = -1
            continue
        row[[places[str(i)] for i in items if str(i) in places]] = 1
    return Target(hot, names)


def _sorted(values: list[Any]) -> list[str]:
    unique = set(values)
    whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in unique)
    return [str(v) for v in sorted(unique)] if whole else sorted({str(v) for v in unique})


def _missing(value: Any) -> bool:
    if isinstance(value, list | tuple | np.ndarray | set):
        return False
    return value is None or bool(pd.isna(value))
