"""Masked token loss: cross-entropy at the places that were masked."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.loss.precision import mean_over_all, wide

targets = ("(N, L) int64",)


def masked_tokens(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the word at every masked place (Devlin et al. 2019, sec. 3.1): a scalar, the mean over those of all ranks.

    logits (N, L, V); target (N, L) int64, -1 where nothing was masked. If nothing was anywhere, it is 0 with a graph. A
    target of another shape or type is a `ValueError`.
    """
    if target.shape != logits.shape[:2] or target.is_floating_point():
        raise ValueError(
            f"masked_tokens: target {tuple(target.shape)} {target.dtype} against logits {tuple(logits.shape)}; expected "
            f"({logits.shape[0]}, {logits.shape[1]}) int64, -1 where no word is asked for"
        )
    lost = F.cross_entropy(wide(logits).flatten(0, 1), target.flatten(), ignore_index=-1, reduction="none")
    return mean_over_all(lost, target.flatten() >= 0)
