"""An audit finding: one sentence, and whether it invalidates the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

FindingKind = Literal[
    "exact duplicate",
    "near duplicate",
    "group leak",
    "shared pixels",
    "neighbouring patches",
    "random split",
    "confounded label",
    "label in text",
    "contradiction",
    "empty split",
    "single class",
    "absent class",
    "thin class",
    "few groups",
    "absent modality",
    "uneven modality",
    "blank input",
    "id",
    "unit",
    "constant band",
    "same bands",
    "band order",
    "unreadable",
    "other layout",
    "missing modality",
    "nodata",
    "label spelling",
    "file name",
    "projection",
    "offset",
    "refused",
]
Severity = Literal["error", "warning", "info"]
RANK: tuple[Severity, ...] = ("error", "warning", "info")
SHOWN = 3  # examples


@dataclass(frozen=True)
class Finding:
    """One thing found. where: the stream, column, label or split. count: of samples, groups or classes that it concerns.

    void: no comparison on this split stands, or, where it is of one `label`, none of that label. That is so where the test
    part is not unseen (content, groups, pixels that it shares with train or val), where it can't be scored or learnt (no
    test part, one class, a modality missing from a whole part), and where a label goes with how a sample was taken. A leak
    between train and val alone voids nothing: it bends only the choice of the epoch, and that of all arms alike. All else
    is a warning. severity: of the data themselves, where that is not what `void` says: `error` for what a run refuses, or what
    is surely not what the card says; `info` for what need be no fault.
    """

    kind: FindingKind
    where: str
    sentence: str
    void: bool
    count: int = 1
    examples: tuple[str, ...] = ()
    label: str | None = None
    severity: Severity | None = None

    @property
    def level(self) -> Severity:
        """Its severity: what voids a comparison is an error."""
        return self.severity or ("error" if self.void else "warning")

    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        return {**asdict(self), "examples": list(self.examples), "severity": self.level}


def listed(examples: Sequence[str]) -> str:
    """The first examples, and that there are more."""
    return ", ".join(examples[:SHOWN]) + (", …" if len(examples) > SHOWN else "")


def number(count: int, one: str, many: str = "") -> str:
    """`1 sample`, `1,204 samples`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
