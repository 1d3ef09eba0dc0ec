"""The values of one line of a .ts file, `1,2:3,4`, or with their times, `(0,1),(0.5,2):(0,3),(0.5,4)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.clock import TimeUnit, seconds
from multimodal_lab.data.readers.resample import require_ordered
from multimodal_lab.data.source import DataError

_BETWEEN = re.compile(r"\)\s*,\s*\(")
_UNKNOWN = ("?", "NaN")


@dataclass(frozen=True)
class Line:
    """One recording: x (C, T) float32, NaN where nothing was measured; times (T,) in seconds, None where the file has none."""

    x: np.ndarray
    times: np.ndarray | None = None


def cut(line: str, timed: bool) -> list[str]:
    """The dimensions of a line, and its label where it has one; a time may hold colons, 12:00:00."""
    if not timed:
        return line.split(":")
    first, *rest = line.split("):")
    return [part + ")" * (i < len(rest)) for i, part in enumerate([first, *rest])]


def values(parts: list[str], where: str) -> Line:
    """Dimensions of equal length; `DataError` names the line and what is no number."""
    series = [_numbers(part.split(","), where) for part in parts]
    _require_length([len(s) for s in series], where)
    return Line(np.stack(series))


def timed_values(parts: list[str], unit: TimeUnit, where: str) -> Line:
    """Dimensions of (time, value), all at the same times, which rise."""
    pairs = [_pairs(part.strip(), where) for part in parts]
    _require_length([len(p) for p in pairs], where)
    words = [[time for time, _ in own] for own in pairs]
    if other := next((i for i, own in enumerate(words) if own != words[0]), None):
        at = next(k for k, (a, b) in enumerate(zip(words[0], words[other], strict=True)) if a != b)
        raise DataError(
            f"{where}: dimension {other + 1} has time {words[other][at][:40]!r} where the first has {words[0][at][:40]!r}; "
            "expected one row of times in a recording (sensors with clocks of their own: data=long_table, a file each)"
        )
    times = _times(words[0], unit, where)
    require_ordered(times, where)
    return Line(np.stack([_numbers([value for _, value in own], where) for own in pairs]), times)


def _pairs(text: str, where: str) -> list[tuple[str, str]]:
    if not (text.startswith("(") and text.endswith(")")):
        raise DataError(f"{where}: {text[:40]!r}, expected (time,value),(time,value) (@timestamps true)")
    found = []
    for pair in _BETWEEN.split(text[1:-1]):
        time, comma, value = pair.rpartition(",")
        if not comma or "(" in pair or ")" in pair:
            raise DataError(f"{where}: {pair[:40]!r}, expected one time and one value")
        found.append((time.strip(), value))
    return found


def _times(words: list[str], unit: TimeUnit, where: str) -> np.ndarray:
    try:
        return seconds(pd.Series([float(w) for w in words], dtype=np.float64), unit, where)
    except ValueError:
        return seconds(pd.Series(words, dtype=str), unit, f"{where}: time")


def _require_length(lengths: list[int], where: str) -> None:
    if len(set(lengths)) > 1:
        said = ", ".join(map(str, lengths))
        raise DataError(f"{where}: its dimensions have {said} values, expected one length in a recording")


def _numbers(words: list[str], where: str) -> np.ndarray:
    try:
        return np.array([np.nan if w.strip() in _UNKNOWN else float(w) for w in words], dtype=np.float32)
    except ValueError:
        bad = next(w for w in words if not _is_number(w))
        raise DataError(f"{where}: {bad.strip()[:40]!r}, expected a number, or ? where nothing was measured") from None


def _is_number(word: str) -> bool:
    try:
        float(word.replace("?", "nan"))
    except ValueError:
        return False
    return True
