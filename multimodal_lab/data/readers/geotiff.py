"""Where a GeoTIFF lies: coordinate reference system, affine transform and bounds, from its tags (OGC 19-008r4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multimodal_lab.data.source import DataError

SCALE, TIEPOINT, TRANSFORM, KEYS, ASCII = 33550, 33922, 34264, 34735, 34737
TAGS = (SCALE, TIEPOINT, TRANSFORM, KEYS, ASCII)
MODEL, RASTER, GEOGRAPHIC, PROJECTED = 1024, 1025, 2048, 3072  # GeoKeys
CITATIONS = (3073, 1026, 2049)
POINT = 2  # of RASTER: a tiepoint is the centre of a pixel, not its corner
USER_DEFINED = 32767


@dataclass(frozen=True)
class Ground:
    """One raster's place on the ground.

    crs: `EPSG:32633`, or `user-defined (…)` where its tags give no code. transform: (a, b, c, d, e, f) of x = a·column +
    b·row + c and y = d·column + e·row + f, from the upper left corner of the first pixel, in units of the CRS. bounds: left,
    bottom, right, top of all pixels.
    """

    crs: str
    transform: tuple[float, ...]
    bounds: tuple[float, float, float, float]

    @property
    def pixel(self) -> float:
        """The longer side of a pixel, in units of the CRS."""
        a, b, _, d, e, _ = self.transform
        return max(float((a * a + d * d) ** 0.5), float((b * b + e * e) ** 0.5))


def of_page(page: Any, name: str) -> Ground | None:
    """`ground` of a TIFF's page as tifffile gives it."""
    tags = {code: tag.value for code in TAGS if (tag := page.tags.get(code)) is not None}
    return ground(tags, page.imagelength, page.imagewidth, name)


def ground(tags: Mapping[int, Any], height: int, width: int, name: str) -> Ground | None:
    """The place of a raster of `height` x `width` pixels by the values of its `tags`; None where they don't tell any.

    `DataError` names a file whose tags contradict themselves.
    """
    if KEYS not in tags:
        return None
    known = _keys(tags, name)
    made = _transform(tags, name)
    if made is None:
        return None
    if known.get(RASTER) == POINT:
        a, b, c, d, e, f = made
        made = (a, b, c - (a + b) / 2, d, e, f - (d + e) / 2)
    return placed(_crs(known), made, height, width)


def tags(found: Ground) -> tuple[tuple[Any, ...], ...]:
    """(code, type, count, value, once) as `tifffile` writes them, of a place with a code and a grid that is not turned.

    `ValueError` for another.
    """
    a, b, left, d, e, top = found.transform
    if b or d or e >= 0 or not found.crs.startswith("EPSG:"):
        raise ValueError(f"{found.crs}, {found.transform}: expected an EPSG code and rows that go down")
    code = int(found.crs[5:])
    degrees = 4000 <= code < 5000  # EPSG's range of geographic systems
    keys = (
        1,
        1,
        0,
        3,
        MODEL,
        0,
        1,
        2 if degrees else 1,
        RASTER,
        0,
        1,
        1,
        GEOGRAPHIC if degrees else PROJECTED,
        0,
        1,
        code,
    )
    return (
        (SCALE, "d", 3, (a, -e, 0.0), True),
        (TIEPOINT, "d", 6, (0.0, 0.0, 0.0, left, top, 0.0), True),
        (KEYS, "H", len(keys), keys, True),
    )


def placed(crs: str, transform: tuple[float, ...], height: int, width: int) -> Ground:
    """A `Ground` with the bounds of its corners."""
    a, b, c, d, e, f = transform
    x = [a * i + b * j + c for i in (0, width) for j in (0, height)]
    y = [d * i + e * j + f for i in (0, width) for j in (0, height)]
    return Ground(crs, transform, (min(x), min(y), max(x), max(y)))


def _transform(tags: Mapping[int, Any], name: str) -> tuple[float, ...] | None:
    if TRANSFORM in tags:
        m = _numbers(tags[TRANSFORM], 16, "ModelTransformation", name)
        return m[0], m[1], m[3], m[4], m[5], m[7]
    if SCALE not in tags or TIEPOINT not in tags:
        return None
    across, down = _numbers(tags[SCALE], 2, "ModelPixelScale", name)[:2]
    column, row, _, x, y = _numbers(tags[TIEPOINT], 5, "ModelTiepoint", name)[:5]
    if not (across > 0 and down > 0):
        raise DataError(f"{name}: ModelPixelScale {across:g}, {down:g}, expected two lengths above 0")
    return across, 0.0, x - column * across, 0.0, -down, y + row * down


def _numbers(value: Any, least: int, tag: str, name: str) -> tuple[float, ...]:
    found = tuple(float(v) for v in value)
    if len(found) < least or not all(abs(v) < 1e12 for v in found):
        raise DataError(f"{name}: {tag} holds {found[:6]}, expected {least} finite numbers or more")
    return found


def _keys(tags: Mapping[int, Any], name: str) -> dict[int, Any]:
    """{key: value} of the GeoKeyDirectory: numbers that stand in it, and citations."""
    words = [int(v) for v in tags[KEYS]]
    if len(words) < 4 or len(words) < 4 + 4 * words[3]:
        raise DataError(f"{name}: its GeoKeyDirectory has {len(words)} numbers, too few for the keys that it counts")
    text = str(tags.get(ASCII, ""))
    found: dict[int, Any] = {}
    for at in range(4, 4 + 4 * words[3], 4):
        key, place, count, value = words[at : at + 4]
        if place == 0:
            found[key] = value
        elif place == ASCII:
            found[key] = text[value : value + count].rstrip("|\0 ")
    return found


def _crs(keys: Mapping[int, Any]) -> str:
    code = keys.get(GEOGRAPHIC if keys.get(MODEL) == 2 else PROJECTED, 0)
    if code and code != USER_DEFINED:
        return f"EPSG:{code}"
    return f"user-defined ({next((str(keys[c]) for c in CITATIONS if keys.get(c)), 'no name')})"
