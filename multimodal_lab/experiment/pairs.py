"""Refuse a loss between two streams that no training sample holds together: its term would be 0 at every step."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from multimodal_lab.config.rules.pairs import compared, given
from multimodal_lab.data.split.hashing import permutation

FIRST = 4  # samples that are looked at first: where none lacks a stream, that is all


def require_pairs(plain: dict[str, Any], data: Any) -> None:
    """`ValueError` for a pair of streams that a loss compares and that no sample of the training split holds both of.

    plain: the config. data: `Prepared`. Samples are read, in an order of chance, until each pair was seen; several that show one
    thing, such as captions of one image, count as one.
    """
    asked = list(compared(plain))
    train = data.splits.get("train", np.arange(0))
    if not asked or not len(train):
        return
    unseen = {pair for _, _, pairs in asked for pair in pairs}
    have: dict[str, set[int]] = {name: set() for name in data.streams}
    order, first, count = train[permutation(data.ids[train], 0, 0)], 0, FIRST
    while unseen and first < len(order):
        batch = data.batch(order[first : first + count])
        ids = (batch.ids if batch.same is None else batch.same).tolist()
        for name, known in have.items():
            known |= {i for i, there in zip(ids, batch.present[name].tolist()) if there}
        unseen = {(a, b) for a, b in unseen if have[a].isdisjoint(have[b])}
        first, count = first + count, min(2 * count, data.batch_size)
    for key, node, pairs in asked:
        for a, b in pairs:
            if (a, b) in unseen:
                raise ValueError(
                    f"{key}: no training sample holds both {a} and {b}, so that this pair has nothing to learn from; "
                    + _cure(key, node, have, a, b)
                )


def _cure(key: str, node: dict[str, Any], have: dict[str, set[int]], a: str, b: str) -> str:
    """A hub that has samples with every other stream, or else to leave the pair, or the stream, out."""
    places = given(key, node)[0]
    met = [pair for pair in combinations(have, 2) if not have[pair[0]].isdisjoint(have[pair[1]])]
    hubs = [h for h in have if sum(h in pair for pair in met) == len(have) - 1]
    if places and hubs:
        return f"{places['hub']}={hubs[0]} compares the others with {hubs[0]} alone"
    if places and len(have) > 2:
        return f"'{places['pair_weights']}={{{a}-{b}: 0}}' leaves it out"
    return f"leave a stream out: ~modality.{b}"
