"""Motion maps of a video, what has moved where and when, read by any image backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.inner import require_one_stream
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.masked import real_first
from multimodal_lab.bounds import Count
from multimodal_lab.build import build
from multimodal_lab.types import Band, Features, Stream


class Motion(nn.Module):
    """Changes from frame to frame, risen and fallen apart, summed in `segments` equal parts of a clip: an image of 2 C segments.

    Depth motion maps (Yang, Zhang & Tian 2012, eq. 1) of the front view, with a sign, and in parts, so that a movement and its
    reverse differ. Sums, not means: what moves slowly changes as much as what moves fast, whatever the rate. Where the camera
    stands still, nothing but what moved is left. Of a gap the frames before and behind are compared; padding has no part.
    Features are those of the image backbone `image`.
    """

    kinds = ("image",)
    steps = True

    def __init__(
        self, stream: Stream, *, image: Callable[..., nn.Module], segments: Count = 6, freeze: bool = False
    ) -> None:
        super().__init__()
        require(self, stream)
        require_one_stream(image)
        self.segments = segments
        bands = tuple(
            Band(f"{band.name} {way} {k}", unit=band.unit)
            for k in range(segments)
            for way in ("risen", "fallen")
            for band in stream.bands
        )
        self.image: Any = build(image, stream=replace(stream, steps=None, rate=None, bands=bands))
        self.dim = int(self.image.dim)
        if freeze:
            freeze_module(self)

    @staticmethod
    def require_possible(image: Any, size: int | None, **_: Any) -> None:
        """`ValueError` for what reads no single image stream, and for what the image backbone refuses."""
        require_one_stream(image, size)

    def forward(self, x: Tensor, valid: Tensor) -> Features:
        """x (N, C, T, H, W) and valid (N, T) bool to the features of the image backbone; none of a row without a valid step."""
        found: Features = self.image(motion_maps(x, valid, self.segments))
        return found.keep(valid.any(1))


def motion_maps(x: Tensor, valid: Tensor, segments: int) -> Tensor:
    """x (N, C, T, H, W) and valid (N, T) to (N, 2 C segments, H, W): of each segment what has risen, then what has fallen."""
    order, count = real_first(valid), valid.sum(1, keepdim=True)
    x = x[torch.arange(len(x), device=x.device)[:, None], :, order]  # (N, T, C, H, W), the real frames first
    change = x[:, 1:] - x[:, :-1]
    step = torch.arange(x.shape[1] - 1, device=x.device)
    segment = (step * segments).div((count - 1).clamp(min=1), rounding_mode="floor")
    own = (segment[:, None] == torch.arange(segments, device=x.device)[:, None]) & (step < count - 1)[:, None]
    # (N, segments, T - 1), which changes each segment sums
    ways = torch.stack([change.clamp(min=0), (-change).clamp(min=0)], 2)
    return torch.einsum("nst,ntwcij->nswcij", own.to(x.dtype), ways).flatten(1, 3)
