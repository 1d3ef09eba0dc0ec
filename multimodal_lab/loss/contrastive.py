"""InfoNCE: positives are the rows of the same id, negatives all other rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from multimodal_lab.bounds import Positive
from multimodal_lab.device import distributed
from multimodal_lab.device.compiler import opaque
from multimodal_lab.loss.precision import LOW
from multimodal_lab.loss.streams import equal

FEW, FEW_ACCELERATED = 2**17, 2**22
"""Pairs of rows, of all ranks, that one matrix may hold, on a CPU and on an accelerator; more go through `softmax`'s tiles."""


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
    of both; with no anchor it is 0 with a graph. ContrastiveRows of all DDP ranks take part, with gradient; each rank brings as
    many.

    ids_a (N,), ids_b (M,), -1 for a row of no class (`own_class`), or (N, K), (M, K): equal in any column (`pair_ids`);
    temperature a number > 0 or a 0-d tensor, which gets a gradient; present_* (N,), (M,) bool, rows to leave out altogether;
    exclude_self for b = a: row i is never compared with row i. Computed in float32 or wider; a second derivative is refused.
    With unique ids and present rows this is CLIP's loss (Radford 2021, figure 3).
    """
    if exclude_self:
        _same(ids_a, ids_b)
    ids_a, ids_b = own_class(a, ids_a), own_class(b, ids_b)
    scale = 1 / checked(temperature)
    if few(a, b):
        loss: Tensor = _whole((a, ids_a, present_a), (b, ids_b, present_b), scale, exclude_self)
        return loss
    # imported here: its nine modules are not loaded where batches are small, as most are
    from multimodal_lab.loss.tiled import softmax

    return softmax.info_nce(a, b, ids_a, ids_b, scale, present_a, present_b, exclude_self)


def nt_xent(
    z: Tensor,
    ids: Tensor,
    temperature: Positive | Tensor,
    present: Tensor | None = None,
    *,
    decoupled: bool = False,
) -> Tensor:
    """NT-Xent (Chen 2020, eq. 1) over views stacked along N: a scalar.

    z (N, D); ids (N,), equal for the views of one sample; present (N,) bool. Equal to `info_nce` of z with itself and
    `exclude_self`: both directions are the same there, so one is computed. decoupled leaves positives out of the
    denominator (Yeh 2022, eq. 6).
    """
    ids = own_class(z, ids)
    scale = 1 / checked(temperature)
    if few(z, z):
        given = (z, ids, present)
        loss: Tensor = _whole(given, given, scale, exclude_self=True, decoupled=decoupled, ways=(1,))
        return loss
    from multimodal_lab.loss.tiled import softmax  # see `info_nce`

    return softmax.nt_xent(z, ids, scale, present, decoupled)


def few(a: Tensor, b: Tensor) -> bool:
    """Whether the full matrix of all pairs of rows of a (N, D) and b (M, D), of all ranks, is small; the same on every rank."""
    # On one CPU thread the matrix takes 0.9 of the tiles' time at 256 x 256 pairs, as much at 384 x 384, and 1.4 at 512 x
    # 512: beyond 2^17 pairs it leaves the core's cache. On an H200 a matrix took half the tiles' time up to 4,096 x 4,096;
    # at 2,048 x 2,048 the copies of it that a step holds at once stay near 100 MB.
    return len(a) * len(b) * distributed.world() ** 2 <= (FEW if a.is_cpu else FEW_ACCELERATED)


class ContrastiveRows(NamedTuple):
    """Normalised rows of every rank: unit (N, D), ids (N,), present (N,) bool; a missing row is zero."""

    unit: Tensor
    ids: Tensor
    present: Tensor


def rows(x: Tensor, ids: Tensor, present: Tensor | None) -> ContrastiveRows:
    """Normalised rows of x (N, D), float32 or wider, gathered with ids and presence over ranks; a zero row stays zero."""
    present = torch.ones(len(ids), dtype=torch.bool, device=ids.device) if present is None else present
    x = torch.where(present[:, None], x.to(torch.promote_types(x.dtype, torch.float32)), 0.0)
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    # Dividing a zero row by a tiny epsilon, as F.normalize does, would multiply its gradient by 1e12.
    unit = x / torch.where(norm > 1e-12, norm, 1.0)
    return ContrastiveRows(distributed.gather(unit), distributed.gather(ids), distributed.gather(present))


Given = tuple[Tensor, Tensor, Tensor | None]


@opaque  # few small operations, and collectives among them
def _whole(
    a: Given,
    b: Given,
    scale: float | Tensor,
    exclude_self: bool,
    decoupled: bool = False,
    ways: Sequence[int] = (1, 0),
) -> Tensor:
    """The loss of rows, ids and presence of both sides by one matrix, the same on every rank."""
    x = rows(*a)
    y = x if a is b else rows(*b)
    hidden = ~(x.present[:, None] & y.present)
    if exclude_self:
        hidden.fill_diagonal_(True)
    positive = equal(x.ids, y.ids) & ~hidden
    with torch.autocast(x.unit.device.type, enabled=False):  # which would multiply in 16 bits
        logits = (x.unit * scale) @ y.unit.T
    value: Tensor = _CrossEntropy.apply(logits, positive, hidden, decoupled, ways)
    return value


class _CrossEntropy(torch.autograd.Function):
    """Mean over anchors of log(sum of exp(logit)) less the mean logit of their positives; the gradient is made with it.

    logits (N, M); positive, hidden (N, M) bool, never both; decoupled leaves positives out of the sum. ways: 1 where rows
    are anchors, 0 where columns are; the value is the mean over ways.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, positive: Tensor, hidden: Tensor, decoupled: bool, ways: Sequence[int]
    ) -> Tensor:
        if not logits.numel():
            ctx.save_for_backward(logits)
            return logits.sum()
        wanted = positive.to(logits.dtype)
        drawn = logits * wanted
        logits = logits.masked_fill(hidden | positive if decoupled else hidden, LOW)
        value, grad = logits.new_zeros(()), torch.zeros_like(logits)
        for way in ways:
            count = wanted.sum(way, keepdim=True)
            top = logits.amax(way, keepdim=True)
            terms = (logits - top).exp_()
            yes = terms * wanted
            # Negatives are summed apart from positives: a small loss is their share, which would drown beside 1.
            negatives, positives = (terms - yes).sum(way, keepdim=True), yes.sum(way, keepdim=True)
            base = top - drawn.sum(way, keepdim=True) / count.clamp(min=1)
            lost = negatives.log() + base
            is_anchor = count > 0
            if decoupled:
                is_anchor &= top > LOW
            else:
                # One positive is its own mean: exactly 0, not the rounding of the log of an exp.
                lost = torch.logaddexp(lost, torch.where(count == 1, 0.0, positives.log() + base))
            weight = is_anchor.to(logits.dtype) / (is_anchor.sum().clamp(min=1) * len(ways))
            value += (torch.where(is_anchor, lost, 0.0) * weight).sum()
            if ctx.needs_input_grad[0]:
                grad.addcmul_(terms, weight / (negatives + positives))
                grad.addcmul_(wanted, weight / count.clamp(min=1), value=-1)
        ctx.save_for_backward(grad)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.saved_tensors[0] * outer[0], None, None, None, None


def own_class(x: Tensor, ids: Tensor) -> Tensor:
    """The ids (N,) or (N, K) of rows x (N, D), -1 (no label) replaced by an id that no other row of any rank has.

    Rows without a label are not of one class: each is its own. Row i of both sides of a pair is one sample, and gets one id.
    `Keyed` does the same by sample, so that the views of an unlabelled sample stay together. Other shapes are a `ValueError`.
    """
    if ids.shape[:1] != x.shape[:1] or ids.ndim > 2:
        raise ValueError(
            f"a contrastive loss needs one id a row, found ids {tuple(ids.shape)} for {tuple(x.shape)} rows"
        )
    first = -2 - len(ids) * distributed.rank() if distributed.active() else -2
    own = torch.arange(first, first - len(ids), -1, device=ids.device, dtype=ids.dtype)
    return torch.where(ids == -1, own.view(-1, *[1] * (ids.ndim - 1)), ids)


def _same(ids_a: Tensor, ids_b: Tensor) -> None:
    message = "exclude_self compares rows with themselves, which have equal ids"
    if len(ids_a) != len(ids_b):
        raise ValueError(f"{message}, found {len(ids_a)} rows against {len(ids_b)}")
    equal = (ids_a == ids_b).all()
    if not ids_a.is_cpu:
        # checked on the device: to read the answer here would wait for it
        torch._assert_async(equal, message)
    elif not equal:
        raise ValueError(f"{message}, found ids {ids_a.tolist()[:4]}… and {ids_b.tolist()[:4]}…")


def checked(temperature: float | Tensor) -> float | Tensor:
    """The temperature; a number <= 0 is a `ValueError` (a tensor is not read: that would stall the device)."""
    if not isinstance(temperature, Tensor) and not temperature > 0:
        raise ValueError(f"temperature must be > 0, found {temperature}")
    return temperature
