"""Buffers that a module has got since a checkpoint was written: what it holds of them is how they begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def with_later(part: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """`state` of a module with the buffers that it lacks and that the module says came later, as they are at the start.

    A module of `part`, itself one or with one in `module`, says so in `came_later`, the endings of their names.
    """
    found = dict(state)
    whole = part if isinstance(part, nn.Module) else getattr(part, "module", None)
    for name, module in whole.named_modules() if isinstance(whole, nn.Module) else ():
        ends: tuple[str, ...] = getattr(module, "came_later", ())
        for key, value in module.named_buffers(name, recurse=False) if ends else ():
            if key.endswith(ends):
                found.setdefault(key, value)
    return found
