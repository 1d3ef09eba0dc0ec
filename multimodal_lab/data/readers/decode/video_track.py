"""The audio track of a video between two moments of its clock, so that it is in step with its frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_lab.data.readers.decode import Refused
from multimodal_lab.data.readers.decode.wave import QUIET, resample

BEFORE = 0.2  # seconds decoded before the first that is wanted: a codec's first packets after a seek are not yet whole
JITTER = 0.002  # seconds by which frames that follow each other may seem apart


def read(
    container: Any, track: Any, start: float, end: float, rate: float | None, mono: bool, most: int
) -> dict[str, Any]:
    """`values` (channels, T) float32, T = round((end - start) * rate), of a track from `start` to `end` on the container's clock.

    They are NaN where the track holds nothing, as one that ends before the frames do. rate: resampled to, by soxr; None: the
    track's own. mono: the mean of its channels. most: bytes.
    """
    native, channels = int(track.rate), int(track.codec_context.channels)
    to = native if rate is None else round(rate)
    if (size := 4 * channels * round((end - start) * native)) > most:
        raise Refused(
            f"{end - start:g} s of sound are {size:,} bytes, the limit is {most:,} (data.source.limits.bytes raises it)"
        )
    first = start - BEFORE
    if first > 0:
        container.seek(int(first / track.time_base), stream=track)
    begin, x = _joined(_parts(container, track, end + BEFORE))
    if mono and channels > 1:
        x = x.mean(0, keepdims=True, dtype=np.float32)
    if to != native:
        x = resample(x.T, native, to).T
    count, skip = round((end - start) * to), round(start * to) - round(begin / native * to)
    made = np.full((len(x), count), np.nan, np.float32)
    low, high = max(0, -skip), min(count, x.shape[1] - skip)
    if low < high:
        made[:, low:high] = x[:, low + skip : high + skip]
    peak = float(np.nanmax(np.abs(made))) if low < high else 0.0
    return {"values": made, "rate": to, "silent": peak <= QUIET}


def _joined(parts: list[tuple[int, np.ndarray]]) -> tuple[int, np.ndarray]:
    """Where the first part begins, in samples, and all of them; what lies between two that are apart is 0."""
    if not parts:
        raise Refused("its audio track holds nothing where its frames are")
    begin = parts[0][0]
    made = np.zeros((len(parts[0][1]), max(at + x.shape[1] for at, x in parts) - begin), np.float32)
    for at, x in parts:
        made[:, at - begin : at - begin + x.shape[1]] = x
    return begin, made


def _parts(container: Any, track: Any, end: float) -> list[tuple[int, np.ndarray]]:
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
        if at >= end * rate:
            break
        x = np.concatenate([part.to_ndarray() for part in planar.resample(frame)], 1)
        found.append((at, x.astype(np.float32, copy=False)))
    return found
