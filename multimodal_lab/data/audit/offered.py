"""The streams that a source offers, for a look at all that it holds: one a field, of all its bands or texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from multimodal_lab.data import kinds
from multimodal_lab.data.source import DataError, Source
from multimodal_lab.data.streams.source_bands import stored_bands
from multimodal_lab.types import Stream

LOOKED_AT = 8  # first rows that are asked for a field, as a row may lack it


def offered(source: Source) -> dict[str, dict[str, Any]]:
    """{stream: its entry of a modality}; `DataError` where no sample gives a stream."""
    fields = [str(f) for f in getattr(source, "field_bands", None) or ([""] if source.bands else [])]
    found: dict[str, dict[str, Any]] = {}
    for field in fields:
        entry = _of_bands(source, field)
        if entry is not None:
            found[_name(field, entry["kind"])] = entry
    for column in dict.fromkeys(getattr(source, "text_columns", ())):
        found[_name(str(column), "text")] = {"kind": "text", "field": str(column)}
    if not found:
        raise DataError(
            f"modality: none of the first {min(LOOKED_AT, len(source.samples))} samples gives a stream of all bands; name some, "
            "such as modality=s2"
        )
    return found


def _of_bands(source: Source, field: str) -> dict[str, Any] | None:
    if known := getattr(source, "field_kinds", {}).get(field):
        kind, timed = known
        return {"kind": kind, "bands": "all", "field": field, **({"steps": None} if timed else {})}
    for kind, timed in _kinds():
        bands = stored_bands(source, field or kind, field)
        stream = Stream(_name(field, kind), kind, tuple(bands), field=field)
        for row in range(min(LOOKED_AT, len(source.samples))):
            x = _given(source, row, stream)
            if x is None:
                continue
            if x.ndim == 1 + kinds.get(kind).axes + timed:
                steps = {"steps": None} if timed else {}
                return {"kind": kind, "bands": "all", **({"field": field} if field else {}), **steps}
            break
    return None


def _kinds() -> Iterator[tuple[str, bool]]:
    names = [name for name in kinds.names() if kinds.get(name).stored == "bands"]
    for name in sorted(names, key=lambda n: n not in ("image", "vector")):
        yield name, False
        if kinds.get(name).steps:
            yield name, True


def _given(source: Source, row: int, stream: Stream) -> Any:
    try:
        return source.read(row, [stream]).inputs[stream.name]
    except Exception:  # a reader says in its own way that it has no such stream
        return None


def _name(field: str, kind: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in field) or kind
