"""Loss of a map of classes, from the logits of every pixel. A pixel that nobody knows (-1) is ignored."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import Fraction, NonNegative
from multimodal_lab.device import distributed
from multimodal_lab.keyed import Terms
from multimodal_lab.loss.classification import per_class
from multimodal_lab.loss.precision import mean_over_all, wide

targets = ("(N, H, W) int64",)
weights = ("cross_entropy", "dice", "focal")
terms = ("cross_entropy", "dice", "focal")


def segment(
    logits: Tensor,
    target: Tensor,
    cross_entropy: NonNegative = 1.0,
    dice: NonNegative = 0.0,
    focal: NonNegative = 0.0,
    gamma: NonNegative = 2.0,
    label_smoothing: Fraction = 0.0,
    class_weight: list[float] | None = None,
) -> Terms:
    """The weighted sum of softmax cross-entropy, dice and focal loss over pixels: 0 with a graph where none is known.

    logits (N, K, H, W), target (N, H, W) int64, -1 where nobody knows. Means are over the known pixels of all DDP ranks, so
    that a sample counts by how many of its pixels are known.
    dice: 1 - the mean over the classes that occur of (2 Σ p y) / (Σ p + Σ y), the sums over the known pixels of the step
    (Milletari et al. 2016, section 3, with plain sums). focal: the mean of -(1 - p)^gamma log p of the true class (Lin et al.
    2017, eq. 4). class_weight, one number >= 0 a class, weighs the means of cross-entropy and focal as torch's does.
    """
    _require(logits, target)
    known, y = target >= 0, target.clamp(min=0)
    x = wide(logits)
    x = torch.where(known[:, None], x, x.new_zeros(()))
    each = None if class_weight is None else per_class(class_weight, x, "class_weight")
    weight = None if each is None else each[y]
    log_p = x.log_softmax(1)
    parts: dict[str, Tensor] = {}
    if cross_entropy:
        lost = F.cross_entropy(x, target, each, ignore_index=-1, label_smoothing=label_smoothing, reduction="none")
        parts["cross_entropy"] = mean_over_all(lost, known, weight)
    if dice:
        parts["dice"] = _dice(log_p.exp(), y, known)
    if focal:
        own = log_p.gather(1, y[:, None])[:, 0]
        rest = (1 - own.exp()).clamp(min=1e-7)  # at 0 a root has an infinite slope
        lost = -(rest**gamma) * own * (1.0 if weight is None else weight)
        parts["focal"] = mean_over_all(torch.where(known, lost, 0.0), known, weight)
    by = {"cross_entropy": cross_entropy, "dice": dice, "focal": focal}
    return Terms(torch.stack([x.sum() * 0, *(by[name] * value for name, value in parts.items())]).sum(), parts)


def _dice(p: Tensor, y: Tensor, known: Tensor) -> Tensor:
    hot = F.one_hot(y, p.shape[1]).movedim(-1, 1).to(p.dtype) * known[:, None]
    p = p * known[:, None]
    over = (0, 2, 3)
    parts = torch.stack([(p * hot).sum(over), (p + hot).sum(over), hot.sum(over)])
    both, size, true = distributed.gather(parts[None]).sum(0)
    share = torch.where(true > 0, 1 - 2 * both / torch.where(size > 0, size, 1.0), 0.0)
    mean: Tensor = share.sum() / (true > 0).sum().clamp(min=1)
    return mean


def _require(x: Tensor, target: Tensor) -> None:
    if x.ndim != 4 or target.shape != x[:, 0].shape or target.is_floating_point():
        raise ValueError(
            f"loss=segment: logits {tuple(x.shape)} against a map of {tuple(target.shape)} {target.dtype}; expected one class a "
            "pixel, (N, H, W) int64: a map without names holds numbers (loss=segment_mae)"
        )
