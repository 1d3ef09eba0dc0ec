"""Maps under augmentation: targets that hold a value for every pixel go wherever the pixels go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from multimodal_lab.augment.batchwise import Batchwise


def read_map(x: Tensor, read: Callable[[Tensor, str], Tensor]) -> Tensor:
    """A map (N, H, W) read to the nearest pixel; outside the frame its class is -1, its number NaN."""
    if not x.is_floating_point():
        # one more, as `read` gives 0 outside; float32 holds every class below 2^24 exactly
        return read((x + 1).float()[:, None], "nearest")[:, 0].long() - 1
    known = torch.isfinite(x)
    values, seen = read(torch.stack([torch.where(known, x, 0), known.to(x.dtype)], 1), "nearest").unbind(1)
    return torch.where(seen > 0.5, values, torch.nan)


def refuse_mixing(maps: Collection[str], ops: Mapping[str, Batchwise]) -> Collection[str]:
    """`maps`; `ValueError` for one beside an op that makes one sample of two."""
    for name in (name for name, op in ops.items() if maps and op.adds_targets):
        raise ValueError(
            f"augment.ops.{name} makes one sample of two, and the map {next(iter(maps))} has one class a pixel; remove it "
            f"(~augment.ops.{name})"
        )
    return maps
