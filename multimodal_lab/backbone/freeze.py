"""Freeze a module: no gradients, and eval mode even when its parent is set to train()."""

from __future__ import annotations

from types import MethodType

from torch import nn


def freeze(module: nn.Module) -> nn.Module:
    """Freeze a module: no gradient for any parameter, permanently in eval mode, also after `train()` on a parent.

    Running statistics of norms therefore stay as they are and dropout stays off. The forward pass needs no `no_grad`:
    autograd records nothing when neither weights nor inputs want gradients, and where an input does (a frozen fusion
    behind a backbone that trains) its gradient must pass. Returns the same module.
    """
    module.requires_grad_(False)
    module.eval()
    for part in module.modules():  # on the instance, so that names, state_dict and deepcopy are untouched
        part.__dict__["train"] = MethodType(_stay, part)
    return module


def is_frozen(module: nn.Module) -> bool:
    """Whether `freeze` keeps this module in eval mode."""
    return getattr(module.__dict__.get("train"), "__func__", None) is _stay


def _stay(self: nn.Module, mode: bool = True) -> nn.Module:
    """`train` of a frozen module: whatever `mode` says, it stays in eval mode."""
    return self
