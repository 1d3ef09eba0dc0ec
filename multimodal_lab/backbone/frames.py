"""Any image backbone applied to every frame of a video, then pooled over time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.head_of_places import running_statistics_kept
from multimodal_lab.backbone.inner import require_one_stream, told
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.over_time import Pool, over_time
from multimodal_lab.bounds import Count
from multimodal_lab.build import build
from multimodal_lab.types import Band, Features, Stream


class Frames(nn.Module):
    """The image backbone `image` sees every real frame as an image; `pool` makes one vector of theirs, see `over_time`.

    What is padded, lies in a gap or belongs to a missing row is never shown to it, so that no batch norm counts it.
    differences: bands beside those of a frame hold what has changed since the frame before, 0 where that is not real (the
    stacked differences of Wang et al. 2016, TSN, section 3.2). chunk: how many frames it sees at a time; in training each
    chunk is computed again in the backward pass, so that memory holds one, and batch norms take their statistics in it.
    """

    kinds = ("image",)
    steps = True

    image: Any  # a backbone of images

    def __init__(
        self,
        stream: Stream,
        *,
        image: Callable[..., nn.Module],
        pool: Pool = "mean",
        differences: bool = False,
        chunk: Count | None = None,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        require_one_stream(image)
        self.image = build(image, stream=_of_frame(stream, differences))
        self.dim = int(self.image.dim)
        self.scalars: dict[str, float] = getattr(self.image, "scalars", {})
        self.time = over_time(pool, self.dim)
        self.differences, self.chunk = differences, chunk
        if freeze:
            freeze_module(self)

    @staticmethod
    def require_possible(image: Any, size: int | None, **_: Any) -> None:
        """`ValueError` for what reads no single image stream, and for what the image backbone refuses."""
        require_one_stream(image, size)

    @staticmethod
    def normalisation(image: Any, **_: Any) -> dict[str, Any]:
        """What the weights of the image backbone were trained to be normalised by."""
        return told(image, "normalisation", "normalise")

    @staticmethod
    def resizing(image: Any, **_: Any) -> dict[str, Any]:
        """How images of the weights of the image backbone were resized."""
        return told(image, "resizing", "resize")

    def forward(self, x: Tensor, valid: Tensor) -> Features:
        """x (N, C, T, H, W) and valid (N, T) bool to a token a frame (N, T, D), 0 where not valid, and pooled (N, D)."""
        frames = x.transpose(1, 2)
        if self.differences:
            before, both = frames.roll(1, 1), valid & valid.roll(1, 1)
            both = both & (torch.arange(len(both[0]), device=x.device) > 0)
            change = torch.where(both[..., None, None, None], frames - before, x.new_zeros(()))
            frames = torch.cat([frames, change], 2)
        real = frames[valid]
        if len(real):
            found = self._seen(real)
        else:  # empty ones, two as batch norm asks: all parameters must have a gradient, for which other ranks wait
            with running_statistics_kept([self.image]):
                found = self._pooled(frames.new_zeros(2, *frames.shape[2:]))
        tokens = found.new_zeros(*valid.shape, self.dim)
        tokens = tokens.masked_scatter(valid[..., None], found) if len(real) else tokens + 0 * found.sum()
        pooled: Features = self.time(tokens, valid)
        return pooled

    def _seen(self, frames: Tensor) -> Tensor:
        """(M, C, H, W) to the vectors of the image backbone (M, D), `chunk` at a time."""
        if self.chunk is None or len(frames) <= self.chunk:
            return self._pooled(frames)
        trains = torch.is_grad_enabled() and any(p.requires_grad for p in self.image.parameters())
        return torch.cat(
            [self._again(part) if trains else self._pooled(part) for part in torch.split(frames, self.chunk)]
        )

    def _again(self, frames: Tensor) -> Tensor:
        found: Tensor = checkpoint(
            self._pooled,
            frames,
            use_reentrant=False,
            # statistics have moved in the first pass
            context_fn=lambda: (contextlib.nullcontext(), running_statistics_kept([self.image])),
        )
        return found

    def _pooled(self, frames: Tensor) -> Tensor:
        found: Tensor = self.image(frames).pooled
        return found


def _of_frame(stream: Stream, differences: bool) -> Stream:
    """One frame as an image stream; a change is a band of its own."""
    changes = tuple(Band(f"{band.name} change", unit=band.unit) for band in stream.bands) if differences else ()
    return replace(stream, steps=None, rate=None, bands=(*stream.bands, *changes))
