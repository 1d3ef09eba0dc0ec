"""The smallest whole number for which something holds."""

from __future__ import annotations

from collections.abc import Callable


def smallest(below: int, enough: int, holds: Callable[[int], bool]) -> int:
    """By bisection: the least n in (below, enough] for which it holds, where it holds for `enough` and all above that n."""
    while enough - below > 1:
        middle = (below + enough) // 2
        below, enough = (below, middle) if holds(middle) else (middle, enough)
    return enough
