"""A tile's work on an accelerator as compiled functions: each reads the logits a few times instead of a dozen.

The functions below are what is computed, in plain PyTorch; `compiled` hands them to torch.compile, which makes Triton kernels of
them on a GPU. Where that can't be had (no compiler on the machine), they run as they stand, and say so once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.loss.sums import along
from multimodal_lab.loss.tiles import LOW, Part

BACKEND = "inductor"


class Seen(NamedTuple):
    """What a tile adds to the sums of its anchors, each (m,): the largest logit so far, and what `Sums` keeps."""

    shift: Tensor
    negative: Tensor
    positive: Tensor
    drawn: Tensor
    number: Tensor


def first(
    logits: Tensor, a: Part, b: Part, shift_a: Tensor, shift_b: Tensor | None, itself: bool, decoupled: bool
) -> tuple[Seen, Seen | None]:
    """What a tile of logits (m, n) tells the anchors of its rows and, with shift_b (n,), of its columns.

    itself: a row is hidden from itself. decoupled: positives stand in no denominator.
    """
    positive, hidden = _pairs(a, b, itself)
    logits = torch.where(hidden, LOW, logits)
    rows = _way(logits, positive, shift_a, 1, decoupled)
    return rows, None if shift_b is None else _way(logits, positive, shift_b, 0, decoupled)


def second(
    logits: Tensor,
    a: Part,
    b: Part,
    rows: tuple[Tensor, ...],
    columns: tuple[Tensor, ...],
    itself: bool,
    decoupled: bool,
    dtype: torch.dtype,
) -> Tensor:
    """The loss's derivative by each logit (m, n), in dtype; rows and columns: shift, factor and push of `softmax.Anchors`."""
    positive, hidden = _pairs(a, b, itself)
    logits = torch.where(hidden | positive if decoupled else hidden, LOW, logits)
    there = (logits - rows[0][:, None]).exp() * rows[1][:, None]
    back = (logits - columns[0]).exp() * columns[1]
    return (there + back - torch.where(positive, rows[2][:, None] + columns[2], 0.0)).to(dtype)


def sigmoid(
    logits: Tensor, a: Part, b: Part, bias: float | Tensor, lift: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """A tile of SigLIP's logits (m, n) without their bias: for each row its log sigmoids and its loss's derivatives by
    the logits, summed, (m,); the derivatives (m, n), times `lift`, in dtype."""
    positive, hidden = _pairs(a, b, itself=False)
    asked = torch.where(positive, -(logits + bias), logits + bias)
    kept = torch.where(hidden, 0.0, F.logsigmoid(-asked))
    share = torch.where(hidden, 0.0, asked.sigmoid())
    pushed = torch.where(positive, -share, share)
    return kept.sum(1), pushed.sum(1), (pushed * lift).to(dtype)


def _pairs(a: Part, b: Part, itself: bool) -> tuple[Tensor, Tensor]:
    hidden = ~(a.seen[:, None] & b.seen)
    if itself:
        hidden = hidden | (a.place[:, None] == b.place)
    return (a.ids[:, None] == b.ids) & ~hidden, hidden


def _way(logits: Tensor, positive: Tensor, shift: Tensor, dim: int, decoupled: bool) -> Seen:
    drawn = torch.where(positive, logits, 0.0).sum(dim)
    if decoupled:
        logits = torch.where(positive, LOW, logits)
    peak = torch.maximum(shift, logits.amax(dim))
    terms = (logits - along(peak, dim)).exp()
    yes, no = torch.where(positive, terms, 0.0).sum(dim), torch.where(positive, 0.0, terms).sum(dim)
    return Seen(peak, no, yes, drawn, positive.sum(dim).to(logits.dtype))


@lru_cache(maxsize=8)
def compiled(function: Callable[..., Any], backend: str | None = None) -> Callable[..., Any]:
    """`function` compiled at its first call; as it stands where it can't be."""
    made: Callable[..., Any] = torch.compile(function, backend=backend or BACKEND)
    broken = False

    def call(*arguments: Any) -> Any:
        nonlocal broken
        if broken:
            return function(*arguments)
        try:
            return made(*arguments)
        except torch._dynamo.exc.TorchDynamoException as error:
            broken = True
            warnings.warn(f"loss.fused: not compiled, slower ({str(error).splitlines()[0]})", stacklevel=2)
            return function(*arguments)

    return call
