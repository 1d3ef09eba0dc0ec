"""The header of a .ts file: lines `@key value` up to `@data`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from multimodal_lab.data.readers.ts_line import cut
from multimodal_lab.data.source import DataError
from multimodal_lab.text import expected_one_of

KEYS = ("problemname", "timestamps", "missing", "univariate", "dimensions", "dimension", "equallength", "serieslength",
        "classlabel", "targetlabel")  # fmt: skip


@dataclass(frozen=True)
class Header:
    """dimensions: series of one recording. length: of every recording, None: they differ. label: what a line ends in.
    timed: whether each value stands with its time."""

    dimensions: int
    length: int | None
    label: Literal["class", "number", ""]
    classes: tuple[str, ...]
    timed: bool = False

    def value(self, word: str, where: str) -> object:
        """The label of a line: one of `classes`, or a number."""
        if self.label == "number":
            try:
                return float(word)
            except ValueError:
                raise DataError(f"{where}: its label is {word!r}, expected a number (@targetLabel)") from None
        if word not in self.classes:
            raise DataError(f"{where}: its label is {word!r}; {expected_one_of(word, self.classes)} (@classLabel)")
        return word

    def told(self) -> str:
        """What files of one problem have in common."""
        times = " and times" if self.timed else ""
        return f"{self.dimensions} dimensions{times} and {'a ' + self.label if self.label else 'no'} label"


def header_of(lines: Sequence[str], name: str) -> tuple[Header, int]:
    """The header and the place of the first line behind `@data`; `DataError` for one that is not there, or lies."""
    facts: dict[str, str] = {}
    for at, line in enumerate(lines):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        key, _, value = text.partition(" ")
        if key.lower() == "@data":
            return _header(facts, _first(lines[at + 1 :]), name), at + 1
        if not key.startswith("@") or key[1:].lower() not in KEYS:
            raise DataError(
                f"{name}: line {at + 1} is {text[:40]!r}, expected {expected_one_of(key[1:].lower(), KEYS)} after @"
            )
        facts[key[1:].lower()] = value.strip()
    raise DataError(f"{name}: no line @data")


def _first(lines: Sequence[str]) -> str:
    return next((line for line in lines if line.strip() and not line.startswith("#")), "")


def _header(facts: dict[str, str], first: str, name: str) -> Header:
    timed = facts.get("timestamps", "false").lower() == "true"
    label: Literal["class", "number", ""] = ""
    for key, what in (("classlabel", "class"), ("targetlabel", "number")):
        if facts.get(key, "false").split()[:1] == ["true"]:
            label = what  # type: ignore[assignment]
    found = len(cut(first, timed)) - bool(label)
    dimensions = _whole(facts, "dimensions" if "dimensions" in facts else "dimension", name) or found
    if facts.get("univariate", "").lower() == "true" and dimensions != 1:
        raise DataError(f"{name}: @univariate true, and {dimensions} dimensions")
    same = facts.get("equallength", "false").lower() == "true"
    classes = tuple(facts.get("classlabel", "").split()[1:])
    return Header(dimensions, _whole(facts, "serieslength", name) if same else None, label, classes, timed)


def _whole(facts: dict[str, str], key: str, name: str) -> int | None:
    if key not in facts:
        return None
    if not facts[key].isdecimal() or len(facts[key]) > 9 or int(facts[key]) < 1:
        raise DataError(f"{name}: @{key} {facts[key][:40]!r}, expected a whole number from 1")
    return int(facts[key])
