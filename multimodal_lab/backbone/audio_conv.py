"""A 2-D convolutional network on the log-mel spectrogram of sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.log_mel import LogMel
from multimodal_lab.backbone.masked import largest, pooled, where_valid
from multimodal_lab.backbone.temporal import mask_of_groups
from multimodal_lab.bounds import Count, Fraction, require_relations
from multimodal_lab.types import Drawing, Features, Stream


class FrameNorm(nn.GroupNorm):
    """GroupNorm of each frame by itself, over its channels and bins of frequency: padding behind a clip has no part in it."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, D, M, F) to the same."""
        n, d, m, f = x.shape
        return super().forward(x.permute(0, 3, 1, 2).reshape(n * f, d, m)).view(n, f, d, m).permute(0, 2, 3, 1)


def conv(ins: int, outs: int, stride: int) -> nn.Conv2d:
    """3x3, without a bias, which the norm behind it has."""
    made = nn.Conv2d(ins, outs, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(made.weight, nonlinearity="relu")
    return made


class Stage(nn.Module):
    """`depth` 3x3 convolutions, each with a norm and GELU, the first with a stride of 2 in both axes; then dropout."""

    def __init__(self, ins: int, outs: int, depth: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(ins if i == 0 else outs, outs, 2 if i == 0 else 1) for i in range(depth))
        self.norms = nn.ModuleList(FrameNorm(groups, outs) for _ in range(depth))
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, C, M, F), 0 at frames that are not real (N, F), to (N, D, ceil(M / 2), ceil(F / 2)) and which of its are."""
        real = mask_of_groups(real, 2)
        for convolution, norm in zip(self.convs, self.norms, strict=True):
            x = nn.functional.gelu(norm(convolution(x))) * real[:, None, None]
        return self.dropout(x), real


class AudioConv(nn.Module):
    """Strided 3x3 convolutions on the log-mel, one stage per width; means over frequency are the tokens, one a frame.

    Pooled is the mean and the maximum of the real tokens, added, as in PANNs (Kong et al. 2020, section III-A), whose
    blocks of two convolutions are `depth: 2`. Norms look at one frame alone, and a frame that is not real is 0 before every
    convolution, as its border is: a clip that is padded longer gives the same features.
    """

    kinds = ("vector",)
    steps = True
    sound = True
    relations: ClassVar = {"widths": "one or more, divided by groups"}

    def __init__(
        self,
        stream: Stream,
        *,
        mel: Callable[..., LogMel],
        widths: list[Count],
        depth: Count = 1,
        groups: Count = 8,
        dropout: Fraction = 0.0,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        require_relations("backbone=audio_conv", self.relations, {"widths": widths, "groups": groups})
        self.mel = mel(stream=stream)
        ins = [stream.channels, *widths[:-1]]
        self.stages = nn.ModuleList(Stage(c, w, depth, groups, dropout) for c, w in zip(ins, widths))
        self.dim = widths[-1]
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor, valid: Tensor, draw: Drawing | None = None) -> Features:
        """x (N, C, T) and valid (N, T) bool to tokens (N, L, D), L = ceil(F / 2^n) after n stages of F frames."""
        y, real = self.mel(x, valid, draw)
        for stage in self.stages:
            y, real = stage(y, real)
        tokens = where_valid(y.mean(2).transpose(1, 2), real)
        return Features(tokens, pooled(tokens, real) + largest(tokens, real), real)
