"""What a struck object of each class sounds like: partials that ring, sweep or hold, and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timbre:
    """A sound of `pitch` Hz (at its end times `sweep`), `partials` {multiple: strength} that fall to 1/e in `decay` s.

    hold: s that it lasts before it falls. noise: its share of white noise; `dark` noise has lost what lies above the pitch.
    """

    pitch: float
    partials: tuple[tuple[float, float], ...]
    decay: float
    hold: float = 0.0
    sweep: float = 1.0
    noise: float = 0.0
    dark: bool = False


TIMBRES = {
    "bell": Timbre(820, ((1.0, 1.0), (2.0, 0.6), (2.8, 0.5), (4.1, 0.3)), 0.18),
    "block": Timbre(430, ((1.0, 1.0), (2.57, 0.5)), 0.04),
    "drum": Timbre(150, ((1.0, 1.0), (1.6, 0.4)), 0.10, sweep=0.6, noise=0.3, dark=True),
    "shaker": Timbre(3000, (), 0.05, hold=0.03, noise=1.0),
    "horn": Timbre(260, tuple((float(k), 1.0 / k) for k in range(1, 9)), 0.05, hold=0.12),
    "bird": Timbre(1500, ((1.0, 1.0),), 0.04, hold=0.10, sweep=1.8),
}  # fmt: skip


def strike(timbre: Timbre, pitch: float, rate: int, draw: np.random.Generator) -> np.ndarray:
    """(T,) float64 of largest value 1, at `rate` Hz; `pitch`: a factor of the timbre's own. It begins at once."""
    length = timbre.hold + 5 * timbre.decay
    t = np.arange(round(length * rate)) / rate
    glide = timbre.sweep ** (t / length)
    phase = 2 * np.pi * np.cumsum(timbre.pitch * pitch * glide) / rate
    tone = sum(
        (s * np.sin(k * phase) for k, s in timbre.partials if k * timbre.pitch * pitch * 2 < rate), np.zeros(len(t))
    )
    if timbre.noise:
        hiss = draw.normal(size=len(t))
        if timbre.dark:  # a one-pole low-pass
            keep = np.exp(-2 * np.pi * timbre.pitch * np.arange(64) / rate)
            hiss = 4 * np.convolve(hiss, keep / keep.sum())[: len(t)]
        tone = tone + timbre.noise * hiss
    x: np.ndarray = tone * np.exp(-np.maximum(t - timbre.hold, 0) / timbre.decay)
    x /= np.abs(x).max()
    return x
