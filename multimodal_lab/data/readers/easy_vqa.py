"""Reader of easy-VQA as images and descriptions: what the true answers of an image's questions say of its shape and colour."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from multimodal_lab.data.readers.folder import existing
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.images import Colour
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.pair_rows import from_table
from multimodal_lab.data.source import DataError
from multimodal_lab.text import expected_one_of

COLUMNS = ("image", "question", "answer", "split")
SHAPES = ("circle", "rectangle", "triangle")
COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
WORD = re.compile(r"\b(" + "|".join((*SHAPES, *COLOURS)) + r")\b")
NEGATED = re.compile(r"\b(?:not|no)\b")


class EasyVqa(MediaTable):
    """A row an image of easy-VQA (Zhou 2019), by `qa.jsonl` with columns image, question, answer, split; see `MediaTable`.

    Its one text, `description`, is made from the image's questions and their true answers, see `described`: "a blue
    rectangle", "a blue shape" where no question tells the shape, "a rectangle" where none tells the colour; missing: what such
    an image does, `keep`, `drop` or `refuse`. Columns `shape`, `colour`, `split`. Images of one description hold the same text:
    retrieval ranks each description once, and all its images are right for it; so they are to a loss with
    `loss.ids=batch.targets.description data.labels=[description]`.
    """

    def __init__(
        self,
        root: str,
        *,
        file: str = "qa.jsonl",
        missing: Missing = "keep",
        colour: Colour = "rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        asked, notes = from_table(base, file, limits, ())
        images: dict[str, list[dict[str, Any]]] = {}
        for number, row in enumerate(asked, 1):
            for column in COLUMNS:
                if not isinstance(row.get(column), str):
                    there = list(row)
                    raise DataError(f"{file}: row {number} has no {column!r}; {expected_one_of(column, there)}")
            images.setdefault(row["image"], []).append(row)
        rows = []
        for image, own in images.items():
            splits = {row["split"] for row in own}
            if len(splits) > 1:
                raise DataError(f"{file}: {image} is in splits {' and '.join(sorted(splits))}")
            shape, hue = described(((row["question"], row["answer"]) for row in own), f"{file}: {image}")
            text = f"a {hue} {shape or 'shape'}" if hue else f"a {shape or 'shape'}"
            rows.append({"image": image, "description": text, "shape": shape, "colour": hue, "split": splits.pop()})
        texts = {row["description"] for row in rows}
        notes.append(
            f"{file}: {len(rows)} images have {len(texts)} descriptions, made from the true answers to their questions"
        )
        super().__init__(
            base, file, rows, notes, images=["image"], texts=["description"], needed=["shape", "colour"],
            missing=missing, colour=colour, alpha=alpha, limits=limits,
            on_error=on_error, verify=verify,
        )  # fmt: skip


def described(asked: Iterable[tuple[str, str]], where: str) -> tuple[str | None, str | None]:
    """(shape, colour) by the questions of one image and their true answers; None where they do not tell.

    "what is the blue shape?" "rectangle" tells both; "is there a red shape?" "yes" and "is there not a red shape?" "no" tell
    the colour. Answers that contradict each other are a `DataError`.
    """
    told: dict[bool, set[str]] = {True: set(), False: set()}
    for question, answer in asked:
        named = WORD.findall(question.lower())
        if answer in ("yes", "no"):
            true = named if (answer == "yes") != bool(NEGATED.search(question.lower())) else []
        else:
            true = [*named, answer]
        for word in true:
            if word not in (*SHAPES, *COLOURS):
                raise DataError(
                    f"{where}: answer {answer!r} to {question!r}, {expected_one_of(answer, (*SHAPES, *COLOURS))}"
                )
            told[word in SHAPES].add(word)
    for words in told.values():
        if len(words) > 1:
            raise DataError(f"{where}: its answers say {' and '.join(sorted(words))} of one shape")
    return next(iter(told[True]), None), next(iter(told[False]), None)
