"""Call an evaluator with what its signature asks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def call(evaluator: Callable[..., dict[str, float]], **given: Any) -> dict[str, float]:
    """Its scores; of what is `given` (train, test, val, data, system, device) it gets the parameters it has.

    One that names neither train nor test gets both by position.
    """
    asked = inspect.signature(evaluator).parameters
    if not asked.keys() & {"train", "test"}:
        return evaluator(given["train"], given["test"])
    return evaluator(**{name: value for name, value in given.items() if name in asked})


def asks(evaluator: Callable[..., Any], name: str) -> bool:
    """Whether `call` gives an evaluator this one."""
    asked = inspect.signature(evaluator).parameters
    return name in asked or (name in ("train", "test") and not asked.keys() & {"train", "test"})
