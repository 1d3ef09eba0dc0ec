"""What an evaluator owes: scores as it states them."""

from __future__ import annotations

from typing import Any

from contract.owed import owed
from multimodal_lab.evaluate.tasks import COUNTS
from multimodal_lab.metric.direction import Scored

LENGTHS = {"label": {4}, "pair": {3, 4}, "name": {3}}


def scores(stated: Scored, found: dict[str, Any], names: list[str]) -> None:
    """`found` is what it gave of embeddings of these names."""
    told = f"evaluator {stated.name}"
    owed(
        stated.scores is not None,
        f"{told}: state its scores and their better way: scores = {{'accuracy': 'max', 'k': None}}",
    )
    owed(stated.by in LENGTHS, f"{told}: state how its keys are made: by = 'label', 'pair' or 'name'")
    owed(found, f"{told}: gives no scores")
    for key, value in found.items():
        first, *rest = key.split("/")
        owed(type(value) is float, f"{told}: {key} is {value!r}; expected a float")
        if first in stated.also or "skipped" in rest:
            continue
        owed(first == stated.name, f"{told}: {key} begins with another name than its own; state also = ({first!r},)")
        owed(1 + len(rest) in LENGTHS[str(stated.by)], f"{told}: {key} is not as by = {stated.by!r} has it")
        own = stated.word(rest[-1]) is not None or rest[-1] in COUNTS
        owed(own, f"{told}: gives {rest[-1]}, which its scores don't state; add it, None if neither way is better")
        known = stated.by == "pair" or rest[0] in [*names, *stated.adds]
        owed(known, f"{told}: {key} is of {rest[0]}, which is no name here; state adds = ({rest[0]!r},)")
    last = {key.rpartition("/")[2] for key in found}
    for word in stated.scores or {}:
        given = any(stated.word(w) == word for w in last)
        owed(given, f"{told}: states {word}, but never gives it; take it out of scores")
    for word in stated.shown:
        owed(word in (stated.scores or {}) or word in COUNTS, f"{told}: shows {word}, which is none of its scores")
