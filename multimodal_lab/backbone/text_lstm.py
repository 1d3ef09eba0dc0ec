"""An LSTM over token ids, one way or both."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.masked import pooled, where_valid
from multimodal_lab.backbone.padding import real_tokens
from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.types import Features, Stream


class Layer(nn.Module):
    """One layer of an LSTM (Hochreiter & Schmidhuber 1997), or two that read the real tokens in both orders, side by side."""

    def __init__(self, ins: int, width: int, both: bool) -> None:
        super().__init__()
        own = width // 2 if both else width
        self.onward = nn.LSTM(ins, own, batch_first=True)
        self.back = nn.LSTM(ins, own, batch_first=True) if both else None

    def forward(self, x: Tensor, order: Tensor) -> Tensor:
        """x (N, L, D), real tokens first, to (N, L, width); order (N, L): the places of the real ones from the last on."""
        y: Tensor = self.onward(x)[0]
        if self.back is None:
            return y
        turned = self.back(_at(x, order))[0]
        return torch.cat([y, _at(turned, order)], 2)


class TextLSTM(nn.Module):
    """Word vectors, then layers of an LSTM; what a text is padded with changes nothing, however much there is.

    pool: "last", the state behind the last word, and with `bidirectional` beside it that of the other way before the first (the
    text encoder of Kiros et al. 2014 and VSE++, Faghri et al. 2018); "mean" of the real tokens. `width` is of both ways together.
    A row of pads alone is finite and comes out missing (mask all False).
    """

    kinds = ("text",)

    def __init__(
        self,
        stream: Stream,
        *,
        width: Count = 128,
        embed: Count = 128,
        layers: Count = 1,
        bidirectional: bool = True,
        dropout: Fraction = 0.1,
        pool: Literal["last", "mean"] = "last",
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        if bidirectional and width % 2:
            raise ValueError(
                f"backbone text_lstm: width={width} is shared by two ways; expected {width + 1} or {width - 1}"
            )
        self.stream, self.dim, self.pool = stream, width, pool
        self.words = nn.Embedding(int(stream.vocab or 0), embed)
        self.layers = nn.ModuleList(Layer(width if i else embed, width, bidirectional) for i in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.onward = width // 2 if bidirectional else width
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor) -> Features:
        """x (N, L) int64 to tokens (N, L, D), zero where padded, and pooled (N, D)."""
        mask = real_tokens(x, self.stream)
        # no packing: its lengths would have to be fetched from the device. Behind the real tokens nothing flows back
        first = (~mask).int().argsort(dim=1, stable=True)
        count = mask.sum(1, keepdim=True)
        place = torch.arange(x.shape[1], device=x.device).expand_as(mask)
        turned = torch.where(place < count, count - 1 - place, place)
        y = self.dropout(self.words(x.gather(1, first)))
        for layer in self.layers:
            y = self.dropout(layer(y, turned))
        tokens = torch.empty_like(y).scatter(1, first[..., None].expand_as(y), y)
        tokens = where_valid(tokens, mask)
        return Features(tokens, pooled(tokens, mask) if self.pool == "mean" else self._last(y, count), mask)

    def _last(self, y: Tensor, count: Tensor) -> Tensor:
        """(N, L, D), real tokens first, count (N, 1) of them, to (N, D); 0 where there is none."""
        last = _at(y, (count - 1).clamp(min=0))[:, 0, : self.onward]
        found = torch.cat([last, y[:, 0, self.onward :]], 1)
        return found * (count > 0)


def _at(x: Tensor, order: Tensor) -> Tensor:
    """(N, L, D) at the places (N, K) of each row: (N, K, D)."""
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[2]))
