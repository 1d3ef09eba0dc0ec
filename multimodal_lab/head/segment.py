"""Segmentation head: a class or a number for every pixel, from grids of tokens and the finer maps of the backbones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.head.names import known
from multimodal_lab.head.pixels import Norm, places, resized
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Batch, Features


class Segment(nn.Module):
    """Logits (N, K, H, W) of the classes of the map `label`, or numbers (N, 1, H, W) of one without classes, in its unit.

    A feature pyramid (Lin et al. 2017, FPN, section 3): each stream's grid is projected to `width`, and streams are averaged
    over those that a row has, place by place; then, from coarse to fine, the map is doubled and the finer maps of the same
    streams are added to it, where their backbones give such (`levels`). A 1 x 1 convolution speaks at the finest, and what
    it says is brought to the size of the label map bilinearly. `input`: fused or one stream, whose tokens must be a grid;
    null: every stream, which may have grids of different sizes. Everything acts on a place and its neighbours, so that what
    lies far away in a large image changes nothing here. H and W are those of the label map, or, where a batch has none, of
    the largest input image. `classes` {label: K}, `numbers` {label: (mean, std), (1,) each} and `levels` {stream: widths}
    are facts of the data and of the backbones. ValueError for an unknown `label` or `input`, and for tokens that are no grid.
    """

    takes = "streams"
    by_name = False
    per_pixel = True

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        dims: dict[str, int],
        classes: dict[str, int],
        numbers: dict[str, tuple[Tensor, Tensor]] | None = None,
        levels: Mapping[str, tuple[int, ...]] | None = None,
        *,
        label: str,
        input: str | None = None,
        width: Count = 64,
        finer: Literal["levels", "none"] = "levels",
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        self.label, self.input = label, None if input is None else known("head=segment: input", input, dims)
        streams = [name for name in dims if name != "fused"]
        self.names = streams if input is None else [input]
        self.count = classes[known("head=segment: label", label, classes)]
        if not self.count and label not in (numbers or {}):
            raise ValueError(
                f"head=segment: label={label} has no classes and no numbers; {expected_one_of(label, classes)}"
            )
        mean, std = (torch.zeros(1), torch.ones(1)) if self.count else (numbers or {})[label]
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))
        self.project = nn.ModuleDict({name: nn.Linear(dims[name], width) for name in self.names})
        widths = {n: (levels or {}).get(n, ()) if finer == "levels" else () for n in self._of(streams)}
        self.reads_levels = tuple(name for name, own in widths.items() if own)
        self.lateral = nn.ModuleDict(
            {name: nn.ModuleList(nn.Conv2d(w, width, 1) for w in widths[name]) for name in self.reads_levels}
        )
        depth = max(map(len, widths.values()), default=0)
        self.mix = nn.ModuleList(
            nn.Sequential(Norm(width), nn.Conv2d(width, width, 3, padding=1), nn.GELU()) for _ in range(depth + 1)
        )
        self.say = nn.Sequential(Norm(width), nn.Dropout2d(dropout), nn.Conv2d(width, self.count or 1, 1))

    def _of(self, streams: list[str]) -> list[str]:
        """The streams whose finer maps are read: those that the input is made of."""
        return self.names if self.input in streams else streams

    def forward(self, features: Mapping[str, Features], batch: Batch) -> Tensor:
        """Features to (N, K, H, W) or (N, 1, H, W), in float32 or wider; a row without any stream gives what zero gives."""
        here = {name: places(features[name], self.project[name], name) for name in self.names}
        x = self._average(here, features)
        x = x + self.mix[0](x)
        for i, block in enumerate(self.mix[1:], 1):
            finer = {}
            for name in self.reads_levels:
                own, laterals = features[name].levels, list(cast(nn.ModuleList, self.lateral[name]))
                if len(own) != len(laterals):
                    raise ValueError(
                        f"head=segment reads {len(laterals)} finer maps of stream {name}, and its features hold {len(own)}; "
                        "set head.finer=none"
                    )
                if i <= len(own):
                    finer[name] = laterals[-i](own[-i])
            fine = self._average(finer, features)
            x = resized(x, fine.shape[-2:]) + fine
            x = x + block(x)
        said = self.say(x)
        said = said.to(torch.promote_types(said.dtype, torch.float32))
        size = self._size(batch)
        said = said if size is None else resized(said, size)
        return said if self.count else self.mean + self.std * said

    def _average(self, maps: Mapping[str, Tensor], features: Mapping[str, Features]) -> Tensor:
        """The mean over the streams that a row has, at the size of the finest; 0 where it has none."""
        size = max((x.shape[-2:] for x in maps.values()), key=lambda s: s[0] * s[1])
        there = torch.stack([features[name].present for name in maps], 1)
        parts = torch.stack([resized(x, size) for x in maps.values()], 1)
        parts = torch.where(there[..., None, None, None], parts, parts.new_zeros(()))
        return parts.sum(1) / there.sum(1).clamp(min=1).view(-1, 1, 1, 1)

    def _size(self, batch: Batch) -> tuple[int, int] | None:
        """Height and width of what is to be told; None in a batch without images."""
        target = batch.targets.get(self.label)
        sizes = [x.shape[-2:] for x in batch.inputs.values() if x.ndim >= 4]
        if target is not None and target.ndim == 3:
            sizes = [target.shape[-2:]]
        height, width = max(sizes, key=lambda s: s[0] * s[1], default=(0, 0))
        return (int(height), int(width)) if height else None
