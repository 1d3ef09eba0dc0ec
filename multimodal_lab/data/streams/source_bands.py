"""The bands of a source: those that a stream may be cut from, and what to tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_lab.data import kinds
from multimodal_lab.data.source import DataError, Source
from multimodal_lab.data.streams.bands import doubts
from multimodal_lab.types import Band, Stream


def stored_bands(source: Source, name: str, field: str, kind: str = "image") -> tuple[Band, ...]:
    """The bands that stream `name` may be cut from: those of its field, where fields have bands of their own, else all.

    Without a field that is the one of its name, or the only one of its kind.
    """
    if ask := getattr(source, "bands_of", None):
        return tuple(ask(name, field))
    field = getattr(source, "aliases", {}).get(field or name, field)
    own: dict[str, tuple[Band, ...]] = getattr(source, "field_bands", {})
    if not field and name not in own:
        alike = [f for f, (of, _) in getattr(source, "field_kinds", {}).items() if kinds.alike(of, kind)]
        field = alike[0] if len(alike) == 1 else ""
    return own.get(field or name, source.bands)


def every_band(source: Source) -> tuple[Band, ...]:
    """The bands of a source and of all its fields, each once."""
    own: dict[str, tuple[Band, ...]] = getattr(source, "field_bands", {})
    return tuple(dict.fromkeys([*source.bands, *(band for bands in own.values() for band in bands)]))


def asked_bands(source: Source, name: str, facts: Mapping[str, Any]) -> tuple[Band, ...]:
    """Those of stream `name` by its entry of a modality; a wrong entry is told by `bands.plan`, `DataError` for no videos."""
    kind, field = facts.get("kind", Stream.kind), str(facts.get("field") or "")
    kind = kind if kind in kinds.names() else Stream.kind
    if "steps" in facts and kinds.get(kind).spatial:
        _require_moving(source, name, field, kind)
    return stored_bands(source, name, field, kind)


def _require_moving(source: Source, name: str, field: str, kind: str) -> None:
    """A picture is no video: a stream of images with a time axis is read from a field that has one."""
    known: Mapping[str, tuple[str, bool]] = getattr(source, "field_kinds", {})
    moving = [f for f, (of, timed) in known.items() if timed and kinds.alike(of, kind)]
    if known and field not in moving and (field in known or not moving):
        still = f"field {field!r} holds pictures" if field in known else "the data name no videos"
        near = (
            f"; those that are: {', '.join(moving)}" if moving else "; data.source.video names columns of their paths"
        )
        raise DataError(f"modality.{name}: its steps are frames of a video, and {still}{near}")


def all_doubts(source: Source) -> list[str]:
    """What to tell of a source's bands, field by field, where fields have bands of their own."""
    fields = getattr(source, "field_bands", None) or {"": source.bands}
    return list(dict.fromkeys(note for bands in fields.values() for note in doubts(bands)))
