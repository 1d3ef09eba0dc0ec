"""Learned modality embeddings, for streams that share a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count
from multimodal_lab.fusion.block import check_heads
from multimodal_lab.fusion.features import presence, vector, with_fused
from multimodal_lab.types import Features


class ModalityTokens(nn.Module):
    """To each stream's tokens and pooled vector its learned modality token is added, a row of an (M, D) table.

    The pooled vector also gets an attention pooling in which the modality token is the query over [modality token; the
    stream's tokens] (a class token read out once; Dosovitskiy et al. 2021, eq. 1): the token is there for every row,
    so that there are always two keys. All of it is unimodal; `fused` is the mean of the pooled vectors that a row has,
    L = 1.

    Streams leave with `width` (null: the widest); one of another width is first projected to it by its own Linear. Each
    shows weights["attention"] (N, heads, 1, 1 + L). ValueError where `heads` does not divide `width`.
    """

    emits = ("fused",)
    acts_on = ("streams",)

    def __init__(self, dims: dict[str, int], *, width: Count | None = None, heads: Count = 4) -> None:
        super().__init__()
        width = width or max(dims.values(), default=0)
        self.names = list(dims)
        self.dims = with_fused(dict.fromkeys(dims, width), width)
        check_heads("fusion=modality_tokens", width, heads)
        self.project = nn.ModuleDict(
            {name: nn.Identity() if dim == width else nn.Linear(dim, width) for name, dim in dims.items()}
        )
        self.tokens = nn.Parameter(torch.randn(len(dims), width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.attend = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, features: Mapping[str, Features]) -> dict[str, Features]:
        """{stream: Features} to {stream: Features of `width`} and `fused`, pooled (N, width)."""
        out = {name: self._mark(name, features[name], self.tokens[i]) for i, name in enumerate(self.names)}
        present = presence(out, self.names)
        total = torch.stack([out[name].pooled for name in self.names], 1).sum(1)
        mean = total / present.sum(1, keepdim=True).clamp(min=1)
        return {**out, "fused": vector(mean, present.any(1))}

    def _mark(self, name: str, f: Features, token: Tensor) -> Features:
        tokens = self.project[name](f.tokens) + token
        keys = self.norm(torch.cat([token.expand(len(tokens), 1, -1), tokens], 1))
        padding = nn.functional.pad(~f.mask, (1, 0), value=False)
        read, weights = self.attend(keys[:, :1], keys, keys, key_padding_mask=padding, average_attn_weights=False)
        pooled = self.project[name](f.pooled) + token + read.squeeze(1)
        return replace(f, tokens=tokens, pooled=pooled, weights={**f.weights, "attention": weights}).keep(f.present)
