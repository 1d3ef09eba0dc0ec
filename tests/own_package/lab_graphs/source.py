"""Molecules that are drawn, not stored: rings or chains of 4 to 9 atoms, and counts that tell how many atoms they have."""

import numpy as np
import pandas as pd

from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.types import Band


class Molecules:
    """Two of each of `count` molecules; `count` lacks in every seventh."""

    bands = (Band("soil"), Band("water"), Band("air"))

    def __init__(self, *, count: int = 48) -> None:
        rows = [(i, copy) for i in range(count) for copy in range(2)]
        self.samples = pd.DataFrame(
            {
                "id": [f"m{i}_{copy}" for i, copy in rows],
                "molecule": [f"m{i}" for i, _ in rows],
                "shape": [("ring", "chain")[i % 2] for i, _ in rows],
            }
        )

    def read(self, index, streams):
        """Types and edges of a graph stream, (C,) uint16 of a counts stream."""
        i = index // 2
        draw = np.random.default_rng(index)
        size = 4 + i % 6
        edges = np.array([(a, a + 1) for a in range(size - 1)] + ([(size - 1, 0)] if i % 2 == 0 else []))
        counts = draw.poisson([5 * size, 40, 2 + size]).astype(np.uint16)
        inputs = {}
        for s in streams:
            if s.kind == "graph":
                inputs[s.name] = (draw.integers(0, 4, size), edges)
            elif s.kind == "counts":
                inputs[s.name] = None if i % 7 == 6 else counts[indices(s, self.bands)]
            else:
                raise DataError(f"stream {s.name}: molecules are graph or counts streams, not {s.kind}")
        return Raw(inputs, None, 65535.0)
