"""One-way cross-attention: one stream queries the others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.fusion.block import Block, check_heads
from multimodal_lab.fusion.features import masked_mean, presence, with_fused
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Features


class CrossAttend(nn.Module):
    """The tokens of stream `query` attend to those of all others, as text to image in BLIP (Li et al. 2022, sec. 3.1).

    `query` null is the first stream. A learned query token stands before the stream's own, so that `fused` knows the
    others even in a row where the asking stream is missing; with a single stream its tokens query themselves.

    `fused` has 1 + L_query tokens, pooled by their masked mean, and shows the last layer's weights["attention"] (N,
    heads, 1 + L_query, 1 + L_others), column 0 the always-present key. ValueError for a `query` that is no stream and
    where `heads` does not divide `width`.
    """

    emits = ("fused",)
    acts_on = ("fused",)

    def __init__(
        self,
        dims: dict[str, int],
        *,
        query: str | None = None,
        width: Count = 128,
        heads: Count = 4,
        layers: Count = 1,
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        check_heads("fusion=cross_attend", width, heads)
        self.names = list(dims)
        self.dims = with_fused(dims, width)
        self.query = next(iter(dims)) if query is None else query
        if self.query not in dims:
            near = expected_one_of(self.query, dims)
            raise ValueError(f"fusion=cross_attend: query={self.query!r} is no stream; {near}")
        self.others = [name for name in dims if name != self.query] or [self.query]
        self.project = nn.ModuleDict({name: nn.Linear(dim, width) for name, dim in dims.items()})
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Mapping[str, Features]) -> dict[str, Features]:
        """{stream: Features} to the same and `fused`, pooled (N, width)."""
        own = self.project[self.query](features[self.query].tokens)
        x = torch.cat([self.token.expand(len(own), -1, -1), own], 1)
        context = torch.cat([self.project[n](features[n].tokens) for n in self.others], 1)
        seen = torch.cat([features[n].mask for n in self.others], 1)
        weights: Tensor | None = None
        for i, block in enumerate(self.blocks, 1):
            x, weights = block(x, context, seen, show=i == len(self.blocks))
        rows = presence(features, self.names).any(1)
        mask = torch.cat([rows[:, None], features[self.query].mask], 1)
        x = self.norm(x)
        x = torch.where(mask[..., None], x, x.new_zeros(()))
        assert weights is not None
        return {**features, "fused": Features(x, masked_mean(x, mask), mask, {"attention": weights})}
