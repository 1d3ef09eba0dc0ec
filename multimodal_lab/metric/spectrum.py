"""Spectrum of embeddings: their effective rank (RankMe)."""

from __future__ import annotations

import torch
from torch import Tensor


def rankme(z: Tensor, eps: float = 1e-7) -> float:
    """RankMe, the effective rank of embeddings z (N, D), 1 to min(N, D): exp of the entropy of the singular values.

    Garrido et al. 2023, "RankMe", equation 1: p_k = sigma_k / ||sigma||_1 + eps. A collapse shows as a value near 1.
    """
    sigma = torch.linalg.svdvals(z.double())
    p = sigma / sigma.sum().clamp(min=torch.finfo(sigma.dtype).tiny) + eps
    return float(torch.exp(-(p * p.log()).sum()))
