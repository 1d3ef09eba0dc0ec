"""Supervised losses. A missing label (-1, NaN) is ignored; means are over the valid labels of all DDP ranks.

A class may be an index (N,), or a share of each class (N, K), as mixing leaves it. `logits` may be one tensor or {name:
tensor}, one classifier a name: the value is then the mean over names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import Fraction, NonNegative
from multimodal_lab.loss.precision import mean_over_all, wide
from multimodal_lab.loss.streams import mean_of

Logits = Tensor | Mapping[str, Tensor]
targets = ("(N,) int64", "(N, K) float")


def cross_entropy(
    logits: Logits,
    target: Tensor,
    label_smoothing: Fraction = 0.0,
    class_weight: list[NonNegative] | Literal["balanced"] | None = None,
) -> Tensor:
    """Softmax cross-entropy: logits (N, K); a scalar, 0 with a graph if no label is there.

    target (N,) class index, -1 missing, or (N, K) float, a share of each class, all -1 where missing. class_weight: one
    number >= 0 a class; the mean is then weighted by it, as torch's is, a shared label by its shares; a run replaces
    `balanced`, see `loss.balanced`. Any other target is a `ValueError`.
    """

    def one(x: Tensor) -> Tensor:
        asked, known = _classes(x, target, "cross_entropy")
        weight = None if class_weight is None else per_class(class_weight, x, "class_weight")
        lost = F.cross_entropy(x, asked, weight, ignore_index=-1, label_smoothing=label_smoothing, reduction="none")
        if weight is not None:
            weight = weight[asked.clamp(min=0)] if asked.ndim == 1 else (weight * asked).sum(1)
        return mean_over_all(lost, known, weight)

    return _over_names(one, logits)


def nll(log_probs: Logits, target: Tensor) -> Tensor:
    """Negative log-likelihood: log_probs (N, K) whose exponentials sum to 1, target as for `cross_entropy`; a scalar."""

    def one(x: Tensor) -> Tensor:
        asked, known = _classes(x, target, "nll")
        lost = F.nll_loss(x, asked, ignore_index=-1, reduction="none") if asked.ndim == 1 else -(asked * x).sum(1)
        return mean_over_all(lost, known)

    return _over_names(one, log_probs)


def bce(
    logits: Logits, target: Tensor, pos_weight: NonNegative | list[NonNegative] | Literal["balanced"] | None = None
) -> Tensor:
    """Sigmoid cross-entropy, each class a yes or no: a scalar, the mean over known labels.

    logits (N, K); target (N, K) in [0, 1], -1 or NaN where missing, or (N,) class index: each class against the rest
    (with K = 1 it is 0 or 1). pos_weight multiplies the positives: one number, or one a class; a run replaces `balanced` by
    the negatives a positive of each class in its training split, see `loss.balanced`.
    """

    def one(x: Tensor) -> Tensor:
        y, known = _labels(x, target)
        weight = None if pos_weight is None else per_class(pos_weight, x, "pos_weight")
        return mean_over_all(F.binary_cross_entropy_with_logits(x, y, pos_weight=weight, reduction="none"), known)

    return _over_names(one, logits)


def asymmetric(
    logits: Logits, target: Tensor, gamma_neg: NonNegative = 4.0, gamma_pos: NonNegative = 1.0, clip: Fraction = 0.05
) -> Tensor:
    """Asymmetric loss (Ridnik 2021, eq. 4-7): a scalar, the mean over known labels; shapes as for `bce`.

    L+ = (1-p)^gamma_pos log p, L- = p_m^gamma_neg log(1-p_m), p_m = max(p - clip, 0): easy negatives count least, and
    those below `clip` not at all.
    """
    log_clip = math.log(clip) if clip else -math.inf

    def one(x: Tensor) -> Tensor:
        y, known = _labels(x, target)
        log_yes, log_no = F.logsigmoid(x), F.logsigmoid(-x)
        yes = (gamma_pos * log_no).exp() * log_yes
        counts = x.sigmoid() > clip
        # Powers and logs only of numbers above 0: at 0 their gradients are infinite, and the mask would make them NaN.
        shifted = torch.where(counts, x.sigmoid() - clip, 1.0)
        log_rest = torch.logaddexp(log_no, torch.full_like(x, log_clip))
        no = torch.where(counts, shifted.pow(gamma_neg) * log_rest, 0.0)
        return mean_over_all(-(y * yes + (1 - y) * no), known)

    return _over_names(one, logits)


def focal(
    logits: Logits, target: Tensor, alpha: Fraction | list[Fraction] | None = 0.25, gamma: NonNegative = 2.0
) -> Tensor:
    """Focal loss (Lin 2017, eq. 5), -alpha_t (1-p_t)^gamma log p_t: a scalar, the mean over known labels.

    Shapes as for `bce`; alpha is the weight of positives, 1 - alpha of negatives, one number or one a class; None weighs
    neither.
    """

    def one(x: Tensor) -> Tensor:
        y, known = _labels(x, target)
        log_yes, log_no = F.logsigmoid(x), F.logsigmoid(-x)
        yes, no = (gamma * log_no).exp() * log_yes, (gamma * log_yes).exp() * log_no
        if alpha is not None:
            share = per_class(alpha, x, "alpha")
            yes, no = share * yes, (1 - share) * no
        return mean_over_all(-(y * yes + (1 - y) * no), known)

    return _over_names(one, logits)


def _over_names(one: Callable[[Tensor], Tensor], logits: Logits) -> Tensor:
    if isinstance(logits, Tensor):
        return one(wide(logits))
    return mean_of(one(wide(x)) for x in logits.values())


def _classes(logits: Tensor, target: Tensor, loss: str) -> tuple[Tensor, Tensor]:
    """The target, (N,) index or (N, K) shares in the logits' type, 0 where missing; and which rows are known (N,)."""
    if target.ndim == 1 and not target.is_floating_point():
        return target, target >= 0
    if not target.is_floating_point() or target.shape != logits.shape:
        raise ValueError(
            f"{loss} needs one class index a row, (N,) int64, or a share of each class, {tuple(logits.shape)} float; found a "
            f"target of {tuple(target.shape)} {target.dtype}; for several labels a row use loss=bce"
        )
    known = (target >= 0).all(1)
    whole = (~known | ((target.sum(1) - 1).abs() < 1e-3)).all()
    said = f"{loss}: the shares of each class add up to 1 in a row; for several labels a row use loss=bce"
    if not whole.is_cpu:
        torch._assert_async(
            whole, said
        )  # by the device when it gets there: to read the answer would make the host wait
    elif not whole:
        raise ValueError(said)
    return torch.where(known[:, None], target, 0.0).to(logits.dtype), known


def _labels(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """0/1 labels in the logits' shape and type, and which are known; the unknown are 0."""
    if target.ndim == 1 and logits.shape[1:] == (1,):
        target = target[:, None]
    elif target.ndim == 1 and logits.ndim == 2 and not target.is_floating_point():
        hot = F.one_hot(target.clamp(min=0), logits.shape[1]).to(logits.dtype)
        return hot, (target >= 0)[:, None].expand_as(hot)
    if target.shape != logits.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} against target {tuple(target.shape)}: expected a target of the same shape, "
            "one 0/1 column a class, or (N,) int64 class indices"
        )
    known = target >= 0  # False for NaN as well
    return torch.where(known, target, 0).to(logits.dtype), known


def per_class(weight: float | list[float] | str, logits: Tensor, name: str) -> Tensor:
    """() or (K,), a number or one a class of logits (N, K, …); `ValueError` for another count, or a word."""
    if isinstance(weight, str):
        raise ValueError(
            f"{name}={weight} is replaced by numbers of the training split in a run; give a number, or one a class"
        )
    tensor = torch.as_tensor(weight, dtype=logits.dtype, device=logits.device)
    if tensor.ndim and len(tensor) != logits.shape[1]:
        raise ValueError(f"{name} has {len(tensor)} numbers for {logits.shape[1]} classes")
    return tensor
