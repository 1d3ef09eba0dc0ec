"""Build a component from its factory and the arguments that only an upstream object knows, as far as it asks for them."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any


def asks(factory: Any, name: str) -> bool:
    """Whether a class, function or factory of one has a parameter `name`."""
    return name in inspect.signature(getattr(factory, "func", factory)).parameters


def build(factory: Any, /, **facts: Any) -> Any:
    """Call `factory(**facts)`, refusing a fact that the config also sets.

    `functools.partial` lets a later keyword override an earlier one silently, so that a width typed into a YAML would be
    ignored without a word; here it is a `ValueError` that names the key.
    """
    if not isinstance(factory, partial):
        raise TypeError(
            f"expected a factory (a config with `_partial_: true`), got {type(factory).__name__}: "
            f"it needs {', '.join(facts)} from the stage before it"
        )
    clash = sorted(facts.keys() & factory.keywords.keys())
    if clash:
        name = getattr(factory.func, "__qualname__", str(factory.func))
        raise ValueError(
            f"{name}: {', '.join(clash)} comes from the stage before it and can't be set in the config; remove it"
        )
    return factory(**facts)
