"""Synthetic motions: two sensors of different rates; what each alone tells, what both tell, what only both together do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Count, Fraction, Natural, NonNegative, Positive
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.types import Band, Stream

UNIT = "g"
ACTIONS = (("walk", 1.8), ("run", 2.8), ("wave", 1.0), ("rest", 0.0))  # and the steps or strokes a second
RATES = {"wrist": 25.0, "chest": 12.5}  # Hz
TREMOR = 6.0  # Hz
COMBINATIONS = 64  # of four actions and four traits of two values


class Motions:
    """Recordings of an accelerometer at the wrist and one at the chest, drawn from (seed, recording): nothing is stored.

    Each has 3 channels, x, y and z, at 25 and at 12.5 Hz, and lasts `seconds`[0] to `seconds`[1]. `action` is the frequency
    in both sensors (shared); `grip` a short tremor of the wrist (its alone); `lean` the chest's slope, its mean in z (its
    alone); `synergy` the exclusive or of two slopes, one in x of each sensor, so that neither tells it. All are balanced and
    independent. A subject has its own vigour and phase.

    subjects, repeats: recordings are subjects x 64 combinations x repeats. noise: standard deviation, where a motion has about 1.
    missing: share of recordings without the chest. gaps: share of each recording that was not measured, in one piece.
    """

    bands: tuple[Band, ...] = ()
    field_bands: ClassVar[dict[str, tuple[Band, ...]]] = {
        name: tuple(Band(f"{name}_{axis}", unit=UNIT) for axis in "xyz") for name in RATES
    }

    def __init__(
        self,
        *,
        subjects: Count = 12,
        repeats: Count = 1,
        seconds: tuple[Positive, Positive] = (3.0, 5.0),
        noise: NonNegative = 0.3,
        missing: Fraction = 0.0,
        gaps: Fraction = 0.05,
        seed: Natural = 0,
    ) -> None:
        if not 0.5 <= seconds[0] <= seconds[1]:
            raise DataError(f"data.source.seconds: {list(seconds)}, expected [shortest, longest] from 0.5")
        self.subjects, self.repeats, self.seconds = subjects, repeats, (float(seconds[0]), float(seconds[1]))
        self.noise, self.missing, self.gaps, self.seed = noise, missing, gaps, seed

    @property
    def identity(self) -> dict[str, Any]:
        """The dials: two generators with equal dials give equal values."""
        return {k: v for k, v in sorted(vars(self).items()) if isinstance(v, int | float | tuple)}

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a recording."""
        return pd.DataFrame([self._row(i) for i in range(self.subjects * COMBINATIONS * self.repeats)])

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """(3, T) float32 per stream, T by its own rate; NaN in the gap."""
        need_kind(streams, ["vector"], "the made-up motions")
        inputs: dict[str, np.ndarray | None] = {}
        rates: dict[str, float] = {}
        drawn = np.random.default_rng((self.seed, 1, index))
        length, begin, absent = drawn.uniform(*self.seconds), drawn.random(), drawn.random() < self.missing
        for stream in streams:
            name = stream.field or stream.name
            if name not in RATES:
                raise DataError(
                    f"stream {stream.name}: there is no sensor {name!r}, expected one of {', '.join(RATES)}"
                )
            rates[stream.name] = RATES[name]
            if absent and name == "chest":
                inputs[stream.name] = None
                continue
            x = self._series(index, name, length)
            gap = round(self.gaps * x.shape[1])
            first = round(begin * (x.shape[1] - gap))
            x[:, first : first + gap] = np.nan
            inputs[stream.name] = x[indices(stream, self.field_bands[name])]
        return Raw(inputs, rates=rates)

    def _row(self, index: int) -> dict[str, Any]:
        subject, combination = divmod(index // self.repeats, COMBINATIONS)
        a, grip, lean, one, two = self._traits(combination)
        return {
            "id": f"m{index:05d}", "subject": f"p{subject:02d}", "action": ACTIONS[a][0], "grip": ("loose", "tight")[grip],
            "lean": ("back", "front")[lean], "synergy": int(one != two),
        }  # fmt: skip

    @staticmethod
    def _traits(combination: int) -> tuple[int, int, int, int, int]:
        """action, grip, lean, and the slope of each sensor: every combination of them once."""
        action, rest = divmod(combination, 16)
        return action, rest & 1, rest >> 1 & 1, rest >> 2 & 1, rest >> 3 & 1

    def _series(self, index: int, name: str, length: float) -> np.ndarray:
        subject, combination = divmod(index // self.repeats, COMBINATIONS)
        a, grip, lean, one, two = self._traits(combination)
        whose = np.random.default_rng((self.seed, 2, subject))
        own = np.random.default_rng((self.seed, 3, index, [*RATES].index(name)))
        vigour, phase = whose.uniform(0.7, 1.3), whose.uniform(0, 2 * np.pi, 3)
        t = np.arange(round(length * RATES[name])) / RATES[name]
        speed = ACTIONS[a][1] * own.uniform(0.92, 1.08)
        strength = vigour * (0.0 if speed == 0 else 1.0) * np.array([1.0, 0.6, 0.8])
        x = strength[:, None] * np.sin(2 * np.pi * speed * t + phase[:, None] + own.uniform(0, 2 * np.pi))
        slope = (2 * one - 1) if name == "wrist" else (2 * two - 1)
        x[0] += 0.7 * slope
        if name == "chest":
            x[2] += 0.7 * (2 * lean - 1)
        elif grip:
            at = own.uniform(0.2, 0.8) * t[-1]
            x[1] += 1.2 * np.exp(-(((t - at) / 0.3) ** 2)) * np.sin(2 * np.pi * TREMOR * t)
        return np.asarray(x + own.normal(0, self.noise, x.shape), dtype=np.float32)
