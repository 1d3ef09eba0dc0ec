"""What numbers may be: named ranges for annotations, as the signature of a component is the schema of its config (see `schema`),
and what the numbers of one component must be beside each other.

A class says the latter in words, `relations = {"hop_length": "at most half of n_fft", "kernel": "odd"}`, {argument: what holds
of it}: `odd`, `even`, `one or more` and `two or more` (of a list), `divides NAME`, `divided by NAME` (each of a list), `at most
NAME` and `at most half of NAME`, where NAME is another argument, or a setting of one that is built, such as `mel.n_mels`;
several are joined by `, `. An argument that is None, or one that is not known yet, is refused nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple


@dataclass(frozen=True)
class Range:
    """An interval of allowed numbers; `open_low` leaves `low` itself out."""

    low: float = float("-inf")
    high: float = float("inf")
    open_low: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.open_low else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        if self.high == float("inf"):
            return f"{'>' if self.open_low else '>='} {self.low:g}"
        return f"in {'(' if self.open_low else '['}{self.low:g}, {self.high:g}]"


Count = Annotated[int, Range(low=1)]
Natural = Annotated[int, Range(low=0)]
Epochs = Annotated[int, Range(low=1, high=100_000)]  # more is a slip: a training of days makes some hundred
Decay = Annotated[float, Range(low=0, high=0.99999)]  # of a running average: at 1 it would never move
Beta = Annotated[float, Range(low=0, high=0.99999, open_low=True)]  # of a running average that moves and remembers
Positive = Annotated[float, Range(low=0, open_low=True)]
NonNegative = Annotated[float, Range(low=0)]
Fraction = Annotated[float, Range(low=0, high=1)]
Share = Annotated[float, Range(low=0, high=0.99)]  # of a whole that must not be all of it
Margin = Annotated[float, Range(low=0, high=1, open_low=True)]

FORMS = ("odd", "even", "one or more", "two or more", "divides", "divided by", "at most half of", "at most")


class Unfit(NamedTuple):
    """An argument that does not fit: its value, what was expected, and the nearest that fits, None where none is known."""

    argument: str
    value: Any
    expected: str
    near: Any = None


def unfit(relations: Mapping[str, str], given: Mapping[str, Any]) -> Iterator[Unfit]:
    """Every argument of `given` of which a relation does not hold."""
    for argument, words in relations.items():
        for one in words.split(", "):
            found = _unfit(argument, given.get(argument), one, given)
            if found is not None:
                yield found
                break


def require_relations(what: str, relations: Mapping[str, str], given: Mapping[str, Any]) -> None:
    """`ValueError` for the first argument of which a relation does not hold; `what` it is of, such as `head=sync`."""
    for bad in unfit(relations, given):
        near = "" if bad.near is None else f"; nearest: {bad.near}"
        raise ValueError(f"{what}: {bad.argument}={bad.value}: expected {bad.expected}{near}")


def _unfit(argument: str, value: Any, words: str, given: Mapping[str, Any]) -> Unfit | None:
    form = next((f for f in FORMS if words == f or words.startswith(f"{f} ")), None)
    if form is None:
        raise ValueError(f"relations: {argument}: {words!r}, expected one of {', '.join(FORMS)}")
    if form.endswith("or more"):
        least = 1 if form.startswith("one") else 2
        short = isinstance(value, list | tuple) and len(value) < least
        return Unfit(argument, value, f"{form} numbers") if short else None
    if not isinstance(value, int | list | tuple):
        return None
    if form in ("odd", "even"):
        if not isinstance(value, int) or (value % 2 == 1) == (form == "odd"):
            return None
        return Unfit(argument, value, f"an {form} number", value + 1)
    name = words.removeprefix(f"{form} ")
    other = _known(name, given)
    if not isinstance(other, int) or other < 1:
        return None
    each = [v for v in (value if isinstance(value, list | tuple) else [value]) if isinstance(v, int) and v]
    fits: Callable[[int], bool] = {
        "divides": lambda v: other % v == 0,
        "divided by": lambda v: v % other == 0,
        "at most": lambda v: v <= other,
        "at most half of": lambda v: v <= other // 2,
    }[form]
    if all(map(fits, each)):
        return None
    near = None
    if isinstance(value, int):
        upto = max(value, other) + other
        near = min((v for v in range(1, upto + 1) if fits(v)), key=lambda v: abs(v - value), default=None)
    said = {
        "divides": f"a divisor of {name}={other}",
        "divided by": f"divisible by {name}={other}",
    }.get(form, f"{form} {name}={other}")
    return Unfit(argument, value, said, near)


def _known(name: str, given: Mapping[str, Any]) -> Any:
    """An argument, or a setting of one that is to be built: a node of a config, or a partial."""
    first, *rest = name.split(".")
    found: Any = given.get(first)
    for word in rest:
        settings = found if isinstance(found, Mapping) else getattr(found, "keywords", None)
        found = settings.get(word) if isinstance(settings, Mapping) else getattr(found, word, None)
    return found
