"""Synthetic clips: objects that bounce, flash and sound when they hit the floor; what is seen and heard, and when, is known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Count, Fraction, Natural, NonNegative, Positive
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.data.synthetic import sounding_shapes
from multimodal_lab.data.synthetic.timbres import TIMBRES, strike
from multimodal_lab.types import Band, Stream

CLASSES = tuple(TIMBRES)
GAP = (0.25, 0.7)  # s from one impact to the next, shortest and longest
HEARD = {"audio": (0, 1), "first": (0,), "second": (1,)}  # field: the objects that it holds the sound of


class SoundingObjects:
    """Clips of `objects` bouncing objects, drawn from (seed, clip): nothing is stored.

    `video` (3, T, size, size) in [0, 1] at `fps`, T = seconds * fps; `audio` (1, seconds * rate) within about [-1, 1] begins with
    the first frame. An object falls and rebounds at irregular times; at each impact it flashes, and its sound begins. A class
    has its shape, its colour and its timbre, each a little different in every clip: `class`, and of two objects `other`,
    another class, are balanced. `first` and `second` are fields too: the sound of each object alone, whose sum, with the hiss,
    is `audio`. `impacts` (and `other_impacts`) tells the times in seconds.

    clips: how many. noise, hiss: standard deviation in a pixel and in a sound, where an object has about 1. missing: share of
    clips without sound. seed: of the clips.
    """

    bands: tuple[Band, ...] = ()
    field_bands: ClassVar[dict[str, tuple[Band, ...]]] = {
        "video": tuple(Band(b) for b in "RGB"),
        **{name: (Band("mono"),) for name in HEARD},
    }

    def __init__(
        self,
        *,
        clips: Count = 480,
        objects: Literal[1, 2] = 1,
        seconds: Positive = 2.0,
        fps: Positive = 16.0,
        size: Count = 32,
        rate: Count = 8000,
        noise: NonNegative = 0.05,
        hiss: NonNegative = 0.01,
        missing: Fraction = 0.0,
        seed: Natural = 0,
    ) -> None:
        if rate < 8000:
            raise DataError(f"data.source.rate: {rate} Hz, expected 8000 or more: the sounds reach up to 4 kHz")
        if seconds < 2 * GAP[1]:
            raise DataError(f"data.source.seconds: {seconds}, expected at least {2 * GAP[1]:g}, which holds an impact")
        self.clips, self.objects, self.seconds, self.fps, self.size = clips, objects, float(seconds), float(fps), size
        self.rate, self.noise, self.hiss, self.missing, self.seed = rate, noise, hiss, missing, seed

    @property
    def identity(self) -> dict[str, Any]:
        """The dials: two generators with equal dials give equal values."""
        return {k: v for k, v in sorted(vars(self).items()) if isinstance(v, int | float)}

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a clip."""
        return pd.DataFrame([self._row(i) for i in range(self.clips)])

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """(3, T, size, size) float32 of the video and (1, T') of a sound."""
        found = Raw({})
        for stream in streams:
            name = stream.field or stream.name
            if name not in self.field_bands:
                raise DataError(
                    f"stream {stream.name}: there is no field {name!r}, expected one of {', '.join(self.field_bands)}"
                )
            need_kind([stream], ["image" if name == "video" else "vector"], f"the field {name} of made-up clips")
            found.rates[stream.name] = self.fps if name == "video" else float(self.rate)
            x = self._video(index) if name == "video" else self._sound(index, name)
            found.inputs[stream.name] = None if x is None else x[indices(stream, self.field_bands[name])]
        return found

    def _row(self, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {"id": f"c{index:05d}"}
        for number, (what, when) in enumerate((("class", "impacts"), ("other", "other_impacts"))[: self.objects]):
            row |= {what: CLASSES[self._kind(index, number)]}
            row |= {when: " ".join(f"{t:.3f}" for t in self._impacts(index, number) if 0 <= t < self.seconds)}
        return row

    def _kind(self, index: int, number: int) -> int:
        """The class of an object: all alike often, and never both of a clip the same."""
        first, turn = index % len(CLASSES), index // len(CLASSES)
        return first if number == 0 else (first + 1 + turn % (len(CLASSES) - 1)) % len(CLASSES)

    def _impacts(self, index: int, number: int) -> np.ndarray:
        """When an object hits the floor, in s; from before the clip to after it."""
        gaps = self._draw(index, 1, number).uniform(*GAP, int(self.seconds / GAP[0]) + 4)
        times: np.ndarray = np.cumsum(gaps) - GAP[1] - gaps[0] / 2
        return times

    def _draw(self, index: int, what: int, number: int = 0) -> np.random.Generator:
        return np.random.default_rng((self.seed, what, index, number))

    def _video(self, index: int) -> np.ndarray:
        draw, count = self._draw(index, 2), round(self.seconds * self.fps)
        frames = np.broadcast_to(draw.uniform(0.05, 0.25, (3, 1, 1, 1)), (3, count, self.size, self.size)).copy()
        t = (np.arange(count) + 0.5) / self.fps
        for number in range(self.objects):
            own, times = self._draw(index, 3, number), self._impacts(index, number)
            place = own.uniform(0.3, 0.7) if self.objects == 1 else own.uniform(0.2, 0.3) + 0.5 * number
            kind = CLASSES[self._kind(index, number)]
            sounding_shapes.paint(frames, kind, place, times, t, own.uniform(0.10, 0.14), own.uniform(0.8, 1.0, 3))
        frames += draw.normal(0, self.noise, frames.shape) if self.noise else 0.0
        return np.asarray(frames.clip(0, 1), dtype=np.float32)

    def _sound(self, index: int, field: str) -> np.ndarray | None:
        if self._draw(index, 4).random() < self.missing:
            return None
        count = round(self.seconds * self.rate)
        found = np.zeros(count)
        for number in (n for n in HEARD[field] if n < self.objects):
            own, timbre = self._draw(index, 5, number), TIMBRES[CLASSES[self._kind(index, number)]]
            pitch, loud = own.uniform(0.9, 1.1), own.uniform(0.35, 0.5)
            for time in self._impacts(index, number):
                level = loud * own.uniform(0.7, 1.0)  # drawn for each, so that a longer clip begins in the same way
                tone = level * strike(timbre, pitch, self.rate, own)
                first = round(time * self.rate)
                begin, end = max(first, 0), min(first + len(tone), count)
                if begin < end:
                    found[begin:end] += tone[begin - first : end - first]
        if field == "audio" and self.hiss:
            found += self._draw(index, 6).normal(0, self.hiss, count)
        return np.asarray(found[None], dtype=np.float32)
