"""Vectors of single frames to one of a recording: their mean, an LSTM, or attention over time; padded frames never count."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.masked import pooled, real_first, where_valid
from multimodal_lab.backbone.padding import some_key
from multimodal_lab.types import Features

Pool = Literal["mean", "lstm", "attention"]
HIDDEN = 128  # units of the attention's scores


def over_time(pool: Pool, width: int) -> nn.Module:
    """The module that pools vectors of `width` in the way `pool` over time, to vectors of the same width."""
    return {"mean": MeanOverTime, "lstm": LSTMOverTime, "attention": AttentionOverTime}[pool](width)


class MeanOverTime(nn.Module):
    """The mean of the real frames: their order says nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Features:
        """x (N, T, D) and which of its frames are real (N, T) to Features of T tokens."""
        x = where_valid(x, mask)
        return Features(x, pooled(x, mask), mask)


class LSTMOverTime(nn.Module):
    """An LSTM over the real frames in their order, a gap left out, and the mean of what it says at each.

    Donahue et al. 2015 (LRCN, section 4.1), who average over the frames too.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Features:
        """x (N, T, D) and which of its frames are real (N, T) to Features of T tokens: what the LSTM says at each frame."""
        x = where_valid(x, mask)
        order = real_first(mask)[..., None].expand_as(x)  # what follows the real ones can't change what was said before
        said, _ = self.lstm(x.gather(1, order))
        tokens = where_valid(torch.zeros_like(said).scatter(1, order, said), mask)
        return Features(tokens, pooled(tokens, mask), mask)


class AttentionOverTime(nn.Module):
    """Frames weighted by gated attention, a_t ~ exp(w·(tanh(V h_t) * sigmoid(U h_t))) (Ilse et al. 2018, eq. 9)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.v, self.u = nn.Linear(width, HIDDEN), nn.Linear(width, HIDDEN)
        self.w = nn.Linear(HIDDEN, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Features:
        """x (N, T, D) and which of its frames are real (N, T) to Features of T tokens; `weights["time"]` (N, T)."""
        x = where_valid(x, mask)
        scores = self.w(self.v(x).tanh() * self.u(x).sigmoid())[..., 0]
        weights = scores.masked_fill(~some_key(mask), -torch.inf).softmax(1) * mask
        own = torch.einsum("nt,ntd->nd", weights, x)
        # what the pooled vector alone passes gets a gradient of 0 from a reader of tokens, for which other ranks wait
        tokens = where_valid(x + 0 * own[:, None, :1], mask) if own.requires_grad else x
        return Features(tokens, own, mask, weights={"time": weights.detach()})
