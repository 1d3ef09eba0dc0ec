"""Embeddings put together: the rows of two splits, and the vectors of all streams of a sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from multimodal_lab.evaluate.embeddings import Embeddings

JOINED = "joined"


def both(first: Embeddings, second: Embeddings) -> Embeddings:
    """The rows of two splits, those of the first first: what a probe is fitted on."""

    def rows(name: str) -> dict[str, np.ndarray]:
        one, other = getattr(first, name), getattr(second, name)
        return {k: np.concatenate([v, other[k]]) for k, v in one.items()}

    return replace(
        first, vectors=rows("vectors"), present=rows("present"), targets=rows("targets"), ids=[*first.ids, *second.ids],
        groups=np.concatenate([first.groups, second.groups]), split=np.concatenate([first.split, second.split]),
    )  # fmt: skip


def streams_joined(e: Embeddings) -> Embeddings:
    """The same with `joined`, the vectors of all streams side by side (N, sum of widths), of rows that have every stream.

    As it is where something is fused, or there is one stream.
    """
    names = [name for name in e.vectors if "@" not in name]
    if "fused" in names or len(names) < 2:
        return e
    vectors = np.concatenate([e.vectors[name] for name in names], 1)
    present = np.logical_and.reduce([e.present[name] for name in names])
    return replace(e, vectors={**e.vectors, JOINED: vectors}, present={**e.present, JOINED: present})
