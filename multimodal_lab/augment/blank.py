"""What stands where nothing was measured: the stream's fill outside the mask, zero in a missing modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from multimodal_lab.augment.draw import constant
from multimodal_lab.augment.op import RowIndex, holds, on_rows
from multimodal_lab.types import Batch, Stream


def blanked(batch: Batch, images: Sequence[str], streams: Mapping[str, Stream]) -> Batch:
    """Pixels outside the mask hold the fill and missing modalities zero, whatever the ops wrote there."""
    inputs, mask = dict(batch.inputs), batch.mask
    for name in images if mask is not None else ():
        assert mask is not None
        x = inputs[name]
        if mask.shape[-2:] != x.shape[-2:]:
            raise ValueError(
                f"augmentation: the mask is {list(mask.shape[-2:])} pixels and stream {name} is "
                f"{list(x.shape[-2:])}; expected equal sizes, as one mask serves all image streams"
            )
        fill = fill_of(streams[name], x)
        inputs[name] = x * mask if fill is None else torch.where(mask > 0, x, fill)
    for name, x in inputs.items():
        if not x.is_floating_point():
            continue
        there = batch.present[name]
        if holds(x):
            inputs[name] = on_rows(~there, x, partial(_nothing, x))
        else:
            inputs[name] = torch.where(there.view(-1, *[1] * (x.dim() - 1)), x, 0.0)
    return batch.replace(inputs=inputs)


def fill_of(stream: Stream, x: Tensor) -> Tensor | None:
    """What a blank pixel of a stream holds, (1, C, 1, 1) like `x`; None where that is 0."""
    if not stream.fill:
        return None
    return constant((stream.fill,), x.device).to(x.dtype)[..., None, None]


def _nothing(x: Tensor, rows: RowIndex) -> Tensor:
    return torch.zeros_like(x[rows])
