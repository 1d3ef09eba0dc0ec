"""The audio track of a video between two moments of its clock, so that it is in step with its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.video_file import opened
from multimodal_lab.data.source import DataError

BEFORE = 0.2  # seconds decoded before the first that is wanted: a codec's first packets after a seek are not yet whole
JITTER = 0.002  # seconds by which frames that follow each other may seem apart


def read_sound(
    path: Path, name: str, start: float | None = None, end: float | None = None, limits: Limits | None = None
) -> tuple[np.ndarray, float]:
    """(channels, samples) float32 in [-1, 1] and its rate in Hz, from `start` to `end` seconds of the container's clock.

    There are round((end - start) * rate) samples, NaN where the track holds nothing, as one that ends before the frames do.
    None: the track's own start or end. `DataError` for a file without an audio track, or beyond the limits.
    """
    limits = limits or Limits()
    with readable(name, "video"), opened(path, name, "audio") as (container, track):
        rate, channels = int(track.rate), int(track.codec_context.channels)
        seconds = end - (start or 0.0) if end is not None else _length(container, track)
        limits.check(name, pixels=max(1, round(seconds * rate)), bands=channels, itemsize=4)
        if start:
            container.seek(max(0, int((start - BEFORE) / track.time_base)), stream=track)
        parts = _parts(container, track, end)
        if not parts:
            raise DataError(f"{name}: its audio track holds nothing from {start or 0:g} s on")
        begin = parts[0][0] if start is None else round(start * rate)
        close = max(at + x.shape[1] for at, x in parts) if end is None else begin + round((end - (start or 0.0)) * rate)
        made = np.full((channels, close - begin), np.nan, np.float32)
        for at, x in parts:
            low, high = max(at, begin), min(at + x.shape[1], close)
            if low < high:
                made[:, low - begin : high - begin] = x[:, low - at : high - at]
        return made, float(rate)


def _parts(container: Any, track: Any, end: float | None) -> list[tuple[int, np.ndarray]]:
    """The decoded frames up to `end`: the sample of the clock that each begins at, and its values."""
    import av

    rate = int(track.rate)
    planar = av.AudioResampler(format="fltp")  # another form of the numbers, at the track's own rate and channels
    found: list[tuple[int, np.ndarray]] = []
    for frame in container.decode(track):
        behind = found[-1][0] + found[-1][1].shape[1] if found else 0
        at = behind if frame.pts is None else round(float(frame.pts * frame.time_base) * rate)
        if found and abs(at - behind) <= JITTER * rate:  # a clock of milliseconds cannot say it better
            at = behind
        if end is not None and at >= end * rate:
            break
        x = np.concatenate([part.to_ndarray() for part in planar.resample(frame)], 1)
        found.append((at, x.astype(np.float32, copy=False)))
    return found


def _length(container: Any, track: Any) -> float:
    """Seconds that the header says a track has, 0 where it says nothing."""
    return float(track.duration * track.time_base) if track.duration else (container.duration or 0) / 1e6
