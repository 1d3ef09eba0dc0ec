"""Depth of each parameter in its backbone, for layer-wise learning rate decay."""

from __future__ import annotations

import re

from torch import nn

_NUMBER = re.compile(r"(?:^|\.)(\d+)(?=\.)")


def below(system: nn.Module) -> dict[str, int]:
    """{parameter: layers from it to the fusion}, for every parameter of `backbones`: 1 in a backbone's last layer.

    timm's models say which parameters make a layer; elsewhere the first number in a name counts (`stages.2.…`), what
    stands before the first numbered layer is below it and what stands behind the last is the last. A system without a
    backbone of two layers or more is a `ValueError`: nothing would decay.
    """
    found: dict[str, int] = {}
    for prefix in _backbones(system):
        layer = _layers(system.get_submodule(prefix))
        found |= {f"{prefix}.{name}": max(layer.values()) + 1 - i for name, i in layer.items()}
    if max(found.values(), default=1) < 2:
        raise ValueError("optim.layer_decay: no backbone of this system has two layers or more; leave it null")
    return found


def _backbones(system: nn.Module) -> list[str]:
    names = {name for name, _ in system.named_modules()}
    each = [n for n in names if n.startswith("backbones.each.") and n.count(".") == 2]
    return sorted([*each, *(n for n in names if n == "backbones.shared")])


def _layers(backbone: nn.Module) -> dict[str, int]:
    """{parameter: its layer, from 0}; {} without parameters."""
    for name, module in backbone.named_modules():
        if hasattr(module, "group_matcher"):
            from timm.models import group_parameters

            inner = group_parameters(module, module.group_matcher(coarse=False), reverse=True)
            top = max(inner.values())
            return {
                n: inner.get(n.removeprefix(f"{name}." if name else ""), top) for n, _ in backbone.named_parameters()
            }
    return _numbered([n for n, _ in backbone.named_parameters()])


def _numbered(names: list[str]) -> dict[str, int]:
    numbers = [int(m[1]) if (m := _NUMBER.search(n)) else None for n in names]
    known = [n for n in numbers if n is not None]
    if not known:
        return dict.fromkeys(names, 0)
    first, found, seen = min(known), {}, False
    for name, number in zip(names, numbers, strict=True):
        seen |= number is not None
        found[name] = number - first + 1 if number is not None else max(known) - first + 1 if seen else 0
    lowest = min(found.values())
    return {name: layer - lowest for name, layer in found.items()}
