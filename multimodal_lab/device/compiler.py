"""Marks for torch's compiler, told when something compiles: its import takes a second, and most commands compile nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
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
    _tell(lambda: torch.compiler.assume_constant_result(function))  # type: ignore[no-untyped-call]
    return function


def opaque(function: F) -> F:
    """`torch.compiler.disable`: the function runs as it is written, and no compiler looks into it."""
    held: list[Any] = [function]
    _tell(lambda: held.__setitem__(0, torch.compiler.disable(function)))  # type: ignore[no-untyped-call]

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        return held[0](*arguments, **options)

    return cast(F, call)


def _tell(word: Callable[[], object]) -> None:
    if _begun:
        word()
    else:
        _waiting.append(word)
