"""What hangs on constants alone is made once: kept beside the code, and a constant in what torch.compile makes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
T = TypeVar("T")


def once(most: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Keep the last `most` results of a function of hashable constants; a result is a number or a tensor, never written into.

    A compiler would look through `lru_cache` and compute the same anew with every batch.
    """

    def keep(function: Callable[P, T]) -> Callable[P, T]:
        kept = cast(Callable[P, T], lru_cache(maxsize=most)(function))

        @wraps(function)
        def found(*arguments: P.args, **options: P.kwargs) -> T:
            return kept(*arguments, **options)

        return torch.compiler.assume_constant_result(found)  # type: ignore[no-any-return, no-untyped-call]

    return keep
