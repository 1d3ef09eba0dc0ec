"""A 1-D convolutional network over time, for sensors of any number of channels."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.masked import largest, pooled, where_valid
from multimodal_lab.backbone.temporal import mask_of_groups
from multimodal_lab.bounds import Count, Fraction, require_relations
from multimodal_lab.types import Features, Stream


class Stage(nn.Module):
    """A strided convolution over time, then LayerNorm over the channels of each step, GELU and dropout.

    The norm looks at one step alone: one over time, as GroupNorm's, would make a recording's features depend on how far
    its batch is padded. The first stage has none, so that the level of a channel, a measurement, is not divided away.
    """

    def __init__(self, ins: int, outs: int, kernel: int, stride: int, dropout: float, norm: bool) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(ins, outs, kernel, stride=stride, padding=kernel // 2)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.norm = nn.LayerNorm(outs) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, T, C), zero where not valid (N, T), to (N, ceil(T / stride), D) and which of its steps are real."""
        y = self.conv(x.transpose(1, 2)).transpose(1, 2)
        real = mask_of_groups(valid, self.stride)
        return where_valid(self.dropout(nn.functional.gelu(self.norm(y))), real), real


class TemporalConv(nn.Module):
    """Strided convolutions over time, one per width (after the temporal FCN of Wang, Yan & Oates 2017).

    A step that was not measured, in a gap or behind a recording's end, is zero before every convolution, as the frame of
    a convolution is: a recording that is padded longer gives the same features. Tokens are the steps of the last stage.
    """

    kinds = ("vector",)
    steps = True
    relations: ClassVar = {"widths": "one or more", "kernel": "odd"}

    def __init__(
        self,
        stream: Stream,
        *,
        widths: list[Count],
        kernel: Count = 7,
        stride: Count = 2,
        dropout: Fraction = 0.0,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        require_relations("backbone=temporal_conv", self.relations, {"widths": widths, "kernel": kernel})
        ins = [stream.channels, *widths[:-1]]
        self.stages = nn.ModuleList(
            Stage(c, w, kernel, stride, dropout, norm=i > 0) for i, (c, w) in enumerate(zip(ins, widths))
        )
        self.dim = widths[-1]
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor, valid: Tensor) -> Features:
        """x (N, C, T) and valid (N, T) bool to tokens (N, L, D), L = ceil(T / stride^n) after n stages.

        Pooled is half the mean and half the maximum of the real tokens: the mean alone loses a short event.
        """
        y, real = where_valid(x.transpose(1, 2), valid), valid
        for stage in self.stages:
            y, real = stage(y, real)
        return Features(y, (pooled(y, real) + largest(y, real)) / 2, real)
