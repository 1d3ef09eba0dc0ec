"""A data set in memory, as plain as the reader's contract allows."""

import numpy as np
import pandas as pd

from multimodal_lab.data.source import Raw
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.types import Band


class Made:
    """n images (3, 6, 6) uint16 with a mask, three to a group; `arrays`, `masks` and `samples` may be changed."""

    def __init__(self, n=24, size=6, dtype="uint16", masked=True):
        rng = np.random.default_rng(0)
        self.bands = (Band("R", 620.0), Band("G", 540.0), Band("UV1", 370.0))
        high = 65535 if dtype == "uint16" else 1
        self.arrays = [(rng.random((3, size, size)) * high).astype(dtype) for _ in range(n)]
        self.masks = [rng.random((size, size)) > 0.3 if masked else None for _ in range(n)]
        self.full_scale = float(high)
        self.samples = pd.DataFrame(
            {
                "id": [f"s{i:02d}" for i in range(n)],
                "path": [f"dir/s{i:02d}.tif" for i in range(n)],
                "group": [f"g{i // 3}" for i in range(n)],
                "kind": [["moth", "bird"][i // 3 % 2] for i in range(n)],
                "weight": np.linspace(0, 1, n),
                "text": [f"word{i % 5} and {'red' if i % 2 else 'blue'}" for i in range(n)],
            }
        )

    def read(self, index, streams):
        inputs = {}
        for s in streams:
            if s.kind == "text":
                inputs[s.name] = self.samples[s.field].iloc[index]
            elif self.arrays[index] is None:
                inputs[s.name] = None
            elif s.kind == "vector":
                inputs[s.name] = self.arrays[index][indices(s, self.bands), 0, 0]
            else:
                inputs[s.name] = self.arrays[index][indices(s, self.bands)]
        return Raw(inputs, self.masks[index], self.full_scale)
