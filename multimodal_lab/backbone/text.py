"""A small transformer encoder over token ids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.masked import pooled, where_valid
from multimodal_lab.backbone.padding import real_tokens, some_key
from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.types import Features, Stream


class Layer(nn.Module):
    """Pre-norm self-attention and MLP with residuals (Vaswani et al. 2017; pre-norm: Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attend, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, attend: Tensor) -> Tensor:
        """x (N, L, D), attend (N, 1, 1, L) bool, True where a key may be seen, to (N, L, D)."""
        q, k, v = self.qkv(self.norm_attend(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=attend)
        x = x + self.dropout(self.out(seen.transpose(1, 2).flatten(2)))
        mixed: Tensor = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return mixed


class Text(nn.Module):
    """Token and learned position embeddings, then transformer layers that see both ways; pads are seen by none.

    Pooled is the mean of the real tokens. A row of pads alone is finite and comes out missing (mask all False).
    """

    kinds = ("text",)

    def __init__(
        self,
        stream: Stream,
        *,
        width: Count = 128,
        layers: Count = 2,
        heads: Count = 4,
        dropout: Fraction = 0.1,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        if width % heads:
            fit = ", ".join(str(h) for h in range(1, min(width, 32) + 1) if width % h == 0)
            raise ValueError(f"backbone text: heads={heads} doesn't divide width={width}; heads that do: {fit}")
        self.stream, self.length, self.dim = stream, int(stream.length or 0), width
        self.words = nn.Embedding(int(stream.vocab or 0), width)
        self.places = nn.Parameter(torch.randn(1, self.length, width) * 0.02)
        nn.init.normal_(self.words.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor) -> Features:
        """x (N, L) int64 to tokens (N, L, D), zero where padded, and the mean of the real ones as pooled (N, D)."""
        length = x.shape[1]
        if length > self.length:
            raise ValueError(f"backbone text: {length} tokens; the stream says at most length={self.length}")
        mask = real_tokens(x, self.stream)
        attend = some_key(mask)
        tokens = self.dropout(self.words(x) + self.places[:, :length])
        for layer in self.layers:
            tokens = layer(tokens, attend[:, None, None, :])
        tokens = where_valid(self.norm(tokens), mask)
        return Features(tokens, pooled(tokens, mask), mask)
