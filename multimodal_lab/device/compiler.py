"""Marks for torch's compiler, told when something compiles: its import takes a second, and most commands compile nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

F = TypeVar("F", bound=Callable[..., Any])
_waiting: list[Callable[[], object]] = []
_begun = False


def begin() -> None:
    """Tell what is known of the functions of every module; whatever compiles asks for it before."""
    global _begun
    _begun = True
    while _waiting:
        _waiting.pop()()


def compiled(function: F, *arguments: Any, **options: Any) -> F:
    """`torch.compile`, once all is told."""
    begin()
    return cast(F, torch.compile(function, *arguments, **options))


def constant(function: F) -> F:
    """`torch.compiler.assume_constant_result`: a compiler need not see how the function makes its number."""
    if _begun:
        return cast(F, torch.compiler.assume_constant_result(function))  # type: ignore[no-untyped-call]
    _waiting.append(lambda: torch.compiler.assume_constant_result(function))  # type: ignore[no-untyped-call]
    return function


def opaque(function: F) -> F:
    """`torch.compiler.disable`: the function runs as it is written, and no compiler looks into it.

    It takes the function's place in its module or class, and so counts for whoever calls it there by its name.
    """
    if _begun:
        return cast(F, torch.compiler.disable(function))  # type: ignore[no-untyped-call]

    def replace() -> None:
        *owners, name = function.__qualname__.split(".")
        place: Any = sys.modules[function.__module__]
        for owner in owners:
            place = getattr(place, owner)
        setattr(place, name, torch.compiler.disable(function))  # type: ignore[no-untyped-call]

    _waiting.append(replace)
    return function
