"""Finish many rows of vectors at once, to the bits of reading them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from multimodal_lab.data.array import Array
from multimodal_lab.data.source import DataError, Raw, Rows
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.files import retried

ROWS = 1024  # at a time: of 5,632 bands 23 MB


def possible(reader: SampleReader) -> bool:
    """Whether the source gives many rows at once, and every stream is a plain vector whose bands are scaled alone.

    A loading process, which tells the row in work, reads one by one, so that what ends it has a name.
    """
    return (
        hasattr(reader.source, "read_rows")
        and reader.watch is None
        and not reader.gone
        and all(_plain(reader, n) and getattr(reader.policies[n], "elementwise", False) for n in reader.plans)
    )


def read(reader: SampleReader, rows: np.ndarray) -> Rows | None:
    """The rows (n,) as stored, checked; None where a row needs a look of its own, which says what is wrong with it."""
    source: Any = reader.source
    try:
        found: Rows | None = retried(lambda: source.read_rows(rows, [p.stored for p in reader.plans.values()]))
        if found is None:
            return None
        first = Raw({name: x[0] for name, x in found.inputs.items()}, None, found.full_scale)
        for name, kind in reader.kinds.items():
            kind.check(reader, name, first.inputs[name], first)  # the others are of its shape and type
    except DataError:
        return None
    whole = all(x.dtype.kind != "f" or np.isfinite(x).all() for x in found.inputs.values())
    return found if whole else None


def raws(reader: SampleReader, rows: np.ndarray) -> Iterator[tuple[int, Raw]]:
    """Each row with what `SampleReader.raw` gives of it, read many at a time where that can be."""
    whole = not reader.cache and possible(reader)
    for first in range(0, len(rows), ROWS):
        part = rows[first : first + ROWS]
        found = read(reader, part) if whole else None
        if found is None:
            reader.expect(part.tolist())
        for i, row in enumerate(part.tolist()):
            if found is None:
                yield row, reader.raw(row)
                continue
            raw = Raw({n: x[i] for n, x in found.inputs.items()}, None, found.full_scale)
            reader.content.see(row, raw)
            try:
                reader.require_units(raw)
            except DataError as error:
                raise reader.named(row, error) from error
            if reader.seen is not None:
                reader.seen(reader, row, raw)
            yield row, raw


def finished(reader: SampleReader, rows: np.ndarray) -> dict[str, np.ndarray] | None:
    """{stream: (n, C) float32} as `SampleReader.sample` gives each; None as in `read`."""
    found = read(reader, rows)
    if found is None:
        return None
    scales = {name: fitted.layout["full_scale"] for name, fitted in reader.fitted.items()}
    # bands first, as a policy takes them: one that treats each value by itself gives the same bits
    return {
        n: reader.policies[n].apply(x.T, None, scales[n], reader.fitted[n].scaling).T for n, x in found.inputs.items()
    }


def _plain(reader: SampleReader, name: str) -> bool:
    kind, plan = reader.kinds[name], reader.plans[name]
    usual = isinstance(kind, Array) and (type(kind).finish, type(kind).check) == (Array.finish, Array.check)
    return usual and not kind.axes and not plan.pca and not plan.timed
