"""Freeze modules of a built System before training, by prefix."""

from __future__ import annotations

from torch import nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.text import expected_one_of

freezes_argument = "modules"


def freeze(system: nn.Module, *, modules: list[str]) -> None:
    """Freeze the modules with these dotted names and all below them: no gradient, permanently in eval mode.

    `[backbones]` freezes every backbone, `[backbones.each.rgb]` one. A name that is no module of the system is a
    ValueError with the nearest; a module without parameters is allowed.
    """
    known = dict(system.named_modules())
    for name in modules:
        if not name or name not in known:
            near = expected_one_of(name, [n for n in known if n])
            raise ValueError(f"adapt.modules: no module named {name!r} in the system; {near}")
    for name in modules:
        freeze_module(known[name])
    if not any(p.requires_grad for p in system.parameters()):
        raise ValueError(f"adapt.modules={modules} freezes the whole system: nothing is left to train")
