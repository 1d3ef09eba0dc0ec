"""How much a request may hold, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Of one request. bytes: of its body; pixels: height times width that a picture's header may claim, before it is decoded.

    letters: of a text. classes, templates: of a zero-shot question, prompts: their letters. results: of a search. waiting:
    requests that wait for the model; connections: that are open at once. seconds: a silent connection is closed, a body must
    have come.
    """

    bytes: int = 20 * MIB
    pixels: int = 50_000_000
    letters: int = 10_000
    classes: int = 1_000
    templates: int = 100
    prompts: int = 20_000
    results: int = 100
    waiting: int = 32
    connections: int = 64
    seconds: float = 30.0

    @property
    def decoded(self) -> int:
        """Bytes that a file of several bands may claim: four of each pixel that a picture may have."""
        return 4 * self.pixels
