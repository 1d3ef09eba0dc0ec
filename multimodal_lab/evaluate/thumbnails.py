"""Thumbnails of streams for figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab import files
from multimodal_lab.data import kinds
from multimodal_lab.runs.guarded_arrays import read_npz
from multimodal_lab.types import Batch, Stream

ROWS = "rows"
LIMIT = 2000  # samples of a split


class Thumbnails:
    """Collects pictures of the first `limit` samples of each split, of every stream whose kind has some.

    A missing modality is black. Four frames of a video are shown, and its pictures are twice as large.
    """

    def __init__(self, streams: Mapping[str, Stream], *, size: int = 48, limit: int = LIMIT) -> None:
        self.size, self.limit = size, limit
        self.streams = {name: s for name, s in streams.items() if kinds.of(s).shows(s) and name != ROWS}
        self._found: dict[str, list[Tensor]] = {name: [] for name in self.streams}
        self._rows: list[int] = []
        self._taken: Counter[str] = Counter()
        self._seen = 0

    def add(self, split: str, batch: Batch) -> None:
        """Take what still fits of one batch; batches come in the order of the embeddings' rows."""
        n = min(len(batch), self.limit - self._taken[split])
        self._rows += range(self._seen, self._seen + n)
        self._seen += len(batch)
        self._taken[split] += n
        for name, stream in self.streams.items() if n else ():
            x = batch.inputs[name][:n]
            if stream.steps is not None:
                real = batch.valid[name][:n].view(n, 1, -1, *[1] * (x.ndim - 3))
                x = torch.where(real, x.float(), torch.nan)
            x = kinds.of(stream).sheet(x, stream).float().cpu()
            x = torch.where(
                batch.present[name][:n, None, None, None].cpu(), x / stream.unit, torch.nan
            )  # halves hold 65504
            size = self.size * (2 if kinds.of(stream).spatial and stream.steps is not None else 1)  # four frames in one
            self._found[name].append(F.interpolate(x, size=(size, size), mode="area").half())

    def arrays(self) -> dict[str, np.ndarray]:
        """{stream: (T, size, size, 3) uint8} of what was added, twice that size of a video."""
        return {name: stretched(torch.cat(parts)) for name, parts in self._found.items() if parts}

    def save(self, path: Path) -> None:
        """Write an npz: `rows` (T,) of the embeddings that have a picture, and <stream> (T, size, size, 3) uint8."""
        arrays: dict[str, Any] = {ROWS: np.array(self._rows, dtype=np.int64), **self.arrays()}
        path.parent.mkdir(parents=True, exist_ok=True)
        files.atomic_write(path, lambda file: np.savez_compressed(file, **arrays))


def load(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The rows that have pictures, and the pictures by stream."""
    found = read_npz(path)
    return found.pop(ROWS), found


def stretched(x: Tensor) -> np.ndarray:
    """(T, 3, h, w), NaN where missing, to (T, h, w, 3) uint8: the 1st to 99th percentile of all spans the range.

    One range for the three bands, so that hues stay; NaN is black.
    """
    known = x[~x.isnan()].float().numpy()
    low, high = np.percentile(known, (1, 99)) if known.size else (0.0, 1.0)
    scaled = (x.float() - float(low)) / max(float(high - low), 1e-6)
    array: np.ndarray = (scaled.nan_to_num(0).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return array
