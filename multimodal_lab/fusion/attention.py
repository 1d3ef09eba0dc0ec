"""Cross-attention fusion between the tokens of all streams."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.fusion.block import Block, check_heads
from multimodal_lab.fusion.features import masked_mean, shared_grid, with_fused
from multimodal_lab.types import Features


class Attention(nn.Module):
    """The tokens of each stream query the tokens of all others (Vaswani et al. 2017, eq. 1; both ways: Lu et al. 2019).

    Each stream is projected to `width` by its own Linear; then `layers` blocks act on the joined tokens with the pairs
    of one stream barred, so that one call is rgb to uv and uv to rgb. The keys hold an always-present learned token, so
    that there is never one key alone nor none. With a single stream its tokens query themselves; with `own` those of
    every stream see each other besides, one self-attention over all tokens (CoMM, Dufumier et al. 2025).

    `fused` has the tokens of all streams in order (L = Σ L_i), pooled by their masked mean, and shows the last layer's
    weights["attention"] (N, heads, L, 1 + L): rows are queries, column 0 is the learned token, then the tokens in
    order. Where the streams have grids of one size, those of `fused` are theirs, one after another. ValueError where
    `heads` does not divide `width`.
    """

    emits = ("fused",)
    acts_on = ("fused",)
    keeps_grid = ("fused",)

    def __init__(
        self,
        dims: dict[str, int],
        *,
        width: Count = 128,
        heads: Count = 4,
        layers: Count = 1,
        dropout: Fraction = 0.0,
        own: bool = False,
    ) -> None:
        super().__init__()
        check_heads("fusion=attention", width, heads)
        self.names, self.own = list(dims), own
        self.dims = with_fused(dims, width)
        self.project = nn.ModuleDict({name: nn.Linear(dim, width) for name, dim in dims.items()})
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Mapping[str, Features]) -> dict[str, Features]:
        """{stream: Features} to the same and `fused`, pooled (N, width)."""
        x = torch.cat([self.project[n](features[n].tokens) for n in self.names], 1)
        mask = torch.cat([features[n].mask for n in self.names], 1)
        blocked = self._blocked(features, x.device)
        weights: Tensor | None = None
        for i, block in enumerate(self.blocks, 1):
            x, weights = block(x, x, mask, blocked, show=i == len(self.blocks))
        x = self.norm(x)
        x = torch.where(mask[..., None], x, x.new_zeros(()))
        assert weights is not None
        grid = shared_grid(features[n] for n in self.names)
        return {**features, "fused": Features(x, masked_mean(x, mask), mask, {"attention": weights}, grid)}

    def _blocked(self, features: Mapping[str, Features], device: torch.device) -> Tensor | None:
        """(L, L) bool, True between tokens of one stream; None for a single stream, and where they see each other."""
        if len(self.names) == 1 or self.own:
            return None
        tokens = [features[n].mask.shape[1] for n in self.names]
        owner = torch.cat([torch.full((count,), i, device=device) for i, count in enumerate(tokens)])
        return owner[:, None] == owner[None, :]
