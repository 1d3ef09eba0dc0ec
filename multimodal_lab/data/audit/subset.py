"""Some rows of a source, as a source: those that can be read, or so many that a look at them is quick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_lab.data.source import Raw, Source
from multimodal_lab.types import Stream


class Subset:
    """The `rows` (n,) of `whole`; all else that a source may have is the whole's. Many rows are read one by one."""

    def __init__(self, whole: Source, rows: np.ndarray) -> None:
        self.whole, self.rows = whole, rows
        self.bands = whole.bands
        self.samples = whole.samples.iloc[rows].reset_index(drop=True)
        self.samples.attrs = dict(whole.samples.attrs)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Sample `index` of these rows."""
        return self.whole.read(int(self.rows[index]), streams)

    def __getattr__(self, name: str) -> Any:
        if name in ("whole", "rows", "read_rows"):  # the whole's `read_rows` counts rows otherwise
            raise AttributeError(name)
        return getattr(self.whole, name)
