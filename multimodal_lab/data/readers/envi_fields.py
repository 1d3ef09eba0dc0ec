"""The text header of an ENVI cube: its fields, its numbers, and the wavelengths that it means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from multimodal_lab.data.source import DataError

LARGEST = 2**24  # bytes: a text of a few thousand wavelengths is a hundredth of it
DIGITS = 18  # of a whole number: more than any cube has of anything, and quickly read
# What one of each unit is in nanometres; exporters write them in singular and plural, British and American.
UNITS = {
    "nm": 1.0, "nanometer": 1.0, "nanometre": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "micrometer": 1e3,
    "micrometre": 1e3, "mm": 1e6, "millimeter": 1e6, "millimetre": 1e6, "angstrom": 0.1, "ångström": 0.1, "å": 0.1,
}  # fmt: skip
WAVENUMBERS = ("wavenumber", "cm-1", "1/cm")
NO_UNIT = ("", "unknown", "none", "na", "n/a")
INDEX = "index"  # the values count bands


def header_file(file: Path, name: str) -> Path:
    """The header that belongs to a cube."""
    for stem in (file.name, file.stem):
        for suffix in (".hdr", ".HDR", ".Hdr"):
            if (candidate := file.with_name(stem + suffix)).is_file():
                return candidate
    raise DataError(f"{name}: no header, expected {file.name}.hdr or {file.stem}.hdr beside it")


def fields(file: Path, name: str) -> dict[str, str]:
    """{field in lower case: text} of all that a header fills in; a line that begins with `;` is a comment."""
    if file.stat().st_size > LARGEST:
        raise DataError(
            f"{name}: its header {file.name} has {file.stat().st_size:,} bytes, expected a text below {LARGEST:,}"
        )
    stored = file.read_bytes()
    try:
        text = stored.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = stored.decode("latin-1")
    if text.count("{") != text.count("}"):
        raise DataError(f"{name}: its header {file.name} has {{ without }}")
    return filled(dict(_pairs(text)))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """(field, value) of every line `field = value`, where the value is the rest of the line, or a list over several.

    A scan, not a regular expression, which would try every way to part a line of blanks: the time is linear.
    """
    at, last = 0, text.rfind("}")
    while at < len(text):
        end = text.find("\n", at) % (len(text) + 1)  # the end of the text where it finds none
        field, equals, rest = text[at:end].partition("=")
        if equals and field.strip() and not {*field} & {*";{}"}:
            begins = end - len(rest.lstrip(" \t"))
            if text.startswith("{", begins) and begins < last:
                close = text.find("}", begins)
                rest, end = text[begins : close + 1], text.find("\n", close) % (len(text) + 1)
            yield field, rest
        at = end + 1


def filled(keys: Mapping[str, str]) -> dict[str, str]:
    """The fields that say something, by their names."""
    return {k: v for k, v in by_name(keys).items() if v.strip("{} \t\r\n")}


def by_name(keys: Mapping[str, str]) -> dict[str, str]:
    """Fields, their names in lower case with single spaces."""
    return {" ".join(k.lower().split()): str(v).strip() for k, v in keys.items()}


def whole(keys: Mapping[str, str], key: str, name: str) -> int:
    """A field that must be a whole number."""
    value = keys.get(key)
    if value is None or not value.isdecimal() or len(value) > DIGITS:
        raise DataError(
            f"{name}: its header has {key!r} = {str(value)[:40]}, expected a whole number of at most {DIGITS} digits"
        )
    return int(value)


def choice(keys: Mapping[str, str], key: str, choices: Mapping[str, str], name: str) -> str:
    """What a field's word means."""
    value = keys.get(key)
    if value is None:
        raise DataError(f"{name}: its header has no {key!r}; say what that means in data.source.fallback")
    if value.lower() not in choices:
        raise DataError(f"{name}: its header has {key!r} = {value}, expected one of {', '.join(choices)}")
    return choices[value.lower()]


def numbers(keys: Mapping[str, str], key: str, name: str, count: int | None = None) -> list[float]:
    """A list of finite numbers, [] where there is none; given the `count` of bands, one for all or one each."""
    try:
        found = [float(v) for v in keys.get(key, "").strip("{} \t\r\n").replace(",", " ").split()]
    except ValueError as error:
        raise DataError(f"{name}: its header has {key!r} with a value that is not a number: {error}") from error
    if not np.isfinite(found).all():
        raise DataError(f"{name}: its header has {key!r} with a value that is not finite, which means nothing")
    if count is not None and len(found) not in (0, 1, count):
        raise DataError(f"{name}: its header has {len(found)} values of {key!r}, expected 1 or {count}")
    return found


def names(keys: Mapping[str, str]) -> tuple[str, ...]:
    """The band names, () where there are none."""
    found = keys.get("band names", "").strip("{} \t\r\n")
    return tuple(" ".join(word.split()) for word in found.rstrip(", \r\n").split(",")) if found else ()


def centres(keys: Mapping[str, str], count: int, name: str) -> tuple[tuple[float, ...], str]:
    """The bands' centres in nm, () where they are not known, and what was inferred of them, or ""."""
    values = numbers(keys, "wavelength", name)
    if not values:
        return _named(names(keys), count)
    if len(values) != count:
        raise DataError(f"{name}: its header lists {len(values)} wavelengths, expected {count}")
    said = keys.get("wavelength units", "").lower().strip(" .{}")
    unit = said if said in UNITS else said.removesuffix("s")
    if unit in UNITS:
        return _rounded(values, UNITS[unit]), ""
    if unit in WAVENUMBERS and min(values) > 0:
        return _rounded([1e7 / v for v in values]), ""
    if said == INDEX:
        return (), ""
    if said not in NO_UNIT:
        known = ", ".join([*UNITS, *WAVENUMBERS, INDEX])
        raise DataError(
            f"{name}: its header has 'wavelength units' = {keys['wavelength units']}, expected one of {known} "
            "(data.source.override={wavelength units: nm} says it in its place)"
        )
    return _guessed(values)


def _guessed(values: list[float]) -> tuple[tuple[float, ...], str]:
    lone = "wavelengths without a unit"
    if values in ([*range(len(values))], [*range(1, len(values) + 1)]):
        return (), f"{lone} count the bands: taken as none"
    if min(values) >= 0.1 and max(values) < 100:
        return _rounded(values, 1e3), f"{lone} are below 100: taken as micrometres"
    if min(values) >= 100:
        return _rounded(values), f"{lone} are 100 or more: taken as nanometres"
    return (), f"{lone} from {min(values):g} to {max(values):g} are neither nanometres nor micrometres: taken as none"


def _named(bands: tuple[str, ...], count: int) -> tuple[tuple[float, ...], str]:
    """The centres that band names tell, such as `Band 1 (420.0 nm)`, where all do."""
    units = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
    # whole numbers and blanks, none of which is tried again in parts
    found = [re.search(rf"(?<!\d)(\d++(?:\.\d++)?+)\s*+({units})s?\b", band.lower()) for band in bands]
    if len(bands) != count or not all(found):
        return (), ""
    return _rounded([float(m[1]) * UNITS[m[2]] for m in found if m]), "wavelengths are those of the band names"


def _rounded(values: list[float], factor: float = 1.0) -> tuple[float, ...]:
    return tuple(round(v * factor, 4) for v in values)
