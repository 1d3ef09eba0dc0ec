"""Parse delimited text (CSV, TSV): encoding and separator are detected, and told where they are not the usual ones."""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path

import pandas as pd
from pandas.errors import ParserError

from multimodal_lab.data.source import DataError

# The marks of UTF-32 before those of UTF-16, which they begin with.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
LOOKED_AT = 50  # rows


def decode(raw: bytes) -> tuple[str, str]:
    """Text and its encoding: by its byte order mark, else UTF-8 if it is that, else Windows' Western one."""
    for mark, encoding in MARKS:
        if raw.startswith(mark):
            return raw.decode(encoding), encoding.removesuffix("-sig")
    if b"\0" in raw[:2]:  # UTF-16 without a mark: its first letter is an ASCII one
        encoding = "utf-16-be" if raw[:1] == b"\0" else "utf-16-le"
        return raw.decode(encoding), encoding
    for encoding in ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "latin-1"


def encoding_note(name: str, encoding: str) -> list[str]:
    """What to tell of an encoding that was guessed."""
    guessed = encoding in ("cp1252", "latin-1")
    return (
        [f"{name}: read as {encoding}, as it is not UTF-8 (save it as UTF-8 if letters are wrong)"] if guessed else []
    )


def read_delimited(path: Path, separator: str | None = None) -> tuple[pd.DataFrame, str, list[str]]:
    """Every field as text (missing where empty), with the header as written; the separator; what there is to tell.

    separator: of values; None finds it. Raises `DataError` for rows with more values than the header names.
    """
    text, encoding = decode(path.read_bytes())
    usual = "," if path.suffix.lower() == ".csv" else "\t"
    said = re.match(r"sep=(.)\r?\n", text)  # Excel's own first line
    separator = separator or (said[1] if said else _separator(text, usual))
    try:
        rows = pd.read_csv(
            io.StringIO(text[said.end() :] if said else text),
            sep=separator, header=None, dtype=str, keep_default_na=False, na_values=[""],
        )  # fmt: skip
    except ParserError as error:
        if "Expected" in str(error) and "saw" in str(error):
            expected = re.findall(r"Expected (\d+) fields", str(error))
            where = re.findall(r"line \d+", str(error))
            at = f" ({where[0]})" if where else ""
            raise DataError(
                f"{path}: rows with more values than the header names, expected {expected[0]}{at}; a text that has the "
                f"separator {separator!r} in it must stand in quotes"
            ) from error
        raise
    head = ["" if pd.isna(v) else str(v) for v in rows.iloc[0]]
    body = rows.iloc[1:].copy()
    body.columns, body.index = pd.Index(head, dtype=object), pd.RangeIndex(len(body))
    unusual = f"{path.name}: values are separated by {SEPARATORS.get(separator, repr(separator))}"
    return body, separator, [*encoding_note(path.name, encoding), *([unusual] if separator != usual else [])]


def _separator(text: str, usual: str) -> str:
    """The separator that gives most rows as many values as the header; `usual` where none gives two."""
    lines = [line for line in text[: 2**20].splitlines() if line.strip()][:LOOKED_AT]
    scores: dict[str, tuple[float, int, bool]] = {}
    for separator in SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator)]
        except csv.Error:
            continue
        if widths and widths[0] > 1:
            scores[separator] = sum(w == widths[0] for w in widths) / len(widths), widths[0], separator == usual
    return max(scores, key=lambda s: scores[s], default=usual)
