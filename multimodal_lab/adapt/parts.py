"""The parts of a system that an adaptation names, by prefix, and that it may change by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from multimodal_lab.text import expected_one_of


def require_parts(system: nn.Module, names: Sequence[str], verb: str = "freeze") -> None:
    """`ValueError` for a name that is no module of `system`, with the nearest, and for one that holds weights of another.

    Such as a head with a backbone's word vectors, where the backbone is not named. verb: what the caller would do to it.
    """
    known = dict(system.named_modules())
    for name in names:
        if not name or name not in known:
            near = expected_one_of(name, [n for n in known if n])
            raise ValueError(f"adapt.modules: no module named {name!r} in the system; {near}")
    homes = {id(p): name for name, p in system.named_parameters()}
    for name in names:
        for _, p in known[name].named_parameters():
            home = homes[id(p)]
            if not any(home.startswith(f"{other}.") for other in names):
                raise ValueError(
                    f"adapt.modules: {name} holds {home}, which it shares; {verb} {home.rpartition('.')[0]} too, or name "
                    f"the modules in {name} that are its own"
                )
