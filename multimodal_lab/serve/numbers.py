"""Arrays of a request: nested lists of JSON, or one a band, as the type that a run stored."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_lab.predict.expected import Expected
from multimodal_lab.serve.problem import unusable


def of_stream(given: Any, one: Expected) -> Any:
    """What a predictor takes of a stream: an array, or {band: array}; null is a number that was not measured."""
    if isinstance(given, dict):
        return {str(band): _array(x, f"{one.name}.{band}", one) for band, x in given.items()}
    return _array(given, one.name, one)


def mask(given: Any) -> np.ndarray:
    """(H, W) bool of 0 and 1, or false and true."""
    found = _numeric(given, "mask", True)
    if found.ndim != 2 or not np.isin(found, (0, 1)).all():
        raise unusable(f"mask: an array of shape {found.shape}, expected (H, W) of 0 and 1")
    return found > 0


def _array(given: Any, name: str, one: Expected) -> np.ndarray:
    found = _numeric(given, name)
    wanted = np.dtype(one.layout.get("dtype", "float32"))
    if wanted.kind == "f":
        return found.astype(wanted)
    info = np.iinfo(wanted)
    if not (
        np.isfinite(found).all()
        and (found == np.rint(found)).all()
        and found.min() >= info.min
        and found.max() <= info.max
    ):
        raise unusable(
            f"{name}: expected whole numbers from {info.min} to {info.max}, as the run was trained on ({wanted})"
        )
    return found.astype(wanted)


def _numeric(given: Any, name: str, truth: bool = False) -> np.ndarray:
    """float64, which holds every pixel and every whole number up to 2^53 exactly."""
    if not _plain(given, truth):
        raise unusable(f"{name}: other things than numbers; expected numbers in lists, null where one is missing")
    try:
        found = np.array(given, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise unusable(f"{name}: expected lists of equal lengths") from None
    if not found.size:
        raise unusable(f"{name}: no number; expected numbers in lists")
    return found


def _plain(given: Any, truth: bool) -> bool:
    """Whether lists hold numbers and null alone: numpy reads "3" and true as numbers, too."""
    if isinstance(given, list):
        return all(_plain(x, truth) for x in given)
    return given is None or (isinstance(given, int | float) and (truth or not isinstance(given, bool)))
