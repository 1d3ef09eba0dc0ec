"""What GDAL's metadata in a TIFF say of its bands: their descriptions, and how values follow from stored ones."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from multimodal_lab.data import units
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Band

Described = Literal["check", "ignore"]  # whether descriptions and scales of files are held against the card
TAG = 42112
LARGEST = 1 << 20  # characters: a few thousand bands take a tenth
_ITEM = re.compile(r'<Item name="[A-Z]+" sample="(\d{1,6})" role="(description|scale|offset)">([^<]*)</Item>')
_PLAIN = (1.0, 0.0)


@dataclass(frozen=True)
class Said:
    """names: the description of each band, () without any. scales: (scale, offset) of each, () where values are as stored."""

    names: tuple[str, ...] = ()
    scales: tuple[tuple[float, float], ...] = ()


def of_page(page: Any, count: int, name: str) -> Said:
    """What the tags of a TIFF's page say of its `count` bands; `DataError` for a scale that is no number."""
    tag = page.tags.get(TAG)
    text = str(tag.value)[:LARGEST] if tag is not None else ""
    found: dict[str, dict[int, str]] = {"description": {}, "scale": {}, "offset": {}}
    for place, role, value in _ITEM.findall(text):
        found[role][int(place)] = value.strip()
    names = tuple(found["description"].get(i, "") for i in range(count)) if found["description"] else ()
    try:
        scales = tuple((float(found["scale"].get(i, 1)), float(found["offset"].get(i, 0))) for i in range(count))
    except ValueError as error:
        raise DataError(f"{name}: GDAL's scale or offset of its bands is no number ({error})") from None
    if bad := [one for one in scales if not (math.isfinite(one[0]) and math.isfinite(one[1]) and one[0])]:
        raise DataError(f"{name}: GDAL's scale and offset of its bands are {bad[0]}, expected finite numbers")
    return Said(names, () if set(scales) <= {_PLAIN} else scales)


def require(said: Said, bands: Sequence[Band], name: str, key: str) -> None:
    """Refuse (`DataError`) a file whose bands, described by name, stand in another order than `key` has them, or whose values
    are, by scale and offset, of another unit than the card says.

    A description that is none of the names says nothing, nor does a numbering (B1, B2, …) of all bands.
    """
    names = [_folded(word) for word in said.names]
    places = {_folded(band.name): i for i, band in enumerate(bands)}
    for i, word in enumerate([] if _numbered(said.names) else names):
        at = places.get(word, i)
        if at != i and i < len(bands):
            raise DataError(
                f"{name}: its band {i + 1} is described as {said.names[i]}, and {key} has {bands[i].name} there, "
                f"{bands[at].name} at {at + 1}; give the bands in the order of the files: {', '.join(said.names[:14])}"
            )
    for band, one in zip(bands, said.scales):
        if one != _PLAIN and units.known(band.unit) is not None and not _agrees(band.unit, *one):
            raise DataError(
                f"{name}: by GDAL's scale and offset band {band.name} is stored * {one[0]:g} {one[1]:+g}, so that what is "
                f"stored is no {band.unit}, as the card says; convert the files (gdal_translate -unscale), or name what is "
                "stored in the data's card (data.source.card.unit)"
            )


def require_same(said: Said, first: Said, name: str, other: str) -> None:
    """Refuse (`DataError`) a file whose stored values mean others than those of the first."""
    if said.scales != first.scales:
        told = ["none" if not s.scales else f"{s.scales[0][0]:g} {s.scales[0][1]:+g}" for s in (said, first)]
        raise DataError(
            f"{name}: GDAL's scale and offset are {told[0]}, and {told[1]} in {other}: equal stored values would mean different "
            "things; convert the files (gdal_translate -unscale)"
        )


def note(said: Said, unit: str) -> list[str]:
    """What to tell of a scale that is not applied."""
    if not said.scales:
        return []
    scale, offset = said.scales[0]
    return [
        f"GDAL's scale and offset in the files (stored * {scale:g} {offset:+g}) are not applied: values are read as stored"
        + (f", as the card's unit ({unit}) says" if unit else "")
    ]


def _agrees(unit: str, scale: float, offset: float) -> bool:
    """Whether stored values are of a unit although they are scaled: reflectance x 10000 is, by 0.0001, reflectance."""
    factor = units.factor(unit)
    return factor is not None and offset == 0 and math.isclose(scale * factor, 1, rel_tol=1e-6)


def _folded(name: str) -> str:
    """B2, b02 and B02 are one."""
    word = name.strip().casefold()
    found = re.fullmatch(r"b0*(\d+)(a?)", word)
    return f"b{found[1]}{found[2]}" if found else word


def _numbered(names: Sequence[str]) -> bool:
    """Whether descriptions only count: B1, B2, … or Band 1, Band 2, …"""
    return bool(names) and all((m := re.search(r"(\d+)$", word)) and int(m[1]) == i for i, word in enumerate(names, 1))
