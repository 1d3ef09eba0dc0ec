"""Write embedding tables, all at once or as the rows come: one file a name and format, each whole or not there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from multimodal_lab import files
from multimodal_lab.evaluate import parquet
from multimodal_lab.evaluate.embed_config import Format

ROWS = "rows.csv"  # beside arrays, which have no names: id, split and group of each row

Write = Callable[[parquet.EmbeddingRows], object]


class TableWriter:
    """Tables of `total` rows in `folder`: `add` them in their order, within `with`. An error leaves no file.

    `<name>.parquet` and `<name>.csv` are as `parquet` says; `<name>.npy` is (N, D) float32, 0 where the modality is missing, and
    `rows.csv` tells its rows.
    """

    def __init__(self, folder: Path, formats: Sequence[Format], total: int) -> None:
        self.folder, self.formats, self.total = folder, formats, total
        self.paths: list[Path] = []
        self._open: dict[tuple[str, str], Write] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> TableWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, name: str, rows: parquet.EmbeddingRows) -> None:
        """More rows of one name, which is that of the files; `ValueError` for a path."""
        files.require_name(name)
        for form in self.formats:
            if (name, form) not in self._open:
                self._open[name, form] = getattr(self, f"_{form}")(name, rows)
            self._open[name, form](rows)
        if "npy" in self.formats and name == rows.names[0]:
            if ("", ROWS) not in self._open:
                self._open["", ROWS] = self._rows()
            self._open["", ROWS](rows)

    def _file(self, name: str) -> Any:
        self.paths.append(self.folder / name)
        return self._stack.enter_context(files.atomic_file(self.paths[-1]))

    def _parquet(self, name: str, rows: parquet.EmbeddingRows) -> Write:
        schema = parquet.table(rows.cut(slice(0, 1))).schema
        words = [column for column in schema.names if pa.types.is_string(schema.field(column).type)]
        # numbers that are all different gain nothing by compression or bounds, and a dictionary would be half a table more
        file = pq.ParquetWriter(
            self._file(f"{name}.parquet"), schema, use_dictionary=words, compression="none", write_statistics=False
        )
        writer = self._stack.enter_context(file)
        return lambda more: writer.write_table(parquet.table(more))

    def _csv(self, name: str, rows: parquet.EmbeddingRows) -> Write:
        schema = parquet.plain(rows.cut(slice(0, 1))).schema
        writer = self._stack.enter_context(pa_csv.CSVWriter(self._file(f"{name}.csv"), schema))
        return lambda more: writer.write_table(parquet.plain(more))

    def _npy(self, name: str, rows: parquet.EmbeddingRows) -> Write:
        file = self._file(f"{name}.npy")
        shape = {"descr": "<f4", "fortran_order": False, "shape": (self.total, rows.x.shape[1])}
        np.lib.format.write_array_header_1_0(file, shape)
        return lambda more: file.write(np.where(more.present[:, None], more.x, 0).astype("<f4").tobytes())

    def _rows(self) -> Write:
        columns = [("id", pa.string()), ("split", pa.string()), ("group", pa.int64())]
        writer = self._stack.enter_context(pa_csv.CSVWriter(self._file(ROWS), pa.schema(columns)))
        return lambda more: writer.write_table(
            pa.table({"id": more.ids, "split": more.split.tolist(), "group": more.groups})
        )
