"""First convolutions that were laid for other bands and wait for a scale that is measured."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.inflate import Rule, inflate, places
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


def laid(
    conv: Any, kernels: Tensor, stream: Stream, bands: Sequence[str], rule: Rule, correlation: Correlation
) -> tuple[Tensor, list[FirstConvolution]]:
    """Kernels for `conv` by `inflate`, and [a `FirstConvolution`] where their scale is to be measured; a stream of exactly the
    bands that the weights know keeps theirs."""
    if correlation != MEASURED:
        return inflate(kernels, stream, bands, rule, float(correlation)), []
    own = None not in places(stream.bands, bands, stream.name) and len(bands) == stream.channels
    waiting = [] if own else [FirstConvolution(conv, kernels.detach().clone(), list(bands))]
    return inflate(kernels, stream, bands, rule), waiting


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
