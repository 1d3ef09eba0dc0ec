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
    _require_own(system, modules)
    for name in modules:
        freeze_module(known[name])
    if not any(p.requires_grad for p in system.parameters()):
        raise ValueError(f"adapt.modules={modules} freezes the whole system: nothing is left to train")


def _require_own(system: nn.Module, modules: list[str]) -> None:
    """Refuse a module that holds weights of another one that is not frozen, such as a head with a backbone's word vectors."""
    homes = {id(p): name for name, p in system.named_parameters()}
    for module in modules:
        for _, p in system.get_submodule(module).named_parameters():
            home = homes[id(p)]
            if not any(home.startswith(f"{other}.") for other in modules):
                raise ValueError(
                    f"adapt.modules: {module} holds {home}, which it shares; freeze {home.rpartition('.')[0]} too, or name "
                    f"the modules in {module} that are its own"
                )
