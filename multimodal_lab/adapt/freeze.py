"""Freeze modules of a built System before training, by prefix."""

from __future__ import annotations

from torch import nn

from multimodal_lab.adapt.parts import require_parts
from multimodal_lab.backbone.freeze import freeze as freeze_module

freezes_argument = "modules"


def freeze(system: nn.Module, *, modules: list[str]) -> None:
    """Freeze the modules with these dotted names and all below them: no gradient, permanently in eval mode.

    `[backbones]` freezes every backbone, `[backbones.each.rgb]` one. A name that is no module of the system is a
    ValueError with the nearest; a module without parameters is allowed.
    """
    require_parts(system, modules)
    for name in modules:
        freeze_module(system.get_submodule(name))
    if not any(p.requires_grad for p in system.parameters()):
        raise ValueError(f"adapt.modules={modules} freezes the whole system: nothing is left to train")
