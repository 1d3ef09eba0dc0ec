"""Parameter groups: learning rate by module prefix and depth, no weight decay on norms, biases and scalars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from multimodal_lab.optim.layer_decay import below as layers_below
from multimodal_lab.text import expected_one_of


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
    below = {} if layer_decay is None else layers_below(system)
    found: dict[tuple[str, int, bool], list[nn.Parameter]] = {}
    for name, parameter in system.named_parameters():
        if parameter.requires_grad:
            # with the dot, so that `head` is no prefix of `heads`
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
