"""Where an ENVI cube lies, by `map info` of its header: UTM zones and degrees of longitude and latitude."""

from __future__ import annotations

import re
from collections.abc import Mapping

from multimodal_lab.data.readers.geotiff import Ground, placed
from multimodal_lab.data.source import DataError

FIELD, SYSTEM, LEAST = "map info", "coordinate system string", 7
GEOGRAPHIC, UTM = "geographic lat/lon", "utm"
# EPSG codes of degrees and, less the zone, of UTM north and south; by what ENVI and its ESRI strings call the datum
DATUMS = {
    "wgs84": (4326, 32600, 32700), "dwgs1984": (4326, 32600, 32700), "etrs89": (4258, 25800, 0),
    "detrs1989": (4258, 25800, 0), "nad83": (4269, 26900, 0), "dnorthamerican1983": (4269, 26900, 0),
}  # fmt: skip


def ground(keys: Mapping[str, str], height: int, width: int, name: str) -> tuple[Ground | None, str]:
    """The place of a cube by the fields of its header, and why there is none although `map info` stands there, or "".

    Its numbers are: projection, place of the reference in pixels (1, 1 is the upper left corner of the first), its coordinates,
    the size of a pixel, and of UTM the zone and the hemisphere; then the datum, which may stand in `coordinate system string`
    instead. `DataError` where they are no numbers.
    """
    if FIELD not in keys:
        return None, ""
    words = [word.strip() for word in keys[FIELD].strip("{} \t").split(",")]
    if len(words) < LEAST:
        raise DataError(f"{name}: '{FIELD}' holds {len(words)} values, expected {LEAST} or more")
    try:
        column, row, x, y, across, down = (float(word) for word in words[1:LEAST])
    except ValueError:
        raise DataError(f"{name}: '{FIELD} = {keys[FIELD]}', expected six numbers after the projection") from None
    if not (0 < across < 1e12 and 0 < down < 1e12 and abs(x) < 1e12 and abs(y) < 1e12):
        raise DataError(f"{name}: '{FIELD}' has pixels of {across:g} x {down:g} at {x:g}, {y:g}")
    if turned := next((w for w in words if w.lower().startswith("rotation") and not _zero(w)), ""):
        return None, f"{FIELD} is turned ({turned})"
    code, why = _code(words, keys.get(SYSTEM, ""))
    if not code:
        return None, why
    left, top = x - (column - 1) * across, y + (row - 1) * down
    return placed(f"EPSG:{code}", (across, 0.0, left, 0.0, -down, top), height, width), ""


def _code(words: list[str], system: str) -> tuple[int, str]:
    """The EPSG code of a projection, or 0 and what was found."""
    projection, rest = words[0].lower(), [word.lower() for word in words[LEAST:]]
    told = [_plain(word) for word in [*rest, *re.findall(r'DATUM\["([^"]*)"', system)]]
    datum = next((d for word in told for d in DATUMS if word == d), "")
    found = ", ".join(words[:1] + words[LEAST:])
    if not datum:
        return 0, f"{FIELD} is of '{found}', whose datum is none of WGS-84, ETRS89, NAD83"
    geographic, north, south = DATUMS[datum]
    if projection == GEOGRAPHIC:
        return geographic, ""
    zone, half = (*rest, "", "")[:2]
    base = {"north": north, "south": south}.get(half, 0)
    if projection == UTM and zone.isdigit() and 1 <= int(zone) <= 60 and base:
        return base + int(zone), ""
    return 0, f"{FIELD} is of '{found}', which is neither a zone of UTM nor degrees"


def _plain(word: str) -> str:
    return re.sub("[^a-z0-9]", "", word.lower())


def _zero(word: str) -> bool:
    try:
        return float(word.partition("=")[2]) == 0
    except ValueError:
        return False
