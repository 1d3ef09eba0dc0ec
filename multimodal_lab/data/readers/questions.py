"""Reader of questions about images: a row a question with its answer as label, of all questions and of each type."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from multimodal_lab.data.readers.folder import existing
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.images import Colour
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.pair_rows import Rows, from_table
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.text import expected_one_of

COLUMNS = ("image", "question", "answer")
# The classes in which RSVQA (Lobry 2020) answers counts in images of low resolution, by the largest number of each.
COUNTS = ((0, "0"), (10, "1 to 10"), (100, "11 to 100"), (1000, "101 to 1000"))
MORE = "more than 1000"


class Questions(MediaTable):
    """A table of questions below `root` with columns `image`, `question` and `answer`, such as `qa.jsonl`; see `MediaTable`.

    type: the column of kinds of questions, None where there is none: each kind becomes a label of its own, missing in the rows
    of the others, so that each can be learnt and scored by itself, beside `answer`. counts: of answers that are whole numbers,
    `classes` of RSVQA (0, 1 to 10, 11 to 100, 101 to 1000, more), or `number`, as written. `items` and `together` know
    the rows of one image: it is in one split, and retrieval ranks it once.
    """

    def __init__(
        self,
        root: str,
        *,
        file: str = "qa.jsonl",
        type: str | None = None,
        counts: Literal["classes", "number"] = "classes",
        missing: Missing = "refuse",
        colour: Colour = "rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        rows, notes = from_table(base, file, limits, ())
        there = list(dict.fromkeys(c for row in rows for c in row))
        for column in (*COLUMNS, *([type] if type else [])):
            if column not in there:
                raise DataError(f"{file}: no column {column!r}; {expected_one_of(column, there)}")
        numbered: Counter[str] = Counter()
        for row in rows if "id" not in there else ():
            image = str(row.get("image"))
            row["id"] = f"{image}#{numbered[image]}"
            numbered[image] += 1
        if counts == "classes" and (some := _classed(rows)):
            notes.append(
                f"{file}: {some} answers are counts, which are taken in the classes 0, 1 to 10, 11 to 100, … of RSVQA"
            )
        kinds: dict[str, None] = {}
        if type:
            kinds = dict.fromkeys(str(row[type]) for row in rows if row.get(type))
            if clash := [kind for kind in kinds if kind in there]:
                raise DataError(f"{file}: {type} {clash[0]!r} is called like a column; rename one")
            for row in rows:
                row.update({kind: row.get("answer") if row.get(type) == kind else None for kind in kinds})
            notes.append(f"{file}: labels by {type}: {', '.join(kinds)}; each is missing in the rows of the others")
        super().__init__(
            base, file, rows, notes, images=["image"], texts=["question"], needed=["answer"], missing=missing, colour=colour,
            alpha=alpha, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip
        whole = self.samples.attrs.get(COMPLETE, {})
        self.samples.attrs[COMPLETE] = {label: key for label, key in whole.items() if label not in kinds}


def counted(number: int) -> str:
    """The class of a count."""
    return next((name for most, name in COUNTS if number <= most), MORE)


def _classed(rows: Rows) -> int:
    """Put classes in place of counts; how many there were."""
    done = 0
    for row in rows:
        answer: Any = row.get("answer")
        if isinstance(answer, str) and answer.isdecimal() and len(answer) <= 18:
            answer = int(answer)
        if isinstance(answer, int) and not isinstance(answer, bool) and answer >= 0:
            row["answer"], done = counted(answer), done + 1
    return done
