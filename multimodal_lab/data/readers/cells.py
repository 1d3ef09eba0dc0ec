"""Columns of a sample table as plain lists: pandas takes longer for one cell than a small image takes to be resized."""

from __future__ import annotations

from typing import Any

import pandas as pd


class Cells:
    """The columns that were asked for, of the table that they were asked of last; a pickled copy has none."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[pd.DataFrame, list[Any]]] = {}

    def __call__(self, table: pd.DataFrame, column: str) -> list[Any]:
        """The values of a column, row by row."""
        held = self.known.get(column)
        if held is None or held[0] is not table:
            held = self.known[column] = table, table[column].tolist()
        return held[1]

    def __getstate__(self) -> dict[str, Any]:
        return {"known": {}}
