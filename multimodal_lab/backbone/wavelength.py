"""A convolutional network whose first kernels are made from wavelengths: one set of weights for bands of any sensor."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from multimodal_lab.backbone.band_kernels import BandKernels, facts
from multimodal_lab.backbone.convnet import grid_features, stage
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Count, Positive, require_relations
from multimodal_lab.types import Features, Stream


class Wavelength(nn.Module):
    """`convnet`, but its first convolution is made by `BandKernels` from the bands' wavelengths and widths.

    Shared by all streams: radar, optical bands and any subset of them pass the same weights, which have no shape that depends on
    the bands. What was trained on some bands can therefore be loaded where the streams have others.
    """

    kinds = ("image",)
    steps = False
    grid = True
    relations: ClassVar = {"widths": "two or more"}

    def __init__(
        self,
        streams: Mapping[str, Stream],
        *,
        widths: list[Count],
        hidden: Count = 128,
        fwhm: dict[str, Positive] | None = None,
        names: list[str],
        freeze: bool = False,
    ) -> None:
        super().__init__()
        for stream in streams.values():
            require(self, stream)
        require_relations("backbone=wavelength", self.relations, {"widths": widths})
        self.kernels = BandKernels(names, widths[0], 3, hidden)
        self.trunk = nn.Sequential(*(stage(c, w) for c, w in pairwise(widths)))
        for name, stream in streams.items():
            # no part of a checkpoint: they follow from the stream
            self.register_buffer(f"facts_of_{name}", facts(stream.bands, fwhm or {}, names, name), persistent=False)
        self.dims: dict[str, int] = dict.fromkeys(streams, widths[-1])
        if freeze:
            freeze_module(self)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Features]:
        """{stream: (N, C, H, W)} to {stream: Features}, grid tokens and pooled as in `grid_features`."""
        return {name: grid_features(self.trunk(self.first(name, x))) for name, x in inputs.items()}

    def first(self, name: str, x: Tensor) -> Tensor:
        """x (N, C, H, W) of a stream to (N, D, H/2, W/2), through the kernels of its bands."""
        kernels = self.kernels(self.get_buffer(f"facts_of_{name}"))
        found = functional.conv2d(x, kernels.to(x.dtype), self.kernels.bias.to(x.dtype), stride=2, padding=1)
        return functional.gelu(found)
