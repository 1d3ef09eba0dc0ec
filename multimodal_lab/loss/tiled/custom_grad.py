"""autograd.Function whose gradients are computed in the forward pass, together with the value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from multimodal_lab.device.compiler import opaque


class _Made(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, grads: Sequence[Tensor], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*grads)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(outer[0].to(g.dtype) * g for g in ctx.saved_tensors)


def made(compute: Callable[[bool], tuple[Tensor, Sequence[Tensor]]], *inputs: float | Tensor) -> Tensor:
    """The value of `compute(wanted)`, differentiable with respect to those of `inputs` that are tensors.

    compute runs without a graph and in its inputs' own precision, whatever the autocast; it returns a scalar and, where
    `wanted`, one gradient an input, of its shape. A second derivative is refused.
    """
    result: Tensor = _made(compute, inputs)
    return result


@opaque  # a Python loop over tiles, which tracing would unroll
def _made(compute: Callable[[bool], tuple[Tensor, Sequence[Tensor]]], inputs: Sequence[float | Tensor]) -> Tensor:
    leaves = [x for x in inputs if isinstance(x, Tensor)]
    wanted = torch.is_grad_enabled() and any(x.requires_grad for x in leaves)
    with torch.no_grad(), torch.autocast(leaves[0].device.type, enabled=False):
        value, grads = compute(wanted)
    if not wanted:
        return value
    pairs = [(g.to(x.dtype), x) for g, x in zip(grads, inputs, strict=True) if isinstance(x, Tensor)]
    result: Tensor = _Made.apply(value, [g for g, _ in pairs], *(x for _, x in pairs))
    return result
