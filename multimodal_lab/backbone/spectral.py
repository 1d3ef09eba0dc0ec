"""A 1-D convolutional network over the bands of a spectrum."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Count, require_relations
from multimodal_lab.types import Features, Stream


class Spectral(nn.Module):
    """Strided 1-D convolutions along the bands, one per width, for spectra of many bands in order of wavelength.

    A convolution alone would not know at which wavelength it stands, and the mean over bands would forget it: a learned
    embedding of the place is added after the first stage, so that later stages treat a peak at 400 nm and one at 700 nm
    as two things.
    """

    kinds = ("vector",)
    wavelengths = True
    steps = False
    relations: ClassVar = {"widths": "one or more", "kernel": "odd"}

    def __init__(self, stream: Stream, *, widths: list[Count], kernel: Count = 7, freeze: bool = False) -> None:
        super().__init__()
        require(self, stream)
        require_relations("backbone=spectral", self.relations, {"widths": widths, "kernel": kernel})
        _check_order(stream)
        self.stem = _stage(1, widths[0], kernel)
        self.place = nn.Parameter(torch.randn(1, widths[0], -(-stream.channels // 2)) * 0.5)
        self.stages = nn.Sequential(*(_stage(c, w, kernel) for c, w in pairwise(widths)))
        self.dim = widths[-1]
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor) -> Features:
        """x (N, C) to tokens (N, L, D) along the spectrum, L = ceil(C / 2^n) after n stages; pooled their mean."""
        return Features.from_tokens(self.stages(self.stem(x.unsqueeze(1)) + self.place).transpose(1, 2))


def _stage(ins: int, outs: int, kernel: int) -> nn.Sequential:
    conv = nn.Conv1d(ins, outs, kernel, stride=2, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, nn.GELU())


def _check_order(stream: Stream) -> None:
    nm = [band.nm for band in stream.bands if band.nm is not None]
    if nm != sorted(nm) and nm != sorted(nm, reverse=True):
        raise ValueError(
            f"backbone spectral: the bands of stream {stream.name!r} are not in order of wavelength; "
            "take them in order, or choose backbone=vector"
        )
