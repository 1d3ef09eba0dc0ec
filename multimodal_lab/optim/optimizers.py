"""Optimizers (AdamW, SGD) built from parameter groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from multimodal_lab.bounds import Fraction, NonNegative, Positive
from multimodal_lab.optim import layer_decay as layers
from multimodal_lab.text import expected_one_of


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


def groups(
    system: nn.Module,
    lr: float,
    weight_decay: float,
    lr_scale: Mapping[str, float],
    layer_decay: float | None = None,
) -> list[dict[str, Any]]:
    """One group for each (rate, layer, decay or not): the longest prefix wins, its rate is
    `lr` times its `lr_scale`; norms, biases and scalars (ndim < 2) get no
    decay. With `layer_decay` d, layer i of a backbone of L layers has d^(L - i) times its rate (Bao et al. 2022, A.2).

    A prefix that names no module is a `ValueError` with the nearest one; one whose module has no parameters is fine.
    """
    known = {name for name, _ in system.named_modules() if name}
    for prefix in lr_scale:
        if prefix not in known:
            near = expected_one_of(prefix, sorted(known))
            raise ValueError(f"optim.lr_scale.{prefix}: no module of that name in the system; {near}")
    below = {} if layer_decay is None else layers.below(system)
    found: dict[tuple[str, int, bool], list[nn.Parameter]] = {}
    for name, parameter in system.named_parameters():
        if parameter.requires_grad:
            prefix = max((p for p in lr_scale if name.startswith(p + ".")), key=len, default="")
            found.setdefault((prefix, below.get(name, 0), parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": params,
            "lr": (rate := lr * lr_scale.get(prefix, 1.0) * (layer_decay or 1.0) ** depth),
            "base_lr": rate,
            "weight_decay": weight_decay if decay else 0.0,
            "name": (prefix or "rest") + (f"/{depth}_below" if depth else "") + ("" if decay else "/no_decay"),
        }
        for (prefix, depth, decay), params in found.items()
    ]


def _fusible(found: list[dict[str, Any]]) -> bool:
    """Whether every parameter lies on a device, and has a type, that the fused kernels know."""
    parameters = [p for group in found for p in group["params"]]
    return all(p.device.type in {"cpu", "cuda"} and p.is_floating_point() for p in parameters)
