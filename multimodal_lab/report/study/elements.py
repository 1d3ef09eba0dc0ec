"""Report elements (text, table, figure) and number formatting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multimodal_lab.stats.score import ACCURACY, Score, named

MARKS = {"adds": "▲", "redundant": "=", "harms": "▼", "no evidence": "?", "underpowered": "…", "invalid": "✕",
         "better": "▲", "alike": "=", "worse": "▼", "not known": "…"}  # fmt: skip
Cell = str


@dataclass(frozen=True)
class Table:
    """Rows of text under a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A small PNG of one sample, its name and what it is."""

    path: Path
    name: str
    truth: str


@dataclass(frozen=True)
class Section:
    """A part of the report; figures are (what it shows, file); pictures stand in a row."""

    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[tuple[str, Path]] = ()
    command: str = ""
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Word:
    """One verdict: `mark` tells it where colours don't. over: a modality; gain: of which arm, and how much; why: its sentence."""

    kind: str
    over: str
    gain: str
    why: str

    @property
    def title(self) -> str:
        """`redundant over uv`."""
        return f"{self.kind} over {self.over}" if self.over else self.kind

    @property
    def mark(self) -> str:
        """A sign beside the word."""
        return MARKS.get(self.kind, "·")

    @property
    def style(self) -> str:
        """The class of its colour: one of the words, or nothing that a file could choose."""
        return self.kind.replace(" ", "-") if self.kind in MARKS else "other"


@dataclass(frozen=True)
class AnswerCard:
    """The answer for a label: a sentence, the verdict of every direction, what arms score; others: the other arms' verdicts."""

    label: str
    sentence: str
    words: Sequence[Word]
    knows: str
    others: str = ""


@dataclass(frozen=True)
class Report:
    """The whole report; explorer: the name of the page to look around in, if there is one; asks: the study's question."""

    title: str
    cards: Sequence[AnswerCard]
    sections: Sequence[Section] = field(default_factory=list)
    explorer: str = ""
    asks: str = ""


def figure(title: str, name: str, figures: Mapping[str, Path]) -> list[tuple[str, Path]]:
    """A section's figure where it was drawn."""
    return [(title, figures[name])] if name in figures else []


def number(x: Any) -> str:
    """`.79`; – where there is none."""
    if x is None:
        return "–"
    text = f"{x:.3f}" if abs(x) < 0.1 else f"{x:.2f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def spread(x: Mapping[str, Any]) -> str:
    """`.79 [.74, .84]`."""
    known = x["low"] is not None and x["high"] is not None
    return number(x["mean"]) + (f" [{number(x['low'])}, {number(x['high'])}]" if known else "")


def score_of(own: Mapping[str, Any]) -> Score:
    """The score that judged a label, by its part of `study.json`."""
    return named(str(own["score"]["name"])) if own.get("score") else ACCURACY


def signed(x: Any, score: Score = ACCURACY) -> str:
    """A difference of a score: in points `+1.2`, or as a plain number `+0.034`."""
    return "–" if x is None else score.signed(float(x), unit=False)


def points(x: Mapping[str, Any], score: Score = ACCURACY) -> str:
    """`+1.2 points [+0.4, +2.0]`, `+0.034 [+0.02, +0.05]`."""
    known = x["low"] is not None and x["high"] is not None
    unit = f" {score.unit}" if score.unit else ""
    return f"{signed(x['mean'], score)}{unit}" + (
        f" [{signed(x['low'], score)}, {signed(x['high'], score)}]" if known else ""
    )


def size_of(x: Any, score: Score = ACCURACY) -> str:
    """A size in points, or as a plain number."""
    return "–" if x is None else f"{100 * x:.1f}" if score.share else score.size(float(x))


def pvalue(p: Any) -> str:
    """`.031`, `< .001`."""
    return "–" if p is None else "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
