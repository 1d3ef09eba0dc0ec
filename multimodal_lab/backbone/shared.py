"""One shared trunk for all image streams, with an input stem per stream."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn

from multimodal_lab.backbone.convnet import grid_features, stage
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Count
from multimodal_lab.types import Features, Stream


class Shared(nn.Module):
    """Per-stream first stages (any bands to widths[0]) and one trunk of the stages after it.

    Built once with all streams and called once with all inputs; sizes may differ between streams. What a stream is must
    be told to the fusion, if it matters: `fusion=modality_tokens` does.
    """

    kinds = ("image",)
    steps = False
    grid = True

    def __init__(self, streams: Mapping[str, Stream], *, widths: list[Count], freeze: bool = False) -> None:
        super().__init__()
        for stream in streams.values():
            require(self, stream)
        if len(widths) < 2:
            raise ValueError(f"backbone.widths={widths}; expected the stems' width and one or more of the trunk")
        self.stems = nn.ModuleDict({name: stage(s.channels, widths[0], norm=False) for name, s in streams.items()})
        self.trunk = nn.Sequential(*(stage(c, w) for c, w in pairwise(widths)))
        self.dims: dict[str, int] = dict.fromkeys(streams, widths[-1])
        if freeze:
            freeze_module(self)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Features]:
        """{stream: (N, C, H, W)} to {stream: Features}, grid tokens and pooled as in `grid_features`."""
        return {name: grid_features(self.trunk(self.stems[name](x))) for name, x in inputs.items()}
