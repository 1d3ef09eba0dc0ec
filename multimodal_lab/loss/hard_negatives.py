"""InfoNCE whose negatives count by their hardness, and which corrects for negatives of the anchor's own class."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.bounds import NonNegative, Positive
from multimodal_lab.loss.contrastive import checked, own_class
from multimodal_lab.loss.precision import LOW
from multimodal_lab.loss.tiled.anchors import both_ways


def hard_info_nce(
    a: Tensor,
    b: Tensor,
    ids: Tensor,
    present_a: Tensor,
    present_b: Tensor,
    temperature: Positive | Tensor,
    hardness: NonNegative,
    tau_plus: float = 0.0,
) -> Tensor:
    """`info_nce` of a (N, D) with b (N, D), the sum over n negatives replaced (Robinson 2021, eq. 4): a scalar.

    With s = cos / τ it is Ng = (n · Σ w exp(s) - τ⁺ · n · mean exp(s⁺)) / (1 - τ⁺), at least n exp(-1/τ), the weights
    w = exp(β s) / Σ exp(β s) over an anchor's negatives: β, `hardness`, 0 weighs all alike; τ⁺, `tau_plus`, in [0, 1) is how
    likely a negative is of the anchor's class (Chuang 2020, eq. 8). Of image and text with τ⁺ = 0 this is HN-NCE
    (Radenovic 2023, eq. 3) with α = 1. The gradient goes through the weights, as in the authors' code. ids (N,), equal ids
    are positives; present_* (N,) bool. `ValueError` for a number out of its range.
    """
    if not hardness >= 0 or not 0 <= tau_plus < 1:
        raise ValueError(
            f"expected hardness >= 0 and tau_plus in [0, 1), found hardness {hardness} and tau_plus {tau_plus}"
        )
    ids = own_class(b, own_class(a, ids))  # row i of both sides is one sample

    def score(cosine: Tensor, positive: Tensor, negative: Tensor, scale: float | Tensor) -> tuple[Tensor, Tensor]:
        logits = scale * cosine
        n = negative.sum(1).to(logits.dtype)  # its logarithm would be a float32
        # n · Σ exp((1 + β) s) / Σ exp(β s), in logarithms, which do not overflow
        no = n.clamp(min=1).log() + _log_sum((1 + hardness) * logits, negative) - _log_sum(hardness * logits, negative)
        if tau_plus:
            yes = _log_sum(logits, positive) - positive.sum(1).clamp(min=1).to(logits.dtype).log()
            no = _debiased(no, yes, n, scale, tau_plus)
        return lost_by(logits, positive, negative, torch.where(n > 0, no, LOW))

    return both_ways(score, a, b, ids, present_a, present_b, 1 / checked(temperature))


def lost_by(logits: Tensor, positive: Tensor, negative: Tensor, no: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What anchors lose in sum, and how many have a positive: `info_nce` of logits (m, M); a `Score` of `tiled.anchors`.

    no (m,): the logarithm of what stands for the sum over the negatives; None: that sum.
    """
    count = positive.sum(1)
    drawn = torch.where(positive, logits, 0.0).sum(1) / count.clamp(min=1)
    no = _log_sum(logits, negative) if no is None else no
    lost = torch.logaddexp(no - drawn, _log_sum(logits, positive) - drawn)
    is_anchor = count > 0
    return torch.where(is_anchor, lost, 0.0).sum(), is_anchor.sum()


def _debiased(no: Tensor, yes: Tensor, n: Tensor, scale: float | Tensor, tau_plus: float) -> Tensor:
    """The logarithm of the negatives' sum without the share of it that the positives' mean stands for."""
    top = torch.maximum(no, yes).detach()
    left = ((no - top).exp() - tau_plus * n * (yes - top).exp()) / (1 - tau_plus)
    tiny = torch.finfo(left.dtype).tiny
    # the published floor: no cosine is below -1
    return torch.maximum(top + left.clamp(min=tiny).log(), n.clamp(min=1).log() - scale)


def _log_sum(logits: Tensor, kept: Tensor) -> Tensor:
    return logits.masked_fill(~kept, LOW).logsumexp(1)
