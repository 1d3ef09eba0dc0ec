"""Decode chosen frames of a video: seek to the key frame before each, decode up to it, and no further."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.video_file import Colour, bands_of, opened
from multimodal_lab.data.readers.video_sampling import Frames, Span
from multimodal_lab.data.readers.video_times import Times, times_of
from multimodal_lab.data.source import DataError

FORMATS = {("rgb", 8): "rgb24", ("rgb", 16): "rgb48le", ("grey", 8): "gray", ("grey", 16): "gray16le"}
Shrink = Callable[[np.ndarray], np.ndarray]


class _OutOfOrder(Exception):
    """A decoded frame is not where its time says."""


@dataclass(frozen=True)
class Clip:
    """frames (C, T, H, W) uint8 or uint16; rate in Hz, None where it differs by video; start, end: see `Chosen`."""

    frames: np.ndarray
    rate: float | None
    start: float
    end: float


def read_clip(
    path: Path,
    name: str,
    how: Frames,
    *,
    colour: Colour = "rgb",
    limits: Limits | None = None,
    span: Span = (None, None),
    clip: int = 0,
    rate: float | None = None,
    shrink: Shrink | None = None,
) -> Clip:
    """The frames of a file that `how` takes, upright; see `Frames.choose` for span, clip and rate.

    colour: `rgb`, or the brightness alone (`grey`, `depth`: full range, 0 to 255 or 65535). shrink: makes of each frame,
    (C, H, W) uint8, a smaller one as it is decoded, so that no clip lies in memory at full size. Raises `DataError` for a
    file that is no whole video, beyond the limits, or refused by a policy of `how`.
    """
    limits = limits or Limits()
    with readable(name, "video"), opened(path, name) as (container, track):
        times = times_of(container, track, path, name)
        chosen = how.choose(times, name, span, clip, rate)
        wanted, back = np.unique(chosen.frames, return_inverse=True)
        bits = 16 if max(part.bits for part in track.codec_context.format.components) > 8 else 8
        made: np.ndarray | None = None
        form = FORMATS["rgb" if colour == "rgb" else "grey", bits]
        _require(limits, name, track, len(bands_of(colour)), bits, len(wanted) if shrink is None else 1)
        for k, frame in enumerate(_decoded(container, track, times, wanted.tolist(), name)):
            x = _array(frame, form)
            x = x if shrink is None or x.dtype != np.uint8 else shrink(np.ascontiguousarray(x))
            if made is None:
                limits.check(name, pixels=len(wanted) * x.shape[1] * x.shape[2], bands=len(x), itemsize=x.itemsize)
                made = np.empty((len(x), len(wanted), *x.shape[1:]), x.dtype)
            if x.shape != (len(made), *made.shape[2:]):
                raise DataError(f"{name}: frames of two sizes, {made.shape[2:]} and {x.shape[1:]}; expected one")
            made[:, k] = x
        assert made is not None
        frames = made if len(back) == len(wanted) else made[:, back]
        return Clip(frames, chosen.rate, chosen.start, chosen.end)


def _require(limits: Limits, name: str, track: Any, bands: int, bits: int, frames: int) -> None:
    """Hold the frames that will lie in memory to the limits, before one is decoded."""
    limits.check(name, pixels=frames * track.height * track.width, bands=bands, itemsize=bits // 8)


def _decoded(container: Any, track: Any, times: Times, wanted: list[int], name: str) -> Iterator[Any]:
    """The frames at these places, ascending; found by their times, else by counting from the first one."""
    done = 0
    if not times.counted:
        try:
            for frame in _seeking(container, track, times, wanted, name):
                done += 1
                yield frame
            return
        except _OutOfOrder:
            pass
    yield from _counting(container, track, times, wanted[done:], name)


def _seeking(container: Any, track: Any, times: Times, wanted: list[int], name: str) -> Iterator[Any]:
    places = {int(t): i for i, t in enumerate(times.ticks)}
    decoder: Iterator[Any] = iter(())
    stands, before = len(times.ticks), -1  # behind the end: the packets may have been read for their times
    for want in wanted:
        key = int(times.keys[max(0, int(np.searchsorted(times.keys, want, "right")) - 1)])
        if key > stands + 1 or want < stands:
            container.seek(int(times.ticks[key]), stream=track)
            decoder, before = container.decode(track), -1
        for frame in decoder:
            stands = places.get(frame.pts, -1)
            if stands <= before or (before < 0 and stands > want):
                raise _OutOfOrder
            before = stands
            if stands >= want:
                break
        if stands != want:
            raise _OutOfOrder if stands > want else _cut_short(name, want, times)
        yield _sound(frame, name, want)


def _counting(container: Any, track: Any, times: Times, wanted: list[int], name: str) -> Iterator[Any]:
    container.seek(0, stream=track)
    waiting = iter(wanted)
    want, k = next(waiting), -1
    for k, frame in enumerate(container.decode(track)):
        if k == want:
            yield _sound(frame, name, want)
            if (want := next(waiting, -1)) < 0:
                return
    raise _cut_short(name, k + 1, times)


def _sound(frame: Any, name: str, place: int) -> Any:
    if frame.is_corrupt:
        raise DataError(f"{name}: frame {place} is damaged")
    return frame


def _cut_short(name: str, place: int, times: Times) -> DataError:
    return DataError(
        f"{name}: a video that is cut short or damaged: {len(times.ticks)} frames, and {place} can't be decoded"
    )


def _array(frame: Any, form: str) -> np.ndarray:
    """(C, H, W), turned as the file says it is shown."""
    x = frame.to_ndarray(format=form)
    x = x[None] if x.ndim == 2 else np.moveaxis(x, 2, 0)
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.rot90(x, turns, (1, 2)) if turns else x
