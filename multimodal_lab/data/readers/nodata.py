"""The value that stands for a missing pixel: as a file declares it, or as the card does instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multimodal_lab.data.source import Card, DataError

Value = float | int | None
TAG = 42113  # GDAL_NODATA of a TIFF: the value as text


def parsed(declared: object, dtype: np.dtype) -> tuple[Value, str]:
    """What a file declares, as a value of `dtype`; (None, why) where that type can't hold it."""
    text = str(declared).strip("\0 ")
    try:
        value: float | int = int(text)
    except ValueError:
        try:
            value = float(text)
        except ValueError:
            return None, f"{text!r} is not a number"
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            held = float(dtype.type(value))
        return (None, f"{text} is beyond {dtype}") if np.isinf(held) and np.isfinite(value) else (held, "")
    limits = np.iinfo(dtype)
    if value != value or not limits.min <= value <= limits.max or int(value) != value:
        return None, f"{text} is no value of {dtype}"
    return int(value), ""


def of_bands(card: Card, places: Sequence[int], declared: Value) -> list[Value]:
    """The value of each stored band at `places`: the card's where it has one, else the file's."""
    if card.nodata is None:
        return [declared] * len(places)
    if card.nodata == "ignore":
        return [None] * len(places)
    return [card.nodata[i] if isinstance(card.nodata, tuple) else float(card.nodata) for i in places]


def check(card: Card, places: Sequence[int], dtype: np.dtype) -> None:
    """Refuse (`DataError`) a value of the card's that the files' type can't hold; of the stored bands at `places`."""
    for value in of_bands(card, places, None):
        if value is not None and (why := parsed(str(value).removesuffix(".0"), dtype)[1]):
            raise DataError(f"data.source.card.nodata: {why}, the type of the files")


def missing(values: np.ndarray, nodata: Sequence[Value]) -> np.ndarray | None:
    """(C, …) bool, True where a value is its band's nodata; None where there is none. NaN needs no declaration."""
    if all(v is None or v != v for v in nodata):
        return None
    found = np.zeros(values.shape, dtype=bool)
    for i, value in enumerate(nodata):
        if value is not None and value == value:
            found[i] = values[i] == values.dtype.type(value)
    return found if found.any() else None


def notes(ignored: Sequence[tuple[str, str]], files: int) -> list[str]:
    """What a run says of declared values that no pixel can hold. ignored: (file, why)."""
    if not ignored:
        return []
    path, why = ignored[0]
    more = f" and {len(ignored) - 1} more of {files} files" if len(ignored) > 1 else ""
    return [f"nodata: {path}{more}: the declared value {why}, so it is ignored (data.source.card.nodata says another)"]
