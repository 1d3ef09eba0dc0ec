"""An order of an epoch in which each sample stands beside its hard negatives, so that they come into one batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.hashing import keys

BY = "hard_negatives"
COLUMNS = ("query", "rank", "id")


def changed(path: str) -> int:
    """When the table was last written, in nanoseconds; 0 where there is none, which `read` refuses."""
    place = Path(path).expanduser()
    return place.stat().st_mtime_ns if place.is_file() else 0


def read(path: str) -> pd.DataFrame:
    """The table that `python -m multimodal_lab.predict negatives` writes; `DataError` for any other."""
    place = Path(path).expanduser()
    if not place.is_file():
        raise DataError(f"data.sampling.negatives={path}: no such file")
    try:
        table = (
            pd.read_parquet(place)
            if place.suffix == ".parquet"
            else pd.read_csv(place, dtype={"query": str, "id": str})
        )
    except (OSError, ValueError) as error:
        raise DataError(f"data.sampling.negatives={path}: can't be read as .csv or .parquet ({error})") from error
    if missing := [c for c in COLUMNS if c not in table]:
        raise DataError(
            f"data.sampling.negatives={path}: no column {missing[0]!r}; expected the table of "
            "python -m multimodal_lab.predict negatives"
        )
    return table


def near(table: pd.DataFrame, samples: pd.DataFrame, rows: np.ndarray, per_query: int) -> dict[int, list[int]]:
    """{row: the rows of its hardest negatives, the hardest first}, of those that both are among `rows`."""
    own = pd.Series(rows, index=samples["id"].astype(str).to_numpy()[rows])
    ranked = table.sort_values(["query", "rank"], kind="stable")
    query, key = (ranked[c].astype(str).map(own) for c in ("query", "id"))
    there = query.notna() & key.notna()
    found: dict[int, list[int]] = {}
    for row, other in zip(query[there].astype(int), key[there].astype(int)):
        beside = found.setdefault(row, [])
        if len(beside) < per_query and other != row and other not in beside:
            beside.append(other)
    return found


def order(near: dict[int, list[int]], rows: np.ndarray, ids: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Every row once: in the order of (seed, epoch, id) each that is left, and behind it those of its negatives that are."""
    taken: dict[int, None] = {}
    for row in rows[np.argsort(keys(ids[rows], seed, epoch), kind="stable")].tolist():
        if row not in taken:
            taken[row] = None
            taken.update(dict.fromkeys(other for other in near.get(row, ()) if other not in taken))
    return np.array(list(taken), dtype=rows.dtype)
