"""The transformer block of the token-level fusions."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def check_heads(owner: str, width: int, heads: int) -> None:
    """ValueError naming the divisors unless `heads` divides `width`."""
    if width % heads:
        divisors = ", ".join(str(d) for d in range(1, min(width, 64) + 1) if width % d == 0)
        raise ValueError(f"{owner}: heads={heads} doesn't divide width={width}; heads that do: {divisors}")


class Block(nn.Module):
    """Pre-norm cross-attention and MLP, each with a residual (Vaswani et al. 2017, eq. 1; pre-norm: Xiong et al. 2020).

    A learned token that is always present stands first among the keys. It makes every softmax run over more than one
    key (over a single key it is the constant 1, and the query and key projections would never learn) and gives a row
    whose keys are all masked something finite to attend to. Dropout acts on the residual branches, not on the
    attention weights, so that those that are shown sum to 1 in training too.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.norm_query = nn.LayerNorm(width)
        self.norm_key = nn.LayerNorm(width)
        self.attend = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, context: Tensor, mask: Tensor, blocked: Tensor | None = None, show: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Queries x (N, L, D) over context (N, S, D) with mask (N, S), True where real; blocked (L, S), True where not.

        Returns the updated (N, L, D) and, with `show`, the weights (N, heads, L, 1 + S), whose first key is the token.
        """
        keys = self.norm_key(torch.cat([self.token.expand(len(x), -1, -1), context], 1))
        padding = nn.functional.pad(~mask, (1, 0), value=False)
        barred = None if blocked is None else nn.functional.pad(blocked, (1, 0), value=False)
        query = self.norm_query(x)
        update, weights = self.attend(
            query, keys, keys, key_padding_mask=padding, attn_mask=barred, need_weights=show, average_attn_weights=False
        )
        x = x + self.dropout(update)
        return x + self.dropout(self.mlp(self.norm_mlp(x))), weights
