"""Times of a recording: checked, tested for regularity, and values brought to a rate by linear interpolation."""

from __future__ import annotations

import numpy as np

from multimodal_lab.data.source import DataError

JITTER = 0.01  # of an interval: clocks that round their times to a few digits are regular all the same


def require_ordered(times: np.ndarray, where: str) -> None:
    """`DataError` for times (T,) that are no numbers, stand twice or run backwards; `where` names the recording."""
    if not np.isfinite(times).all():
        raise DataError(f"{where}: row {int(np.argmin(np.isfinite(times))) + 1} has no time")
    steps = np.diff(times)
    if (steps < 0).any():
        at = int((steps < 0).argmax())
        raise DataError(
            f"{where}: times out of order, {times[at + 1]:g} s after {times[at]:g} s (row {at + 2} of {len(times)}); "
            "sort its rows by time"
        )
    if (steps == 0).any():
        at = int((steps == 0).argmax())
        raise DataError(
            f"{where}: {int((steps == 0).sum())} times stand twice, the first {times[at]:g} s (rows {at + 1} and {at + 2}), "
            "expected one row a time; two sensors in one table are told apart by data.source.where"
        )


def rate_of(times: np.ndarray) -> float | None:
    """Hz of regular times (T,) in seconds; None where intervals differ, or there is none."""
    if len(times) < 2:
        return None
    # not the median: a clock of milliseconds would make 60 Hz of intervals of 16 and 17 ms 58.8 or 62.5
    usual = float((times[-1] - times[0]) / (len(times) - 1))
    grid = times[0] + usual * np.arange(len(times))
    resolution = max(JITTER * usual, 1.01e-3 if usual > 5e-3 else 0.0)
    return 1 / usual if (np.abs(times - grid) <= resolution).all() else None


def resampled(values: np.ndarray, times: np.ndarray, at: np.ndarray, limit: float) -> np.ndarray:
    """Values (C, T) measured at `times` (T,) to (C, n) float32 at times `at` (n,), linear between neighbours in time.

    A NaN is no measurement. What lies between two that are more than `limit` apart, before the first or after the last, is NaN.
    There is no filter: what is faster than half the new rate folds into it.
    """
    out = np.full((len(values), len(at)), np.nan, dtype=np.float32)
    known = np.isfinite(values)
    for band, row in enumerate(values):
        t = times[known[band]]
        if not len(t):
            continue
        after = np.searchsorted(t, at, side="left").clip(max=len(t) - 1)
        before = (np.searchsorted(t, at, side="right") - 1).clip(min=0)
        inside = (at >= t[0]) & (at <= t[-1]) & (t[after] - t[before] <= limit)
        out[band] = np.where(inside, np.interp(at, t, row[known[band]]), np.nan)
    return out


def gap_limit(times: np.ndarray, max_gap: float) -> float:
    """`max_gap` usual (median) intervals of a recording, in seconds."""
    return float(np.median(np.diff(times)) * max_gap * (1 + 1e-9)) if len(times) > 1 else 0.0
