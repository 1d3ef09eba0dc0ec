"""Classes as people type them: one class in two spellings, numbers that were read as words, words for not known."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import numpy as np
import pandas as pd

from multimodal_lab.config.problem import StudyError

MOSTLY = 0.8  # of the values: a column of so many numbers is one of numbers
UNKNOWN = {
    "?",
    "-",
    "--",
    "n/a",
    "na",
    "nan",
    "none",
    "null",
    "unknown",
    "unk",
    "undetermined",
    "indet",
    "nd",
    "missing",
}


def require_classes(column: pd.Series, name: str, kinds: Mapping[str, str]) -> None:
    """Refuse (`StudyError`) words that are no classes, unless `data.kinds` says that they are."""
    if name in kinds:
        return
    counts = column.dropna().astype(str).value_counts(sort=False)
    _require_one_spelling(counts, name)
    _require_words(counts, name)


def require_lists(column: pd.Series, name: str, kinds: Mapping[str, str]) -> None:
    """Refuse (`StudyError`) lists of numbers, such as coordinates, which would be as many labels as there are numbers."""
    if name in kinds:
        return
    for place, cell in enumerate(column):
        items = list(cell) if isinstance(cell, list | tuple | set | np.ndarray) else []
        if any(isinstance(item, float | np.floating) and item % 1 != 0 for item in items):
            said = ", ".join(f"{item:g}" if isinstance(item, float) else str(item) for item in items[:3])
            said += ", …" if len(items) > 3 else ""
            raise StudyError(
                f"study.labels: {name} holds lists of numbers, such as [{said}] in row {place}; a list "
                f"is of the labels that a sample has: give each number a column of its own, such as {name}_1"
            )


def unknown(column: pd.Series) -> dict[str, int]:
    """{class: its samples} of those whose name may mean that nobody knows."""
    counts = column.dropna().astype(str).value_counts(sort=False)
    return {str(c): int(n) for c, n in counts.items() if str(c).strip().casefold() in UNKNOWN}


def _require_one_spelling(counts: pd.Series, name: str) -> None:
    seen: dict[str, str] = {}
    for value in map(str, counts.index):
        key = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
        if (other := seen.setdefault(key, value)) != value:
            first, second = sorted((other, value), key=lambda v: -int(counts[v]))
            raise StudyError(
                f"study.labels: {name} holds {first!r} ({counts[first]} samples) and {second!r} ({counts[second]}), which look "
                f"like one class in two spellings; write them alike, or say that they differ: +data.kinds.{name}=class"
            )


def _require_words(counts: pd.Series, name: str) -> None:
    """A column of numbers is read as one of words if any value is no number."""
    numbers = pd.to_numeric(counts.index.to_series().str.replace(",", ".", regex=False), errors="coerce")
    finite = np.isfinite(numbers.to_numpy(dtype=float))
    if not finite.any() or finite.mean() < MOSTLY or len(counts) <= 2 or (finite & (numbers % 1 != 0)).sum() < 2:
        return
    odd = next((str(v) for v, fine in zip(counts.index, finite, strict=True) if not fine), None)
    comma = next((str(v) for v in counts.index if "," in str(v)), None)
    which = f"a decimal comma in {comma!r}" if odd is None else f"{odd!r} among them"
    raise StudyError(
        f"study.labels: {name} holds numbers, with {which}, and so was read as {len(counts)} classes; mend the table, or say "
        f"that they are classes: +data.kinds.{name}=class"
    )
