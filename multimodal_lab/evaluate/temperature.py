"""The temperature that a run's losses divide cosines by."""

from __future__ import annotations

from typing import Any

DIVIDES, MULTIPLIES = "temperature", "scale"  # as losses call it: cosine / temperature, cosine * scale (SigLIP)


def of_losses(system: Any) -> float | None:
    """That of the first loss term that compares vectors, `z`, by one: learned, scheduled (at its end) or fixed; else None."""
    for term in getattr(system, "losses", {}).values():
        if "z" not in getattr(term, "paths", {}):
            continue  # another loss's `scale` is of other things
        found = {**term.constants, **term.scalars(1.0)}
        for name in (DIVIDES, MULTIPLIES):
            if isinstance(value := found.get(name), int | float):
                return float(value) if name == DIVIDES else 1 / float(value)
    return None
