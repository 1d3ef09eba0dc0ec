"""Captioning loss: next-token cross-entropy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import Fraction, Natural
from multimodal_lab.loss.precision import mean_over_all, wide

targets = ("(N, L) int64",)


def caption(logits: Tensor, tokens: Tensor, pad: Natural = 0, label_smoothing: Fraction = 0.0) -> Tensor:
    """Cross-entropy of each next token: a scalar, the mean over the tokens of all DDP ranks that are not `pad`.

    tokens (N, L) int64, begin to end; logits[:, t] (N, L - 1 or L, V), made from tokens[:, : t + 1], predicts
    tokens[:, t + 1]; a prediction after the last token is left out. Any other length is a `ValueError`. Rows of pads
    alone (a missing text) count nothing; if all are, the value is 0 with a graph.
    """
    following = tokens[:, 1:]
    length = following.shape[1]
    if logits.shape[:1] != tokens.shape[:1] or logits.shape[1] not in (length, length + 1):
        raise ValueError(
            f"caption: logits {tuple(logits.shape)} don't predict tokens {tuple(tokens.shape)}: expected "
            f"({len(tokens)}, {length} or {length + 1}, V)"
        )
    scores = wide(logits[:, :length]).flatten(0, 1)
    target = following.flatten()
    lost = F.cross_entropy(scores, target, ignore_index=pad, label_smoothing=label_smoothing, reduction="none")
    return mean_over_all(lost, target != pad)
