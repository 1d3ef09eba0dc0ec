"""Every row against every row as whole matrices, for losses that mine pairs; the tiled ones need none (see `tiles`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from multimodal_lab import dist
from multimodal_lab.loss.exact import matmul, wide
from multimodal_lab.loss.side import one_id_a_row


class Rows(NamedTuple):
    """Unit rows of every rank: unit (N, D), ids (N,), present (N,) bool; a missing row is zero."""

    unit: Tensor
    ids: Tensor
    present: Tensor


class Pairs(NamedTuple):
    """Rows against rows: cosine (N, M), positive and negative (N, M) bool; a pair with a missing row is neither."""

    cosine: Tensor
    positive: Tensor
    negative: Tensor


def rows(x: Tensor, ids: Tensor, present: Tensor) -> Rows:
    """Unit rows of x (N, D), gathered with ids and presence over ranks; a zero row stays zero, gradient finite."""
    one_id_a_row(x, ids)
    x = torch.where(present[:, None], wide(x), 0.0)
    norm = x.norm(dim=1, keepdim=True)
    # Dividing a zero row by a tiny epsilon, as F.normalize does, would multiply its gradient by 1e12.
    unit = x / torch.where(norm > 1e-12, norm, 1.0)
    return Rows(dist.gather(unit), dist.gather(ids), dist.gather(present))


def compare(a: Rows, b: Rows) -> Pairs:
    """Cosine of every row of a (N) with every row of b (M)."""
    seen = a.present[:, None] & b.present
    same = a.ids[:, None] == b.ids
    return Pairs(matmul(a.unit, b.unit.T), seen & same, seen & ~same)
