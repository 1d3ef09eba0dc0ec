"""Matching loss: binary cross-entropy of true pairs against mined negatives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.loss.precision import mean_over_all, wide

samples = 2


def match(logits: Tensor, known: Tensor) -> Tensor:
    """Sigmoid cross-entropy of "these belong together" (Li et al. 2021, ALBEF, eq. 3): a scalar, the mean over known pairs.

    logits (N, 3): a sample's own pair, which belongs together, and two that do not; known (N, 3) bool: where there is such
    a pair. With none anywhere it is 0 with a graph.
    """
    x = torch.where(known, wide(logits), 0.0)
    truth = torch.zeros_like(x)
    truth[:, 0] = 1.0
    return mean_over_all(F.binary_cross_entropy_with_logits(x, truth, reduction="none"), known)
