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

    Entry e says that row `row[e]` holds item `item[e]`, both (E,). own: whether each row holds one item of its own. told:
    whether the data, or `data.items`, say which rows hold the same, as they do of files.
    """

    x: Tensor
    home: np.ndarray
    row: np.ndarray
    item: np.ndarray
    own: bool
    text: np.ndarray
    told: bool


def gallery(e: Embeddings, name: str, rows: np.ndarray, projected: bool) -> Gallery:
    """The items of `name` in `rows` (N,) bool, in the space of its projection head if `projected`, in the order of the table.

    Items are the same where the data say so (`Embeddings.items`), texts where they are one and the same text; all else is
    each row's own.
    """
    at, told = np.flatnonzero(rows), name in e.items
    held = e.held(name)
    item = pd.factorize(np.arange(len(at)) if held is None else held[at])[0]
    row, text = at, np.zeros(len(at), dtype=np.int64)
    more = (e.others_projected if projected else e.others).get(name)
    if more is not None:
        where, which = np.nonzero(np.isfinite(more).all(2) & rows[:, None])
        row, text = np.concatenate([at, where]), np.concatenate([text, which + 1])
        if name in e.text_ids and not told:
            item = pd.factorize(np.concatenate([e.text_ids[name][at, 0], e.text_ids[name][where, which + 1]]))[0]
        else:
            item = np.concatenate([item, item.max(initial=-1) + 1 + np.arange(len(where))])
    first = np.unique(item, return_index=True)[1]
    x = e.space(name, projected)[row[first]]
    if more is not None and (later := text[first] > 0).any():
        x[later] = more[row[first][later], text[first][later] - 1]
    # unit rows are made on the CPU: with them, ranks are the same on any device
    unit = F.normalize(torch.as_tensor(x).float(), dim=1).to(e.device)
    own = len(first) == len(at) == len(row) and not told
    return Gallery(unit, row[first], row, item, own, text[first], told)


def pairs(a: Gallery, b: Gallery, same: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
    """(P,) items of a and (P,) of b: every two that some row holds together.

    same (N,): equal where rows show one thing, which then count as one row, unless the data say of a or of b what rows hold.
    """
    home = same if same is not None and not (a.told or b.told) else None
    ours, theirs = (pd.DataFrame({"row": g.row if home is None else home[g.row], "item": g.item}) for g in (a, b))
    both = ours.drop_duplicates().merge(theirs.drop_duplicates(), on="row")
    query, key = (torch.as_tensor(both[k].to_numpy(copy=True)).to(a.x.device) for k in ("item_x", "item_y"))
    return query, key
