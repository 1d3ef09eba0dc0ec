"""Full pairwise similarity matrices, for losses that mine pairs or score each pair."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from multimodal_lab.loss.contrastive import ContrastiveRows
from multimodal_lab.loss.precision import matmul
from multimodal_lab.loss.streams import equal


class PairMatrix(NamedTuple):
    """Rows against rows: cosine (N, M), positive and negative (N, M) bool; a pair with a missing row is neither."""

    cosine: Tensor
    positive: Tensor
    negative: Tensor


def compare(a: ContrastiveRows, b: ContrastiveRows) -> PairMatrix:
    """Cosine of every row of a (N) with every row of b (M)."""
    seen = a.present[:, None] & b.present
    same = equal(a.ids, b.ids)
    return PairMatrix(matmul(a.unit, b.unit.T), seen & same, seen & ~same)
