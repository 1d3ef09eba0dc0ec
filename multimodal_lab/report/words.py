"""Words as they may stand in a figure: of a bounded length, never a formula, with nothing that turns or hides text."""

from __future__ import annotations

import textwrap

from multimodal_lab.report.style import plain
from multimodal_lab.text import printable


def cleaned(text: str) -> str:
    """On one line, what a terminal would obey or that reorders text escaped."""
    return printable(" ".join(str(text).split()))


def wrapped(text: str, width: int, lines: int) -> str:
    """A text on at most `lines` lines of `width` letters; what is left out is told by an ellipsis."""
    rows = textwrap.wrap(cleaned(text), width)
    if len(rows) > lines:
        last = rows[lines - 1]
        rows = [*rows[: lines - 1], (last if len(last) < width else last[: width - 1].rstrip()) + "…"]
    return plain("\n".join(rows))
