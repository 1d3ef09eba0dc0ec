"""Recordings in memory, of unequal length, two individuals each of two ways to move."""

import numpy as np
import pandas as pd

from multimodal_lab.data.source import Raw
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.types import Band


class Series:
    """n recordings (3, T), T from 4 to `most`, or videos (3, T, side, side); all may be changed. rates: {row: Hz}."""

    def __init__(self, n=16, most=9, side=0):
        draw = np.random.default_rng(0)
        self.bands = (Band("x"), Band("y"), Band("z"))
        self.kind = "image" if side else "vector"
        shapes = [(3, 4 + i % (most - 3), *[side] * (2 * bool(side))) for i in range(n)]
        moves = np.arange(n) % 2
        self.arrays = [(draw.normal(3 + 2 * m, 2, shape)).astype(np.float32) for m, shape in zip(moves, shapes)]
        self.missing, self.rates, self.mask = {}, {}, None
        self.samples = pd.DataFrame(
            {
                "id": [f"s{i:02d}" for i in range(n)],
                "kind": [["walk", "run"][m] for m in moves],
                "group": [f"g{i // 2}" for i in range(n)],
            }
        )

    def read(self, index, streams):
        found, missing, rates = {}, {}, {}
        for s in streams:
            x = self.arrays[index]
            found[s.name] = None if x is None else x[indices(s, self.bands)]
            if index in self.missing:
                missing[s.name] = self.missing[index][indices(s, self.bands)]
            if index in self.rates:
                rates[s.name] = self.rates[index]
        return Raw(found, self.mask, missing=missing, rates=rates)
