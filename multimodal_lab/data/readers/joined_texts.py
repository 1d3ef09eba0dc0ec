"""Columns of text made of others: a title and its keywords as one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multimodal_lab.data.readers.pair_rows import Rows
from multimodal_lab.data.source import DataError
from multimodal_lab.text import expected_one_of

BETWEEN = ", "


def join_texts(rows: Rows, joined: Mapping[str, Sequence[str]], file: str) -> list[str]:
    """Give each of `rows` the columns {name: the columns it is made of}, joined by a comma; returns what there is to tell.

    Of a column that holds several texts all are taken, in their order. A row that lacks one of the columns has the others; one
    that lacks all has None, a gap as any other. A name that is a column, or a part that is none, is a `DataError`.
    """
    there = list(dict.fromkeys(c for row in rows for c in row))
    for name, parts in joined.items():
        key = f"data.source.joined_texts.{name}"
        if name in there:
            raise DataError(f"{key}: {file} has a column {name!r}; give the new one another name")
        if not parts:
            raise DataError(f"{key}: [], expected the columns that it is made of, such as [{', '.join(there[:2])}]")
        for part in parts:
            if part not in there:
                raise DataError(f"{key}: {file} has no column {part!r}; {expected_one_of(part, there)}")
    for row in rows:
        row.update({name: _joined([row.get(part) for part in parts]) for name, parts in joined.items()})
    return [f"{file}: {name} is made of {BETWEEN.join(parts)}, with commas between" for name, parts in joined.items()]


def _joined(values: Sequence[object]) -> str | None:
    """The texts of some values, each a text or a list of texts; None where there is none."""
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return BETWEEN.join(str(text).strip() for text in texts if text is not None and str(text).strip()) or None
