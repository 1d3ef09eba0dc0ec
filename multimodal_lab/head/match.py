"""Matching head: does this text belong to this image? Judged on the true pair and on mined hard negatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count, Fraction, Positive
from multimodal_lab.hashing import mix, uniform
from multimodal_lab.head.names import known
from multimodal_lab.types import Batch, Features


class Match(nn.Module):
    """Image–text matching on in-batch hard negatives (Li et al. 2021, ALBEF, sec. 3.2; Li et al. 2022, BLIP, sec. 3.2).

    A small transformer reads the tokens of stream `query` and attends to those of stream `other`; its logit says whether
    the two belong together. Each sample is judged as it is, with the `other` of another sample, and with the `query` of
    another one; which ones, the vectors of the earlier head `by` tell: drawn in training by softmax(cosine /
    `temperature`) with `mine` sample, the most similar with hardest and in evaluation. Negatives show another sample (other
    `same` or ids) and hold another text, have both streams, and are of this rank's batch. Null streams: the last queries the
    first.
    ValueError for an unknown stream and where `heads` does not divide `width`.
    """

    takes = "streams"
    by_name = False
    gives = ("logits", "known")
    pairs = True
    names: ClassVar = {"query": "stream", "other": "stream"}
    reads_heads = ("by",)

    def __init__(
        self,
        dims: dict[str, int],
        *,
        by: str = "projection",
        query: str | None = None,
        other: str | None = None,
        width: Count = 128,
        heads: Count = 4,
        layers: Count = 2,
        dropout: Fraction = 0.0,
        mine: Literal["sample", "hardest"] = "sample",
        temperature: Positive = 0.07,
    ) -> None:
        super().__init__()
        names = [name for name in dims if name != "fused"]
        if len(names) < 2:
            raise ValueError(f"head=match compares two streams or more, found {', '.join(names)}")
        self.query = known("head=match: query", query or names[-1], names)
        rest = [name for name in names if name != self.query]
        self.other = known("head=match: other", other or rest[0], rest)
        if width % heads:
            fit = ", ".join(str(h) for h in range(1, min(width, 64) + 1) if width % h == 0)
            raise ValueError(f"head=match: heads={heads} doesn't divide width={width}; heads that do: {fit}")
        self.by, self.mine, self.temperature = by, mine, temperature
        self.project = nn.ModuleDict({n: nn.Linear(dims[n], width) for n in (self.query, self.other)})
        # what is read at the end, and a key that is always there: a row without tokens stays finite
        self.asked, self.always = (nn.Parameter(torch.randn(1, 1, width) * 0.02) for _ in range(2))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm, self.score = nn.LayerNorm(width), nn.Linear(width, 1)

    def forward(self, features: Mapping[str, Features], batch: Batch, out: Mapping[str, Any]) -> dict[str, Tensor]:
        """logits (N, 3): the pair itself, with another's `other`, with another's `query`; known (N, 3) bool: where there is one.

        out: `by` must give {name: (N, D)} of both streams.
        """
        query, other = features[self.query], features[self.other]
        own = torch.arange(len(query.pooled), device=query.pooled.device)
        found = self._mined(features, batch, out)
        pairs = [(own, own), (own, found[0][0]), (found[1][0], own)]
        queries, others = (torch.cat(list(rows)) for rows in zip(*pairs, strict=True))
        logits = self._judge(_rows(query, queries), _rows(other, others)).view(3, -1).T
        there = query.present & other.present
        return {"logits": logits, "known": torch.stack([there, found[0][1], found[1][1]], 1)}

    @torch.no_grad()
    def _mined(
        self, features: Mapping[str, Features], batch: Batch, out: Mapping[str, Any]
    ) -> list[tuple[Tensor, Tensor]]:
        """(rows, whether there is one) of another sample's `other` for each row, then of another's `query`; (N,) each."""
        z = out[self.by]
        if not isinstance(z, Mapping) or not {self.query, self.other} <= z.keys():
            raise ValueError(
                f"head=match: by={self.by} gives no vectors of {self.query} and {self.other} by name; name a head such as "
                "projection"
            )
        ids = batch.ids if batch.same is None else batch.same
        alike = ids[:, None] == ids
        for text in (batch.text_ids[n][:, 0] for n in (self.query, self.other) if n in batch.text_ids):
            alike |= text[:, None] == text
        there = features[self.query].present & features[self.other].present
        allowed = there[:, None] & there & ~alike
        cosine = _unit(z[self.query]) @ _unit(z[self.other]).T / self.temperature
        return [self._choose(x, allowed, ids, fold) for fold, x in enumerate((cosine, cosine.T), 1)]

    def _choose(self, score: Tensor, allowed: Tensor, ids: Tensor, fold: int) -> tuple[Tensor, Tensor]:
        if self.training and self.mine == "sample":
            # by Gumbel's trick, from a hash of both ids: which other rows are in the batch changes no draw
            start = torch.randint(2**62, (1,), device=ids.device)
            keys = mix(mix(start + fold) ^ ids)[:, None]
            u = uniform(mix(keys ^ ids)).clamp(min=2.0**-24)
            score = score - (-u.log()).log()
        return score.masked_fill(~allowed, float("-inf")).argmax(1), allowed.any(1)

    def _judge(self, query: Features, other: Features) -> Tensor:
        """(M,) logits of M pairs."""
        x = torch.cat([self.asked.expand(len(query.tokens), -1, -1), self.project[self.query](query.tokens)], 1)
        keys = torch.cat([self.always.expand(len(other.tokens), -1, -1), self.project[self.other](other.tokens)], 1)
        idle, unseen = (nn.functional.pad(~f.mask, (1, 0), value=False) for f in (query, other))
        for layer in self.layers:
            x = layer(x, keys, tgt_key_padding_mask=idle, memory_key_padding_mask=unseen)
        logits: Tensor = self.score(self.norm(x[:, 0]))
        return logits[:, 0]


def _rows(f: Features, index: Tensor) -> Features:
    return Features(f.tokens[index], f.pooled[index], f.mask[index])


def _unit(x: Tensor) -> Tensor:
    """Rows of length 1 in fp32 or wider; a zero row stays zero."""
    with torch.autocast(x.device.type, enabled=False):
        return nn.functional.normalize(x.float(), dim=1)
