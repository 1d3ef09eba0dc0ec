"""Rows of a data set as tensors: read one by one, or kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.data.sample import Samples
from multimodal_lab.types import Stream


@dataclass
class Stacked:
    """values (N, C, S, S), (N, C) float32 or (N, L) int64, 0 where missing; present (N,) bool; mask (N, S, S) bool."""

    values: dict[str, Tensor]
    present: dict[str, Tensor]
    mask: Tensor | None


class Stacker:
    """Makes `Stacked` of any rows; after `keep` from memory, else from the source."""

    def __init__(self, reader: Samples, streams: dict[str, Stream], ids: np.ndarray, seed: int) -> None:
        self.reader, self.streams, self.ids, self.seed = reader, streams, ids, seed
        self.kept: Stacked | None = None

    def __call__(self, rows: np.ndarray, epoch: int | None) -> Stacked:
        """The given rows; `epoch` draws among several captions, None takes the first."""
        made = self._read(rows) if self.kept is None else _picked(self.kept, torch.from_numpy(rows))
        for name, stream in self.streams.items():
            if stream.kind == "text":
                made.values[name], made.present[name] = self._words(name, stream, rows, epoch)
        return made

    def keep(self) -> None:
        """Finish every sample once and let go of what was stored."""
        self.kept = self._read(np.arange(len(self.ids)), drop=True)

    def _read(self, rows: Sequence[int] | np.ndarray, drop: bool = False) -> Stacked:
        arrays = {n: s for n, s in self.streams.items() if s.kind != "text"}
        values = {n: torch.zeros(len(rows), *_shape(s)) for n, s in arrays.items()}
        present = {n: torch.zeros(len(rows), dtype=torch.bool) for n in arrays}
        mask: Tensor | None = None
        for i, row in enumerate(rows):
            item = self.reader.item(int(row))
            for name, x in item.inputs.items():
                if x is not None:
                    values[name][i] = torch.from_numpy(x)
                    present[name][i] = True
            if item.mask is not None:
                if mask is None:
                    mask = torch.zeros(len(rows), *item.mask.shape, dtype=torch.bool)
                mask[i] = torch.from_numpy(item.mask)
            if drop:
                self.reader.drop(int(row))
        return Stacked(values, present, mask)

    def _words(self, name: str, stream: Stream, rows: np.ndarray, epoch: int | None) -> tuple[Tensor, Tensor]:
        found = [self.reader.words(int(r), name, epoch, self.seed, int(self.ids[r])) for r in rows]
        empty = np.zeros(stream.length or 0, dtype=np.int64)
        tokens = np.stack([empty if w is None else w for w in found])
        return torch.from_numpy(tokens), torch.tensor([w is not None for w in found])


def _picked(kept: Stacked, rows: Tensor) -> Stacked:
    values = {n: x[rows] for n, x in kept.values.items()}
    present = {n: x[rows] for n, x in kept.present.items()}
    return Stacked(values, present, None if kept.mask is None else kept.mask[rows])


def _shape(stream: Stream) -> tuple[int, ...]:
    return (stream.channels, stream.size, stream.size) if stream.size else (stream.channels,)
