"""The words of samples, kept beside their thumbnails, so that figures show what was said and no number of a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal_lab import files
from multimodal_lab.evaluate.thumbnails import LIMIT
from multimodal_lab.runs.guarded_arrays import read_parquet

FILE = "texts.parquet"  # of a run directory
LONGEST, MOST = 1000, 10  # letters of a text, texts of a sample: enough to look at, whatever a file holds
Texts = dict[str, dict[int, list[str]]]  # {stream: {row of the embeddings: its texts}}
_SCHEMA = pa.schema([("row", pa.int64()), ("stream", pa.string()), ("text", pa.string())])


def save(data: Any, splits: Sequence[str], path: Path, most: int | None = LIMIT) -> bool:
    """Write the texts of the first `most` samples of each split; False, and no file, where no stream is text.

    A row of the table is one text: the row of the embeddings that holds it, its stream, and the text itself, whose order is that
    of the sample.
    """
    read = getattr(data, "texts", None)
    if read is None or not any(kind.drawn_each_epoch for kind in data.stack.kinds.values()):
        return False
    rows: list[int] = []
    streams: list[str] = []
    words: list[str] = []
    first = 0
    for split in splits:
        chosen = data.rows(split)
        for stream, texts in read(chosen[:most]).items():
            for place, own in enumerate(texts, first):
                for text in own[:MOST]:
                    rows.append(place)
                    streams.append(stream)
                    words.append(shortened(text))
        first += len(chosen)
    table = pa.table([rows, streams, words], schema=_SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.atomic_write(path, lambda file: pq.write_table(table, file))
    return True


def load(path: Path) -> Texts:
    """What `save` wrote; `ValueError` where a file is not as it writes one."""
    table = read_parquet(path)
    if table.schema.names != _SCHEMA.names or not all(
        own.type.equals(wanted.type) for own, wanted in zip(table.schema, _SCHEMA, strict=True)
    ):
        raise ValueError(f"expected columns {', '.join(_SCHEMA.names)}")
    found: Texts = {}
    for row, stream, text in zip(*(column.to_pylist() for column in table.columns), strict=True):
        found.setdefault(stream, {}).setdefault(row, []).append(text)
    return found


def beside(embeddings: Path) -> Path:
    """Where the texts of a folder of embeddings are: a run's beside it, those of `embed` in a folder within, as `Embeddings.load`
    takes every Parquet file of its own for a stream."""
    return (embeddings.parent if embeddings.name == "embeddings" else embeddings / "texts") / FILE


def of_rows(found: Texts, stream: str, rows: int) -> list[list[str]] | None:
    """The texts of every row: those of the stream itself, else of the first stream; None where there are none.

    `ValueError` for texts of other embeddings, that have fewer rows."""
    own = found.get(stream) or next(iter(found.values()), None)
    if own is None:
        return None
    if max(own) >= rows or min(own) < 0:
        raise ValueError(f"a text of row {max(own)}, but {rows} samples are embedded")
    return [own.get(row, []) for row in range(rows)]


def shortened(text: str, most: int = LONGEST) -> str:
    """At most `most` letters, the last an ellipsis where some are left out."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def places(found: Texts, rows: np.ndarray) -> dict[str, list[list[str]]]:
    """{stream: the texts of each of `rows` (N,)}, none where a row has none."""
    return {stream: [own.get(int(row), []) for row in rows] for stream, own in found.items()}
