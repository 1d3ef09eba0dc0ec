"""Make rows of what is given for each stream: arrays by band name, pictures, files, texts, data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL.Image import Image
from torch import Tensor

from multimodal_lab.data import kinds
from multimodal_lab.data.readers.audio_file import resample
from multimodal_lab.data.source import DataError
from multimodal_lab.predict.expected import Expected
from multimodal_lab.predict.files import Files
from multimodal_lab.text import expected_one_of


def of_frame(frame: pd.DataFrame, streams: Mapping[str, Expected]) -> dict[str, Any]:
    """{stream: its column, or the frame itself, where the bands of a vector are columns}; each stream must be there."""
    found: dict[str, Any] = {}
    for name, one in streams.items():
        column = next((c for c in (one.field, name) if c in frame), None)
        if column is not None:
            found[name] = frame[column]
        elif one.axes == 1 and any(b.name in frame for b in one.bands):
            found[name] = frame
        else:
            raise DataError(
                f"the data frame has no column {name!r} for stream {name}; {expected_one_of(name, map(str, frame.columns))}; "
                f"without that stream, give the others by their names"
            )
    return found


def values(given: Any, one: Expected, files: Files) -> list[Any]:
    """N values of a stream: an array (C, …), a text or several, something to read, or None where it is missing."""
    if isinstance(given, pd.Series):
        given = given.astype(object).where(given.notna(), None).tolist()
    if one.is_text:
        return _texts(given, one)
    if isinstance(given, Mapping | pd.DataFrame):
        given = _by_band(given, one)
    if _rated(given):
        return [_array(at_rate(given[0], given[1], one), one)]
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    if isinstance(given, Sequence) and len(given) and isinstance(given[0], int | float | np.number):
        given = np.asarray(given)
    if isinstance(given, np.ndarray) and given.dtype != object:
        if given.ndim not in (one.axes, one.axes + 1):
            raise DataError(f"stream {one.name}: an array of shape {given.shape}, expected {_shape(one)}, or N of them")
        return [_array(x, one) for x in (given[None] if given.ndim == one.axes else given)]
    if isinstance(given, str | Path | Image):
        given = [given]
    if not isinstance(given, Sequence | np.ndarray):
        raise DataError(f"stream {one.name}: {type(given).__name__}, expected {_takes(one)}")
    return _each(list(given), one, files)


def _each(given: list[Any], one: Expected, files: Files) -> list[Any]:
    """A list of single samples, of whatever types."""
    places = [i for i, x in enumerate(given) if isinstance(x, str | Path | Image)]
    asked = [x if isinstance(x, Image) else Path(x).expanduser() for x in (given[i] for i in places)]
    opened = files.sounds if one.is_sound else files.videos if one.is_video else files.pictures
    read = dict(zip(places, opened(asked, one) if asked else (), strict=True))
    found: list[Any] = []
    for i, x in enumerate(given):
        if i in read or x is None:
            found.append(read.get(i))
            continue
        own = values(x if isinstance(x, Mapping | Tensor) or _rated(x) else np.asarray(x), one, files)
        if len(own) != 1:
            raise DataError(f"stream {one.name}: item {i} holds {len(own)} samples, expected one, {_shape(one)}")
        found += own
    return found


def _rated(given: Any) -> bool:
    """Whether it is one recording with its rate, (array, Hz)."""
    pair = isinstance(given, tuple) and len(given) == 2 and np.ndim(given[1]) == 0
    return pair and isinstance(given[0], np.ndarray | Tensor)


def at_rate(given: Any, rate: float, one: Expected) -> np.ndarray:
    """A sound (C, T), or (T,) of one channel, brought to the rate of its stream."""
    x = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    x = x[None] if x.ndim == 1 and len(one.bands) == 1 else x
    if not one.is_sound or one.rate is None:
        raise DataError(f"stream {one.name}: an array with a rate, {rate} Hz, but it is no sound")
    if not float(rate) > 0 or x.ndim != 2 or x.dtype.kind != "f":
        said = f"{x.dtype} {x.shape} at {rate} Hz"
        raise DataError(f"stream {one.name}: {said}, expected floats {_shape(one)} and a rate in Hz")
    return x if float(rate) == one.rate else resample(x, float(rate), one.rate)


def _texts(given: Any, one: Expected) -> list[Any]:
    found = [given] if isinstance(given, str) else list(given) if isinstance(given, Sequence | np.ndarray) else [given]
    for text in found:
        many = text if isinstance(text, list | tuple) else [text]
        if not all(isinstance(t, str) for t in many) and text is not None:
            raise DataError(
                f"stream {one.name}: {type(text).__name__}, expected a text, several of one sample, or None"
            )
    return [list(t) if isinstance(t, tuple) else t for t in found]


def _by_band(given: Mapping[str, Any] | pd.DataFrame, one: Expected) -> np.ndarray:
    """(…, C, …) of arrays by band name, in the order that the run stored them; others are no matter."""
    there = [str(k) for k in given]
    if missing := [b.name for b in one.bands if b.name not in there]:
        raise DataError(f"stream {one.name}: no band {missing[0]!r}; {expected_one_of(missing[0], there)}")
    if isinstance(given, pd.DataFrame):
        table = given[[b.name for b in one.bands]].to_numpy()
        if table.dtype.kind not in "fiu":
            raise DataError(f"stream {one.name}: its columns ({_named(one)}) hold other things than numbers")
        return table
    parts = [given[b.name] for b in one.bands]
    arrays = [p.detach().cpu().numpy() if isinstance(p, Tensor) else np.asarray(p) for p in parts]
    odd = [(b.name, a.shape) for b, a in zip(one.bands, arrays, strict=True) if a.shape != arrays[0].shape]
    if odd:
        raise DataError(
            f"stream {one.name}: band {odd[0][0]} has shape {odd[0][1]}, {one.bands[0].name} has {arrays[0].shape}"
        )
    if arrays[0].ndim not in (one.axes - 1, one.axes):
        raise DataError(
            f"stream {one.name}: a band of shape {arrays[0].shape}, expected {_shape(one, band=True)}, or N"
        )
    return np.stack(arrays, arrays[0].ndim - one.axes + 1)


def _array(x: np.ndarray, one: Expected) -> np.ndarray:
    """(C, …) in the type that the run stored; another scale than the training's is never guessed."""
    if len(x) != len(one.bands):
        raise DataError(f"stream {one.name}: {len(x)} bands, expected {len(one.bands)} ({_named(one)}), bands first")
    wanted = np.dtype(one.layout.get("dtype", x.dtype))
    if x.dtype == wanted:
        return np.ascontiguousarray(x)
    # numbers of a table are what they are, pixels have the full scale of their type
    if wanted.kind == "f" and (x.dtype.kind == "f" or (x.dtype.kind in "iu" and one.axes == 1)):
        return np.ascontiguousarray(x, dtype=wanted)
    raise DataError(f"stream {one.name}: values of type {x.dtype}, expected {wanted}, as the run was trained on")


def _shape(one: Expected, band: bool = False) -> str:
    first, *rest = one.layout.get("shape") or ["C", *"HW"[2 - kinds.get(one.kind).axes :]]
    shape = [first, *(["T"] if one.steps is not None else []), *rest]
    return f"({', '.join(map(str, shape[1:] if band else shape))})"


def _named(one: Expected) -> str:
    names = [b.name for b in one.bands]
    return ", ".join(names) if len(names) <= 8 else f"{names[0]} … {names[-1]}"


def _takes(one: Expected) -> str:
    return f"an array {_shape(one)}, {{band: array}}, a file, a picture, or a list of these"
