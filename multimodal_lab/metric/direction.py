"""Which direction of a score is better, and the other facts that an evaluator declares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

Mode = Literal["auto", "min", "max"]
Way = Literal["min", "max"]


@dataclass(frozen=True)
class Scored:
    """The scores that an evaluator declares; `scores` is None if it declares none.

    name: the first word of its keys. scores: {last word of a key: its better way, None for a count}; `R@*` is any such
    word. either_way: words whose other way may be wanted too. by: keys are NAME/LABEL/SCORE, PAIR/SCORE or NAME/SCORE.
    shown: {word: its title} in tables; title: of the table; stand_in: only where no other is shown; beside_chance: beside
    `chance/LABEL`. reads: what is scored, embeddings or what heads say; NAME is then the head's. predicts: keeps what it
    predicts of each sample. also: other first words; adds: names besides the fusion's.
    """

    name: str
    scores: Mapping[str, Way | None] | None = None
    either_way: Sequence[str] = ()
    by: str | None = None
    shown: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    stand_in: bool = False
    beside_chance: bool = False
    predicts: bool = False
    reads: str = "embeddings"
    also: Sequence[str] = ()
    adds: Sequence[str] = ()

    def word(self, last: str) -> str | None:
        """The declared name of a key's last word; None if it is not declared."""
        return next((word for word in self.scores or {} if fnmatchcase(last, word)), None)

    def way(self, last: str) -> Way | None:
        """The better direction of a score."""
        word = self.word(last)
        return None if word is None else (self.scores or {})[word]


def chance_key(keys: Collection[str], evaluator: str, label: str, what: str = "chance") -> str:
    """Where the chance of a label lies: `chance@EVALUATOR/LABEL` of one that scores other rows, else `chance/LABEL`."""
    own = f"{what}@{evaluator}/{label}"
    return own if own in keys else f"{what}/{label}"


def usual(name: str, scored: Sequence[Scored] = (), losses: Collection[str] | None = None) -> Way | None:
    """The better direction of `val/knn/fused/species/accuracy`; None if unknown, as for counts.

    `val/NAME` is a term of the loss, where `losses` are given one of these or `total`: less is better.
    """
    words = name.split("/")
    if len(words) == 2:
        return "min" if losses is None or words[1] in {"total", *losses} else None
    found = _of(name, scored)
    return found.way(words[-1]) if found else None


def sure(name: str, scored: Sequence[Scored] = ()) -> bool:
    """Whether the other direction can only be a mistake."""
    found = _of(name, scored)
    return found is None or name.split("/")[-1] not in found.either_way


def resolve(mode: str, monitor: str | None, scored: Sequence[Scored] = ()) -> str:
    """`min` or `max`; without a monitored score `auto` is `min`, which then has no effect. ValueError if unknown."""
    if mode != "auto":
        return mode
    found = "min" if monitor is None else usual(monitor, scored)
    if found is None:
        raise ValueError(f"train.mode=auto: whether more or less {monitor} is better is not known; say min or max")
    return found


def shown(scored: Sequence[Scored], keys: Collection[str]) -> list[Scored]:
    """The evaluators whose scores a table of these keys has: stand-ins, the first of them, only where nothing else is."""
    there = [e for e in scored if e.shown and any(key.startswith(f"{e.name}/") for key in keys)]
    first = [e for e in there if not e.stand_in]
    spare = [e for e in there if e.stand_in and not any(f.by == e.by for f in first)]
    return [*first, *spare[:1]]


def _of(name: str, scored: Sequence[Scored]) -> Scored | None:
    """The evaluator that gives a score of a validation pass, `val/` before it or not."""
    words = name.split("/")
    return next((e for e in scored if e.name in words[:2]), None)
