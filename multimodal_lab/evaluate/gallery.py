"""What retrieval ranks of one name: each item once, whatever number of rows holds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.evaluate.embeddings import Embeddings


@dataclass(frozen=True)
class Gallery:
    """x (M, D) unit rows, one an item; home (M,): the first row of the table that holds it; text (M,): which of its texts it is.

    Entry e says that row `row[e]` holds item `item[e]`, both (E,). own: whether each row holds one item of its own.
    """

    x: Tensor
    home: np.ndarray
    row: np.ndarray
    item: np.ndarray
    own: bool
    text: np.ndarray


def gallery(e: Embeddings, name: str, rows: np.ndarray, projected: bool) -> Gallery:
    """The items of `name` in `rows` (N,) bool, in the space of its projection head if `projected`."""
    at = np.flatnonzero(rows)
    held = e.items.get(name, np.arange(len(e)))[at]
    _, first, item = np.unique(held, return_index=True, return_inverse=True)
    x, home, row, text = e.space(name, projected)[at[first]], at[first], at, np.zeros(len(first), dtype=np.int64)
    more = (e.others_projected if projected else e.others).get(name)
    if more is not None:
        where, which = np.nonzero(np.isfinite(more).all(2) & rows[:, None])
        item = np.concatenate([item, len(x) + np.arange(len(where))])
        x = np.concatenate([x, more[where, which]])
        home, row, text = (np.concatenate(two) for two in ((home, where), (row, where), (text, which + 1)))
    # unit rows are made on the CPU: with them, ranks are the same on any device
    unit = F.normalize(torch.as_tensor(x).float(), dim=1).to(e.device)
    return Gallery(unit, home, row, item, len(x) == len(at) and name not in e.items, text)


def pairs(a: Gallery, b: Gallery) -> tuple[Tensor, Tensor]:
    """(P,) items of a and (P,) of b: every two that some row holds together."""
    ours, theirs = (pd.DataFrame({"row": g.row, "item": g.item}) for g in (a, b))
    both = ours.merge(theirs, on="row")
    query, key = (torch.as_tensor(both[k].to_numpy(copy=True)).to(a.x.device) for k in ("item_x", "item_y"))
    return query, key
