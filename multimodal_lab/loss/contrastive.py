"""The contrastive kernel: symmetric InfoNCE between any two sets of rows; positives are the rows with equal ids."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab import dist
from multimodal_lab.bounds import Positive
from multimodal_lab.loss.exact import matmul, mean_where, wide


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


def rows(x: Tensor, ids: Tensor, present: Tensor | None = None) -> Rows:
    """Unit rows of x (N, D), gathered with ids and presence over ranks; a zero row stays zero, gradient finite."""
    if ids.shape != x.shape[:1]:
        raise ValueError(
            f"a contrastive loss needs one id a row, found ids {tuple(ids.shape)} for {tuple(x.shape)} rows"
        )
    if present is None:
        present = torch.ones_like(ids, dtype=torch.bool)
    x = torch.where(present[:, None], wide(x), 0.0)
    norm = x.norm(dim=1, keepdim=True)
    # Dividing a zero row by a tiny epsilon, as F.normalize does, would multiply its gradient by 1e12.
    unit = x / torch.where(norm > 1e-12, norm, 1.0)
    return Rows(dist.gather(unit), dist.gather(ids), dist.gather(present))


def compare(a: Rows, b: Rows, exclude_self: bool = False) -> Pairs:
    """Cosine of every row of a (N) with every row of b (M); `exclude_self` takes the diagonal out of both masks."""
    seen = a.present[:, None] & b.present
    if exclude_self:
        if len(a.ids) != len(b.ids):
            raise ValueError(
                f"exclude_self compares rows with themselves, found {len(a.ids)} rows against {len(b.ids)}"
            )
        seen = seen & ~torch.eye(len(a.ids), dtype=torch.bool, device=seen.device)
    same = a.ids[:, None] == b.ids
    return Pairs(matmul(a.unit, b.unit.T), seen & same, seen & ~same)


def log_p(logits: Tensor, keep: Tensor) -> Tensor:
    """Row-wise log softmax of (N, M) logits over the `keep` columns; elsewhere a large negative number, never NaN."""
    # The lowest finite number and not -inf: a row with nothing to keep stays finite, forward and backward.
    return F.log_softmax(logits.masked_fill(~keep, torch.finfo(logits.dtype).min), dim=1)


def mean_positive(values: Tensor, positive: Tensor) -> Tensor:
    """(N,): the mean of (N, M) values over each row's positives; 0 for a row without one."""
    return torch.where(positive, values, 0.0).sum(1) / positive.sum(1).clamp(min=1)


def _one_way(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    lost = -mean_positive(log_p(logits, positive | negative), positive)
    return mean_where(lost, positive.any(1))


def info_nce(
    a: Tensor,
    b: Tensor,
    ids_a: Tensor,
    ids_b: Tensor,
    temperature: Positive | Tensor,
    *,
    present_a: Tensor | None = None,
    present_b: Tensor | None = None,
    exclude_self: bool = False,
) -> Tensor:
    """Symmetric InfoNCE between rows of a (N, D) and b (M, D), positives where ids are equal: a scalar.

    A row with several positives takes the mean of -log p over them (Khosla 2020, eq. 2, the sum outside the log); a
    row with none is no anchor but stays a negative. Each direction is the mean over its anchors, the value the mean
    of both; with no anchor it is 0 with a graph. Rows of all DDP ranks take part, with gradient (each rank brings as
    many).

    ids_a (N,), ids_b (M,); temperature a number > 0 or a 0-d tensor, which gets a gradient; present_* (N,), (M,)
    bool, rows to leave out altogether; exclude_self for b = a: row i is never compared with row i. Computed in
    float32 or wider. With unique ids and present rows this is CLIP's loss (Radford 2021, figure 3).
    """
    pairs = compare(rows(a, ids_a, present_a), rows(b, ids_b, present_b), exclude_self)
    logits = pairs.cosine / checked(temperature)
    there = _one_way(logits, pairs.positive, pairs.negative)
    back = _one_way(logits.T, pairs.positive.T, pairs.negative.T)
    return (there + back) / 2


def nt_xent(z: Tensor, ids: Tensor, temperature: Positive | Tensor, present: Tensor | None = None) -> Tensor:
    """NT-Xent (Chen 2020, eq. 1) over views stacked along N: a scalar.

    z (N, D); ids (N,), equal for the views of one sample; present (N,) bool. Equal to `info_nce` of z with itself and
    `exclude_self`: both directions are the same there, so one is computed.
    """
    own = rows(z, ids, present)
    pairs = compare(own, own, exclude_self=True)
    return _one_way(pairs.cosine / checked(temperature), pairs.positive, pairs.negative)


def checked(temperature: float | Tensor) -> float | Tensor:
    """The temperature; a number <= 0 is a `ValueError` (a tensor is not read: that would stall the device)."""
    if not isinstance(temperature, Tensor) and not temperature > 0:
        raise ValueError(f"temperature must be > 0, found {temperature}")
    return temperature
