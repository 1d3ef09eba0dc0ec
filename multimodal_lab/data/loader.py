"""Batches in an order that is a pure function of (seed, epoch), the same with any number of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from multimodal_lab.data.source import DataError
from multimodal_lab.types import Batch

Fetch = Callable[[np.ndarray], Batch]
TIMEOUT = 300.0


def steps(count: int, batch_size: int, drop_last: bool) -> int:
    """How many batches `count` samples make."""
    return count // batch_size if drop_last else -(-count // batch_size)


def shards(
    rows: np.ndarray, batch_size: int, drop_last: bool, start: int, rank: int, world: int
) -> Iterator[np.ndarray]:
    """The rows of each batch for one rank: every world-th of each global batch of `batch_size`, from batch `start` on.

    A rank that gets no row of an uneven last batch gets no batch for it.
    """
    for step in range(start, steps(len(rows), batch_size, drop_last)):
        mine = rows[step * batch_size : (step + 1) * batch_size][rank::world]
        if len(mine):
            yield mine


def batches(fetch: Fetch, rows: list[np.ndarray], workers: int) -> Iterator[Batch]:
    """Fetch each entry of `rows` in order, here or in `workers` processes, whose `DataError` is raised here."""
    if not workers:
        yield from map(fetch, rows)
        return
    loader: DataLoader[Any] = DataLoader(
        _Fetching(fetch, rows),
        batch_size=None,
        num_workers=workers,
        collate_fn=_same,
        timeout=TIMEOUT,
        generator=torch.Generator(),
    )
    for found in loader:
        if isinstance(found, DataError):
            raise found
        yield found


class _Fetching(Dataset[Any]):
    def __init__(self, fetch: Fetch, rows: list[np.ndarray]) -> None:
        self.fetch, self.rows = fetch, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch | DataError:
        try:
            return self.fetch(self.rows[index])
        except DataError as error:
            return error


def _same(x: Any) -> Any:
    return x
