"""Memoised constants (name hashes, lookup tables) that torch.compile treats as constants."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import cast

import torch
from torch import Tensor


def number(function: Callable[[str], int]) -> Callable[[str], int]:
    """Memoise the number that a function computes from a word; torch.compile sees a constant."""
    kept = lru_cache(maxsize=4096)(function)

    @wraps(function)
    def found(text: str) -> int:
        return kept(text)

    return cast(Callable[[str], int], torch.compiler.assume_constant_result(found))  # type: ignore[no-untyped-call]


def tables(most: int) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Memoise the last `most` tables that a function computes from hashable constants; a table is never written to.

    A compiler finds those that are there and takes them as inputs of its graph; it would look through `lru_cache` and make
    them anew with every batch. So what is compiled runs once before, unchanged.
    """

    def keep(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        kept: dict[tuple[Hashable, ...], Tensor] = {}

        @wraps(function)
        def found(*arguments: Hashable) -> Tensor:
            if arguments not in kept:
                if len(kept) >= most:
                    kept.pop(next(iter(kept)))
                kept[arguments] = function(*arguments)
            return kept[arguments]

        return found

    return keep
