"""Blank pixels and steps: the fill outside the mask, the mean in a padded step, zero in a missing stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from multimodal_lab.augment.draw import constant
from multimodal_lab.augment.op import RowIndex, holds, on_rows
from multimodal_lab.types import Batch, Stream


def blanked(batch: Batch, images: Sequence[str], streams: Mapping[str, Stream]) -> Batch:
    """Pixels outside the mask hold the fill, steps that are not valid the mean, missing modalities zero, whatever ops wrote."""
    inputs, mask = dict(batch.inputs), batch.mask
    valid = {name: real & batch.present[name][:, None] for name, real in batch.valid.items()}
    for name in images if mask is not None else ():
        assert mask is not None
        x = inputs[name]
        fill, shown = fill_of(streams[name], x), _of_size(mask, x)
        shown = shown if x.dim() == 4 else shown[:, :, None]
        inputs[name] = x * shown if fill is None else torch.where(shown > 0, x, fill)
    for name, real in valid.items():
        x = inputs[name]
        mean = _per_band(streams[name].mean or (0.0,), x)
        inputs[name] = torch.where(real.reshape(len(x), 1, -1, *[1] * (x.dim() - 3)), x, mean)
    for name, x in inputs.items():
        if not x.is_floating_point():
            continue
        there = batch.present[name]
        if holds(x):
            inputs[name] = on_rows(~there, x, partial(_nothing, x))
        else:
            inputs[name] = torch.where(there.view(-1, *[1] * (x.dim() - 1)), x, 0.0)
    return batch.replace(inputs=inputs, valid=valid)


def fill_of(stream: Stream, x: Tensor) -> Tensor | None:
    """What a blank pixel of a stream holds, (1, C, 1, …) like `x`; None where that is 0."""
    return _per_band(stream.fill, x) if stream.fill else None


def _per_band(values: tuple[float, ...], x: Tensor) -> Tensor:
    return constant((values,), x.device).to(x.dtype).reshape(1, -1, *[1] * (x.dim() - 2))


def _nothing(x: Tensor, rows: RowIndex) -> Tensor:
    return torch.zeros_like(x[rows])


def _of_size(mask: Tensor, x: Tensor) -> Tensor:
    """The mask (N, 1, H, W) at the size of `x`: of streams of several sizes, which show the same, it is of the largest."""
    return mask if mask.shape[-2:] == x.shape[-2:] else functional.interpolate(mask, x.shape[-2:], mode="nearest-exact")
