"""Late (decision-level) fusion: a mixture of one classifier per stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.head.classifier import layers
from multimodal_lab.head.names import count
from multimodal_lab.types import Batch, Features


def log_mixture(log_p: Tensor, log_w: Tensor) -> Tensor:
    """log Σ_i w_i p_i = logsumexp_i(log w_i + log p_i): log_p (N, M, K), log_w (N, M), to (N, K).

    Jacobs et al. 1991 (mixture of experts). The weighted sum of log p is not this: its rows do not sum to 1.
    """
    return torch.logsumexp(log_w[..., None] + log_p, 1)


class LateFusion(nn.Module):
    """Log-probabilities (N, K) of a mixture of one classifier per stream, for a loss such as nll. `fused` is not read.

    `weights` learned: a softmax over one learned score a stream, renormalised over the streams a row has; uniform:
    equal shares of those. A row without any stream gets the prior: learned class scores (uniform at the start), or
    uniform. `classes` {label: K} is a fact of the data; ValueError for an unknown `label`.
    """

    takes = "streams"
    by_name = False

    scores: Tensor
    prior: Tensor

    def __init__(
        self,
        dims: dict[str, int],
        classes: dict[str, int],
        *,
        label: str,
        weights: Literal["learned", "uniform"] = "learned",
        kind: Literal["linear", "mlp"] = "linear",
        hidden: Count = 512,
        dropout: Fraction = 0.15,
    ) -> None:
        super().__init__()
        k = count("decision", classes, label)
        self.names = [name for name in dims if name != "fused"]
        self.experts = nn.ModuleDict({n: layers(kind, dims[n], k, hidden, dropout) for n in self.names})
        scores, prior = torch.zeros(len(self.names)), torch.zeros(k)
        if weights == "learned":
            self.scores, self.prior = nn.Parameter(scores), nn.Parameter(prior)
        else:
            self.register_buffer("scores", scores, persistent=False)
            self.register_buffer("prior", prior, persistent=False)

    def forward(self, features: Mapping[str, Features], batch: Batch) -> Tensor:
        """Features to log-probabilities (N, K) in fp32 or wider; the exponentials of each row sum to 1."""
        logits = torch.stack([self.experts[n](features[n].pooled) for n in self.names], 1)
        log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
        present = torch.stack([features[n].present for n in self.names], 1)
        mixed = log_mixture(log_p, self._log_weights(present))
        return torch.where(present.any(1, keepdim=True), mixed, self.prior.log_softmax(-1))

    def _log_weights(self, present: Tensor) -> Tensor:
        """(N, M), -inf where missing; a row that has nothing keeps all, to stay finite: the prior is read instead."""
        kept = present | ~present.any(1, keepdim=True)
        return self.scores.expand(kept.shape).masked_fill(~kept, float("-inf")).log_softmax(1)
