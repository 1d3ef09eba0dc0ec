"""No fusion: every stream on its own."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from multimodal_lab.types import Features


class Separate(nn.Module):
    """The streams as they come, without `fused` and without parameters (late fusion is left to heads and losses)."""

    emits = ()
    acts_on = ()

    def __init__(self, dims: dict[str, int]) -> None:
        super().__init__()
        self.dims = dict(dims)

    def forward(self, features: Mapping[str, Features]) -> dict[str, Features]:
        """{stream: Features} to the same."""
        return dict(features)
