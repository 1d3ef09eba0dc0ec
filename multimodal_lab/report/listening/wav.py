"""Sound as the bytes of a WAV file."""

from __future__ import annotations

import io
import wave

import numpy as np

FULL = 32767  # of 16 bits


def wav(x: np.ndarray, rate: int) -> bytes:
    """(T,) float in [-1, 1] as mono PCM of 16 bits; ValueError beyond, as it would be clipped."""
    if x.ndim != 1 or not np.isfinite(x).all() or np.abs(x).max(initial=0.0) > 1:
        raise ValueError(f"a sound of shape {x.shape}, expected (T,) finite values within [-1, 1]; divide by its peak")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(x * FULL).astype("<i2").tobytes())
    return out.getvalue()


def gain(*sounds: np.ndarray) -> float:
    """One factor for sounds that are compared: 1 where all lie within [-1, 1], else what brings the loudest there."""
    peak = max(float(np.abs(x).max(initial=0.0)) for x in sounds)
    return 1.0 if peak <= 1 else 1 / (peak * (1 + 1e-6))
