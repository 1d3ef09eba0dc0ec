"""Named ranges for annotations: the signature of a component is the schema of its config (see `schema`)."""

from dataclasses import dataclass
from typing import Annotated


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
