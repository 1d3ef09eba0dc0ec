"""`EmbedConfig`: what is embedded at the end of a run, and what is saved and scored of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from multimodal_lab.bounds import Count

Format = Literal["parquet", "csv", "npy"]
CSV_ROWS = 50_000  # from which a CSV is large, slow, and read by nobody


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """The settings of the last pass over the data; the annotations are the schema of `embed`."""

    splits: Sequence[str] | None = None  # embedded and saved; None: all
    formats: Sequence[Format] | None = None  # of the saved tables; None: parquet, and csv up to 50,000 rows
    limit: Count | None = 50_000  # rows of each split, evenly spaced, that evaluators see; heads are scored on all

    def embedded(self, sizes: Mapping[str, int], eval_split: str) -> list[str]:
        """The splits to embed, of those that have rows; `ValueError` for one that is not there, or without `eval_split`."""
        there = [name for name, rows in sizes.items() if rows and (eval_split == "test" or name != "test")]
        for name in self.splits or ():
            if name not in there:
                raise ValueError(f"embed.splits: there is no split {name!r} to embed; there are {', '.join(there)}")
        if self.splits is not None and eval_split not in self.splits:
            raise ValueError(
                f"embed.splits: {eval_split} is not among them, which is to be scored (eval_split={eval_split})"
            )
        return [name for name in there if self.splits is None or name in self.splits]

    def written(self, rows: int) -> list[Format]:
        """The formats of tables of so many rows."""
        if self.formats is not None:
            return [*self.formats]
        return ["parquet", "csv"] if rows <= CSV_ROWS else ["parquet"]

    def seen(self, rows: int) -> np.ndarray:
        """Which of a split's rows evaluators see."""
        if self.limit is None or rows <= self.limit:
            return np.arange(rows)
        return np.linspace(0, rows - 1, self.limit).round().astype(np.int64)

    def notes(self, sizes: Mapping[str, int], eval_split: str) -> list[str]:
        """What a run says of what it leaves out at its end."""
        splits = self.embedded(sizes, eval_split)
        rows = sum(sizes[name] for name in splits)
        said = []
        if large := [
            f"{len(self.seen(sizes[n]))} of {sizes[n]} {n}" for n in splits if len(self.seen(sizes[n])) < sizes[n]
        ]:
            said.append(
                f"embed.limit: evaluators see {', '.join(large)} samples, evenly spaced; heads are scored on all"
            )
        if self.formats is None and rows > CSV_ROWS:
            said.append(
                f"embed.formats: no CSV of {rows} rows, more than {CSV_ROWS}; embed.formats=[parquet,csv] writes it"
            )
        if self.splits is not None and "train" not in splits:
            said.append("embed.splits: without train, evaluators that are fitted to it are skipped")
        return said
