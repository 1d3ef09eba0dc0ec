"""Write a table as CSV or Parquet, at once or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multimodal_lab.config.problem import ConfigError
from multimodal_lab.files import atomic_write
from multimodal_lab.text import expected_one_of

if TYPE_CHECKING:
    import pandas as pd

ENDS = (".csv", ".parquet")


def require_table(out: Path) -> None:
    """`ConfigError` for a file of another ending."""
    if out.suffix not in ENDS:
        raise ConfigError(f"out={out}: {expected_one_of(out.suffix or 'nothing', ENDS)} as its ending")


def write(table: pd.DataFrame, out: Path) -> None:
    """The table in a file that ends in one of `ENDS`; its folder is made."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    made = pa.Table.from_pandas(table, preserve_index=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    fill = pyarrow.csv.write_csv if out.suffix == ".csv" else pyarrow.parquet.write_table
    atomic_write(out, lambda file: fill(made, file))
