"""Optimizers (AdamW, SGD) built from parameter groups."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from multimodal_lab.bounds import Fraction, NonNegative, Positive
from multimodal_lab.optim.groups import groups


def adamw(
    system: nn.Module,
    *,
    lr: Positive = 1e-3,
    weight_decay: NonNegative = 0.01,
    betas: tuple[Fraction, Fraction] = (0.9, 0.999),
    eps: Positive = 1e-8,
    lr_scale: dict[str, NonNegative] | None = None,
    layer_decay: Fraction | None = None,
    fused: bool = True,
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019). `lr_scale` {module prefix: factor} and `layer_decay` scale `lr`; see `groups`.

    `fused` makes one pass over memory where the device has the kernel; its last bits differ from the unfused one's.
    """
    found = groups(system, lr, weight_decay, lr_scale or {}, layer_decay)
    return torch.optim.AdamW(found, lr=lr, betas=(betas[0], betas[1]), eps=eps, fused=fused and _fusible(found))


def sgd(
    system: nn.Module,
    *,
    lr: Positive = 0.1,
    weight_decay: NonNegative = 5e-4,
    momentum: Fraction = 0.9,
    nesterov: bool = False,
    lr_scale: dict[str, NonNegative] | None = None,
    layer_decay: Fraction | None = None,
    fused: bool = True,
) -> torch.optim.Optimizer:
    """SGD with momentum. `lr_scale` {module prefix: factor} and `layer_decay` scale `lr`; see `groups` and `adamw`.

    With momentum it is never fused: torch's kernel (2.15) leaves the momentum uninitialised where the first update is left
    out, as one with an infinite gradient is.
    """
    found = groups(system, lr, weight_decay, lr_scale or {}, layer_decay)
    fused = fused and not momentum and _fusible(found)
    return torch.optim.SGD(found, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused)


def _fusible(found: list[dict[str, Any]]) -> bool:
    """Whether every parameter lies on a device, and has a type, that the fused kernels know."""
    parameters = [p for group in found for p in group["params"]]
    return all(p.device.type in {"cpu", "cuda"} and p.is_floating_point() for p in parameters)
