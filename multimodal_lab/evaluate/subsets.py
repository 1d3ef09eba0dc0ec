"""Missing-modality evaluation: `fused@rgb` and so on, for every subset of the modalities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from multimodal_lab.evaluate.encoder import Encoder
from multimodal_lab.types import Batch, Features

FUSED = "fused"


def name(members: Sequence[str]) -> str:
    """`fused@rgb+uv`."""
    return f"{FUSED}@{'+'.join(members)}"


def members(name: str) -> frozenset[str]:
    """The modalities that `fused@…` saw; of no other name, none."""
    head, _, tail = name.partition("@")
    return frozenset(tail.split("+")) if head == FUSED and tail else frozenset()


def on_subsets(system: Encoder, batch: Batch, streams: Sequence[str]) -> dict[str, Features]:
    """`fused` of every proper subset of `streams`, the others masked as missing; 2^M - 2 passes."""
    found = {}
    for size in range(1, len(streams)):
        for own in combinations(streams, size):
            present = {k: rows if k in own else rows & False for k, rows in batch.present.items()}
            found[name(own)] = system.encode(batch.replace(present=present))[0][FUSED]
    return found
