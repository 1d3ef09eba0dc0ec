"""Missing-modality evaluation: `fused@rgb` and so on, every subset of the modalities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from multimodal_lab.types import Batch

FUSED = "fused"


def members(name: str) -> frozenset[str]:
    """The modalities that `fused@rgb+uv`, or a head so called, saw; of any other name, none."""
    return frozenset(name.partition("@")[2].split("+")) if "@" in name else frozenset()


def on_subsets(batch: Batch, streams: Sequence[str]) -> Iterator[tuple[str, Batch]]:
    """(`rgb+uv`, the batch with the other streams masked as missing) of every proper subset of `streams`: 2^M - 2."""
    for size in range(1, len(streams)):
        for own in combinations(streams, size):
            present = {k: rows if k in own else rows & False for k, rows in batch.present.items()}
            yield "+".join(own), batch.replace(present=present)
