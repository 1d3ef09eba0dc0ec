"""The bands of a source: those that a stream may be cut from, and what to tell of them."""

from __future__ import annotations

from multimodal_lab.data.source import Source
from multimodal_lab.data.streams.bands import doubts
from multimodal_lab.types import Band


def stored_bands(source: Source, name: str, field: str) -> tuple[Band, ...]:
    """The bands that stream `name` may be cut from: those of its field, where fields have bands of their own, else all."""
    if ask := getattr(source, "bands_of", None):
        return tuple(ask(name, field))
    own: dict[str, tuple[Band, ...]] = getattr(source, "field_bands", {})
    return own.get(field or name, source.bands)


def all_doubts(source: Source) -> list[str]:
    """What to tell of a source's bands, field by field, where fields have bands of their own."""
    fields = getattr(source, "field_bands", None) or {"": source.bands}
    return list(dict.fromkeys(note for bands in fields.values() for note in doubts(bands)))
