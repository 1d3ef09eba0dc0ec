"""What a run does not see of the words that it is asked by: those beyond its context, and those that it never learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def unread(tokens: Any, name: str, texts: Sequence[str]) -> list[str]:
    """In sentences; none where all is seen. tokens: the tokenizer of stream `name`, None where it has none."""
    if tokens is None or not texts:
        return []
    cut, unknown, most, nothing = tokens.lost(texts)
    one, said = len(texts) == 1, []
    if cut:
        which = f"{most} words or pieces" if one else f"{cut:.0%} of {len(texts)} texts are longer ({most} at most)"
        said.append(f"{name}: {which}, of which the run reads the first {tokens.room}")
    if nothing:
        which = "" if one else f"of {nothing} of {len(texts)} texts "
        said.append(f"{name}: {which}no word is known to the run, so that what it gives for it says nothing")
    if unknown and not (one and nothing):
        said.append(f"{name}: {unknown:.0%} of the words are unknown to the run")
    return said
