"""What sounds of files and of videos share: silence, and another rate."""

from __future__ import annotations

import numpy as np

QUIET = 2.0**-15  # one step of 16 bits: what never leaves it is silence


def resample(x: np.ndarray, rate: float, to: float) -> np.ndarray:
    """A sound (T, C) or (T,) at `rate` Hz brought to `to` Hz by soxr: (T', C) or (T',) float32."""
    import soxr

    found: np.ndarray = soxr.resample(np.ascontiguousarray(x, dtype=np.float32), rate, to, quality="HQ")
    return found
