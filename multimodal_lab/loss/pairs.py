"""Full pairwise similarity matrices, for losses that mine pairs or score each pair."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from multimodal_lab.loss.contrastive import Rows
from multimodal_lab.loss.precision import matmul


class Pairs(NamedTuple):
    """Rows against rows: cosine (N, M), positive and negative (N, M) bool; a pair with a missing row is neither."""

    cosine: Tensor
    positive: Tensor
    negative: Tensor


def compare(a: Rows, b: Rows) -> Pairs:
    """Cosine of every row of a (N) with every row of b (M)."""
    seen = a.present[:, None] & b.present
    same = a.ids[:, None] == b.ids
    return Pairs(matmul(a.unit, b.unit.T), seen & same, seen & ~same)
