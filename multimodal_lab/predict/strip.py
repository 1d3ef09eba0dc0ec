"""A strip of windows over scenes, as a `Source`: each window is a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from multimodal_lab.data.source import Raw
from multimodal_lab.types import Band, Stream


class Strip:
    """Windows of `side` pixels that begin at these columns of `values[stream]` (C, side, W).

    missing[stream] (C, side, W) bool: what was not measured. A stream without values is missing in every window.
    """

    bands: tuple[Band, ...] = ()

    def __init__(
        self,
        values: Mapping[str, np.ndarray],
        missing: Mapping[str, np.ndarray],
        columns: Sequence[int],
        side: int,
        field_bands: Mapping[str, tuple[Band, ...]],
        scales: Mapping[str, float],
    ) -> None:
        self.values, self.missing, self.columns, self.side = values, missing, columns, side
        self.field_bands, self.scales = field_bands, scales
        self.samples = pd.DataFrame({"id": [str(c) for c in columns]})

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """(C, side, side) of each stream; one of which nothing was measured here is missing."""
        columns = slice(self.columns[index], self.columns[index] + self.side)
        found = Raw({}, None, dict(self.scales))
        for name in (s.name for s in streams):
            gone = self.missing[name][:, :, columns] if name in self.missing else None
            found.inputs[name] = None
            if gone is not None and gone.any(0).all():
                continue
            if name in self.values:
                found.inputs[name] = np.ascontiguousarray(self.values[name][:, :, columns])
                if gone is not None and gone.any():
                    found.missing[name] = gone
        return found
