"""Overrides of an arm as text: what a line sets, and which of two lines stands."""

from __future__ import annotations

from collections.abc import Sequence


def key(line: str) -> str:
    """What an override sets: `+data.shuffle={…}` sets `data.shuffle`."""
    return line.lstrip("+~").partition("=")[0]


def under(name: str, top: str) -> bool:
    """Whether a dotted key is `top` or below it."""
    return name == top or name.startswith(f"{top}.")


def later(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Both lists of overrides; of one key the later stands."""
    set_again = {key(line) for line in second}
    return [*(line for line in first if key(line) not in set_again), *second]
