"""Which rows are positives: those of one id, and those that hold one and the same text."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from multimodal_lab.types import Batch

TextIds = Mapping[str, Tensor] | None


def pair_ids(ids: Tensor, text_ids: TextIds, *names: str) -> Tensor:
    """What two rows are compared by in these streams, (N,) or (N, K): positives are equal in any column.

    text_ids {stream: (N, K)}, of streams of text: all that `ids` say, and the text, as `Keyed` gives them; None: by ids alone. So
    a text that several images hold is right for each of them, and never the negative of one.
    """
    columns = [text_ids[name] for name in dict.fromkeys(names) if name in text_ids] if text_ids else []
    if not columns:
        return ids
    found = torch.cat(columns, 1)
    return found[:, 0] if found.shape[1] == 1 else found


def equal(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) bool: which rows of a (N,) or (N, K) and b (M,) or (M, K) are equal in any column."""
    if a.ndim == 1:
        return a[:, None] == b
    found = a[:, :1] == b[:, 0]
    for column in range(1, a.shape[1]):
        found |= a[:, column, None] == b[:, column]
    return found


def as_judged(batch: Batch) -> Batch:
    """The batch as losses see it: ids (N,) of what rows show, and text_ids (N, K), which say that, too, and the text."""
    # one sample has one text in all its views, so that the text says all that its id does; captions of one image differ
    ids = [] if batch.same is None else [batch.same[:, None]]
    text_ids = {name: torch.cat([x[:, :1], *ids], 1) for name, x in batch.text_ids.items()}
    return batch.replace(ids=batch.ids if batch.same is None else batch.same, text_ids=text_ids)
