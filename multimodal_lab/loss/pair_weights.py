"""Which pairs of streams a loss compares, and what each weighs in its mean; without torch, so that configs are checked by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from multimodal_lab.bounds import NonNegative
from multimodal_lab.text import expected_one_of, nearest

FUSED = "fused"
Hub = str | None
"""The stream that all others are compared with, and nothing else (Girdhar 2023, ImageBind, section 3.2); None: every pair."""
PairWeights = Mapping[str, NonNegative] | None
"""{"image-text": 2.0}: what a pair weighs beside the others, in either order of its names; 1 where it is not named."""


class PairError(ValueError):
    """A hub or a pair that the streams do not have: which argument, what was found, what was expected, the nearest."""

    def __init__(self, argument: str, found: object, expected: str, near: str = "") -> None:
        super().__init__(f"{argument}={found}: {expected}")
        self.argument, self.found, self.expected, self.near = argument, found, expected, near


def weigh(streams: Iterable[str], hub: Hub = None, pair_weights: PairWeights = None) -> dict[tuple[str, str], float]:
    """{(a, b): weight} of every unordered pair that is compared, its weight > 0; {} for fewer than two streams.

    `fused` has seen both sides of any pair, and is in none. `PairError` for a hub that is no stream, for a pair that is
    not compared or is named twice, and where all weights are 0.
    """
    names = [name for name in streams if name != FUSED]
    if hub is not None and hub not in names:
        raise PairError("hub", hub, expected_one_of(hub, names), *nearest(hub, names))
    found = {pair: 1.0 for pair in combinations(names, 2) if hub is None or hub in pair}
    named = {name: pair for pair in found for name in ("-".join(pair), "-".join(reversed(pair)))}
    given: set[tuple[str, str]] = set()
    for name, weight in (pair_weights or {}).items():
        if name not in named:
            known = ["-".join(pair) for pair in found]
            why = "" if hub is None else f"with hub={hub}, "
            raise PairError("pair_weights", name, why + expected_one_of(name, known), *nearest(name, known))
        if named[name] in given:
            raise PairError("pair_weights", name, "names a pair twice, in both orders; give it once")
        given.add(named[name])
        found[named[name]] = float(weight)
    if found and not any(found.values()):
        raise PairError("pair_weights", dict(pair_weights or {}), "every pair weighs 0; give one a weight > 0")
    return {pair: weight for pair, weight in found.items() if weight}
