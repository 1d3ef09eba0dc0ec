"""Rows of images and texts before anything is decoded: files found, texts checked, and what is missing told or left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from multimodal_lab.data.readers.folder import NoFile
from multimodal_lab.data.readers.places import Places
from multimodal_lab.data.source import DataError
from multimodal_lab.text import is_blank, some

Missing = Literal["refuse", "keep", "drop"]
Row = dict[str, Any]
T = TypeVar("T")
ABSENT = "no file of"


@dataclass
class Gaps:
    """What rows lack.

    missing: `refuse` raises the first gap, with how many there are; `keep` keeps such rows, whose value is then None; `drop`
    leaves them out. Blank ones of several texts are left out by both, and counted. why: {row number: (what, told)}, its first
    gap; of: {column: {row number: the same}}, all of them. blank: {column: what is told}. called: how messages name a row by its
    number, from 1. about: {note: the one column that it is about}, of what `settle` tells.
    """

    file: str
    missing: Missing
    why: dict[int, tuple[str, str]] = field(default_factory=dict)
    of: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)
    blank: dict[str, list[str]] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    called: Callable[[int], str] = "row {}".format

    def texts(self, number: int, row: Row, columns: Sequence[str]) -> None:
        """Refuse what is no text; a blank text becomes None, and of several the blank ones go."""
        for column in columns:
            value = row.get(column)
            several = isinstance(value, list)
            found: list[Any] = value if isinstance(value, list) else [] if value is None else [value]
            if not all(isinstance(text, str) for text in found):
                expected = "expected a text or a list of texts"
                raise DataError(f"{self.file}: {self.called(number)}: {column!r} is {value!r}, {expected}")
            kept = [text for text in found if not is_blank(text)]
            if len(kept) == len(found):
                continue
            at = next(i for i, text in enumerate(found) if is_blank(text))
            told = f"text {at + 1} of {len(found)} of {column!r} is blank" if several else f"{column!r} is blank"
            if kept:
                self.blank.setdefault(column, []).append(f"{self.called(number)}: {told}")
                row[column] = kept
            elif several or value:  # an empty one is a gap as any other
                self._note(column, number, f"blank {column!r}", f"{self.called(number)}: {told}")
                row[column] = None

    def columns(self, number: int, row: Row, needed: Sequence[str], key: str | None) -> None:
        """Note the `needed` columns that a row has not; its name, in column `key`, no row may lack."""
        for column in needed:
            if _empty(row.get(column)):
                held = [k for k, v in row.items() if not _empty(v)]
                told = f"{self.called(number)} has no {column!r}; it has {some(held)}"
                if column == key:
                    raise DataError(f"{self.file}: {told}")
                self._note(column, number, f"no {column!r}", told)

    def files(
        self, number: int, row: Row, columns: Sequence[str], places: Places, strict: bool
    ) -> list[tuple[str, str]]:
        """Put in place of names of files their paths below the root; gives those that changed, as (written, path).

        strict: raise what is wrong with one; else it is told when the row is read.
        """
        renamed = []
        for column in columns:
            name = row.get(column)
            if name in (None, ""):
                continue
            try:
                path = places.find(name, f"{self.file}: {self.called(number)}")
            except NoFile as error:
                if strict or self.missing == "drop":
                    self.why[number] = f"{ABSENT} {column!r}", str(error).removeprefix(f"{self.file}: ")
                continue
            except DataError:
                if strict:
                    raise
                continue
            if path != name:
                renamed += [(str(name), path)] if name != f"./{path}" else []
                row[column] = path
        return renamed

    def settle(self, rows: list[T]) -> tuple[list[T], list[str]]:
        """The rows that are taken, and what there is to tell; `DataError` of the first gap where none may be.

        A file that is named and not there is none that a row lacks: `keep` refuses it, too. What is kept is told column by
        column: a run reads some of them.
        """
        absent = {n: why for n, why in self.why.items() if why[0].startswith(ABSENT)}
        refused = self.why if self.missing == "refuse" else absent if self.missing == "keep" else {}
        if refused or (self.blank and self.missing == "refuse"):
            raise DataError(self._refusal(refused, len(rows)))
        for column, found in self.blank.items():
            several = f"{len(found)} rows have blank ones among several texts, which are left out"
            self.about[f"{self.file}: {several}: {found[0]}"] = column
        if self.missing == "keep":
            self.about |= {self._counted(gaps, len(rows)): column for column, gaps in self.of.items()}
            return rows, [*self.about]
        notes = [*self.about]
        if self.why:
            notes.append(said := self._counted(self.why, len(rows)))
            if len(self.why) == len(rows):
                raise DataError(said)
        return [row for n, row in enumerate(rows, 1) if n not in self.why], notes

    def _counted(self, gaps: dict[int, tuple[str, str]], total: int) -> str:
        """How many rows have gaps, which, and the first."""
        counts = "; ".join(f"{n} x {what}" for what, n in Counter(what for what, _ in gaps.values()).most_common())
        share = f"{len(gaps)} of {total} rows ({len(gaps) / total:.2%})"
        done = "lack something" if self.missing == "keep" else "are left out"
        first = next(iter(gaps.values()))[1]
        return f"{self.file}: {share} {done} (data.source.missing={self.missing}): {counts}; the first: {first}"

    def _refusal(self, refused: dict[int, tuple[str, str]], total: int) -> str:
        """The first gap, how many rows have one, and the policies that would go on."""
        blank = [told for found in self.blank.values() for told in found]
        told = next(iter(refused.values()))[1] if refused else blank[0]
        count = len(refused) + len(blank)
        how = f"{count} of {total} rows lack something ({count / total:.2%}); " if count > 1 else ""
        drops = "data.source.missing=drop leaves such rows out"
        absent = any(what.startswith(ABSENT) for what, _ in refused.values())
        cure = drops if absent else "data.source.missing=keep allows gaps, drop leaves such rows out"
        return f"{self.file}: {told} ({how}{cure})"

    def _note(self, column: str, number: int, what: str, told: str) -> None:
        self.why.setdefault(number, (what, told))
        self.of.setdefault(column, {}).setdefault(number, (what, told))


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list) and not value)
