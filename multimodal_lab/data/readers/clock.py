"""Times as files write them: numbers in a unit, or dates and times of the day."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from multimodal_lab.data.source import DataError

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}
TimeUnit = Literal["s", "ms", "us", "ns", "min", "h"]


def seconds(times: pd.Series, unit: TimeUnit, where: str) -> np.ndarray:
    """(T,) float64: numbers in `unit`, or dates and times of the day, as seconds since 1970; NaN where there is none."""
    if pd.api.types.is_numeric_dtype(times):
        return times.to_numpy(dtype=np.float64, na_value=np.nan) * SECONDS[unit]
    try:
        moments = pd.to_datetime(times, format="ISO8601", utc=True)
    except (ValueError, TypeError, OverflowError) as error:
        found = next((word for word in times.dropna() if not _is_moment(word)), None)
        raise DataError(
            f"{where}: {str(found)[:40]!r} is neither a number nor a date and time (2024-05-01T12:00:00.25)"
        ) from error
    since = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return since.to_numpy(dtype=np.float64, na_value=np.nan)


def _is_moment(word: object) -> bool:
    return bool(pd.notna(pd.to_datetime(str(word), format="ISO8601", utc=True, errors="coerce")))
