"""Late (decision-level) fusion: a mixture of one classifier per stream."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
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


def logit_mixture(logits: Tensor, log_w: Tensor) -> Tensor:
    """The logit of Σ_i w_i sigmoid(x_i): logits (N, M, K), log_w (N, M) whose exponentials sum to 1 in a row, to (N, K).

    The same mixture of each label's yes and no. Both are summed as logarithms: where sigmoid is 1 in floating point, 1 minus
    it would be 0, and its logarithm would not be finite.
    """
    return log_mixture(F.logsigmoid(logits), log_w) - log_mixture(F.logsigmoid(-logits), log_w)


class LateFusion(nn.Module):
    """A mixture of one classifier per stream. `fused` is not read.

    Of one class a sample: log-probabilities (N, K), for a loss such as nll. Of a label among `several` 0/1 a sample: the
    logits (N, K) of the mixed probabilities, for a loss such as bce.

    `weights` learned: a softmax over one learned score a stream, renormalised over the streams a row has; uniform:
    equal shares of those. A row without any stream gets the prior: learned class scores (uniform at the start), or
    uniform; of several labels a learned logit each (0 at the start), or 0. `classes` {label: K} and `several` are facts of
    the data; ValueError for an unknown `label`.
    """

    takes = "streams"
    by_name = False

    scores: Tensor
    prior: Tensor

    def __init__(
        self,
        dims: dict[str, int],
        classes: dict[str, int],
        several: Collection[str] = (),
        *,
        label: str,
        weights: Literal["learned", "uniform"] = "learned",
        kind: Literal["linear", "mlp"] = "linear",
        hidden: Count = 512,
        dropout: Fraction = 0.15,
    ) -> None:
        super().__init__()
        k = count("late_fusion", classes, label)
        self.several = label in several
        self.names = [name for name in dims if name != "fused"]
        self.experts = nn.ModuleDict({n: layers(kind, dims[n], k, hidden, dropout) for n in self.names})
        scores, prior = torch.zeros(len(self.names)), torch.zeros(k)
        if weights == "learned":
            self.scores, self.prior = nn.Parameter(scores), nn.Parameter(prior)
        else:
            self.register_buffer("scores", scores, persistent=False)
            self.register_buffer("prior", prior, persistent=False)

    def forward(self, features: Mapping[str, Features], batch: Batch) -> Tensor:
        """Features to (N, K) in fp32 or wider: log-probabilities, of which each row sums to 1, or logits of several labels."""
        logits = torch.stack([self.experts[n](features[n].pooled) for n in self.names], 1)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        present = torch.stack([features[n].present for n in self.names], 1)
        log_w = self._log_weights(present)
        mixed = logit_mixture(logits, log_w) if self.several else log_mixture(logits.log_softmax(-1), log_w)
        prior = self.prior if self.several else self.prior.log_softmax(-1)
        return torch.where(present.any(1, keepdim=True), mixed, prior)

    def _log_weights(self, present: Tensor) -> Tensor:
        """(N, M), -inf where missing; a row that has nothing keeps all, to stay finite: the prior is read instead."""
        kept = present | ~present.any(1, keepdim=True)
        return self.scores.expand(kept.shape).masked_fill(~kept, float("-inf")).log_softmax(1)
