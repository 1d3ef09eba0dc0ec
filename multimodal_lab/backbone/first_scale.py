"""First convolutions that were laid for other bands and wait for a scale that is measured."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.inflate import places
from multimodal_lab.bounds import Fraction
from multimodal_lab.types import Stream

MEASURED = "measured"
Correlation = Fraction | Literal["measured"]


@dataclass
class FirstConvolution:
    """`conv`, whose weights (O, C, h, w) were laid from `kernels` (O, P, h, w) of `bands`, each a name or several with `|`."""

    conv: Any  # of two dimensions: some models have one of their own, which pads
    kernels: Tensor
    bands: Sequence[str]

    def reference(self) -> nn.Module:
        """The convolution that the weights were trained with: that of P bands."""
        made: Any = copy.deepcopy(self.conv)
        made.in_channels = self.kernels.shape[1]
        made.weight = nn.Parameter(self.kernels.to(self.conv.weight), requires_grad=False)
        return made  # type: ignore[no-any-return]

    @torch.no_grad()
    def scale(self, factor: float) -> None:
        """Multiply the weights that were laid."""
        self.conv.weight.mul_(factor)


def waiting(correlation: float | str, conv: Any, kernels: Tensor, bands: Sequence[str], stream: Stream) -> list[Any]:
    """[a `FirstConvolution`] where its scale is to be measured; a stream of exactly the pretrained bands keeps theirs."""
    own = None not in places(stream.bands, bands, stream.name) and len(bands) == stream.channels
    return [] if correlation != MEASURED or own else [FirstConvolution(conv, kernels.detach().clone(), list(bands))]


def number(correlation: float | str) -> float:
    """The correlation by which kernels are laid: 0 where their scale is measured afterwards."""
    return 0.0 if isinstance(correlation, str) else correlation


@torch.no_grad()
def deviation(conv: nn.Module, inputs: Iterator[Tensor]) -> float:
    """The root of the variance of what `conv` makes of `inputs` (N, C, H, W), each channel about its own mean, over channels."""
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for x in inputs:
        y = conv(x).double().movedim(1, 0).flatten(1).cpu()
        count, total, squares = count + y.shape[1], total + y.sum(1), squares + y.square().sum(1)
    if not count:
        return 0.0
    return float((squares / count - (total / count).square()).clamp_min(0).mean().sqrt())
