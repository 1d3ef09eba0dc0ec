"""The header of an ENVI cube: what one says, how those of a set agree, and what to tell of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from multimodal_lab.data.readers import envi_ground, nodata
from multimodal_lab.data.readers.envi_fields import (
    by_name,
    centres,
    choice,
    fields,
    filled,
    header_file,
    names,
    numbers,
    whole,
)
from multimodal_lab.data.readers.geotiff import Ground
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import Card, DataError
from multimodal_lab.text import some
from multimodal_lab.types import Band

TYPES = {"1": "u1", "2": "i2", "3": "i4", "4": "f4", "5": "f8", "12": "u2", "13": "u4", "14": "i8", "15": "u8"}
ORDERS = {"0": "<", "1": ">", "ieee-le": "<", "ieee-be": ">"}
# Axes of the stored array, and the transposition that makes it (bands, lines, samples).
LAYOUTS = {"bsq": ("blc", (0, 1, 2)), "bil": ("lbc", (1, 0, 2)), "bip": ("lcb", (2, 0, 1))}
# Fields that say how values follow from stored ones: value = stored * gain + offset, or stored / factor.
IGNORE = "data ignore value"
FACTOR = "reflectance scale factor"
GAINS = (("data gain values", "data offset values"), ("data reflectance gain values", "data reflectance offset values"))


@dataclass(frozen=True)
class Header:
    """The facts of one cube: values of `dtype` from byte `offset` on, laid out as `interleave`.

    nm: centre of each band, () where not known, `inferred` how. names: of the bands, () without. bad: places of the bands
    that the bad band list marks. scale: (gain, offset) of each band, value = stored * gain + offset, by the fields `scaled`.
    gain: the field of that name. assumed: fields that `fallback` filled in. nodata: the stored value of missing pixels (`data
    ignore value`), or `why` what stands there is none. ground: where it lies, or `nowhere` why its `map info` doesn't tell.
    """

    lines: int
    samples: int
    count: int
    dtype: np.dtype
    interleave: str
    offset: int
    nm: tuple[float, ...] = ()
    inferred: str = ""
    names: tuple[str, ...] = ()
    bad: tuple[int, ...] = ()
    gain: tuple[float, ...] = ()
    scale: tuple[tuple[float, float], ...] = ()
    scaled: str = ""
    assumed: tuple[str, ...] = ()
    nodata: nodata.Value = None
    why: str = ""
    ground: Ground | None = field(default=None, repr=False)  # no value depends on it: `repr` is what a fingerprint sees
    nowhere: str = field(default="", repr=False)

    @property
    def named(self) -> bool:
        """Whether the header gives each band a name of its own."""
        return len(set(self.names)) == self.count == len(self.names) and "" not in self.names

    def bands(self, named: bool) -> tuple[Band, ...]:
        """All stored bands, by their names or numbered by their place: B000, B001, …."""
        called = self.names if named else [f"B{i:03d}" for i in range(self.count)]
        return tuple(Band(c, self.nm[i] if self.nm else None) for i, c in enumerate(called))

    def cube(self, file: Path) -> np.ndarray:
        """A read-only memory map (C, H, W) of the stored values."""
        extent = {"b": self.count, "l": self.lines, "c": self.samples}
        axes, order = LAYOUTS[self.interleave]
        shape = tuple(extent[a] for a in axes)
        return np.memmap(file, self.dtype, "r", self.offset, shape).transpose(order)

    def values(self, stored: np.ndarray, bands: Sequence[int]) -> np.ndarray:
        """What the stored values (C, H, W) of `bands` mean: float32, or as stored where the header scales none."""
        if not self.scale:
            return stored
        gain, offset = np.array([self.scale[i] for i in bands]).T[:, :, None, None]
        return np.asarray(stored * gain + offset, dtype=np.float32)


def read_header(
    file: Path, name: str, fallback: dict[str, str], limits: Limits, override: dict[str, str] | None = None
) -> Header:
    """Parse the header that belongs to `file` and hold it against the limits and the file's size."""
    stored = fields(header_file(file, name), name)
    given_instead = by_name(override or {})
    keys = filled({**by_name(fallback), **stored, **given_instead})
    lines, samples, count = (whole(keys, k, name) for k in ("lines", "samples", "bands"))
    interleave = choice(keys, "interleave", {k: k for k in LAYOUTS}, name)
    order = choice(keys, "byte order", ORDERS, name)
    dtype = np.dtype(order + choice(keys, "data type", TYPES, name))
    offset = whole(keys, "header offset", name) if "header offset" in keys else 0
    _require_plain(keys, name)
    limits.check(name, pixels=lines * samples, bands=count, itemsize=dtype.itemsize)
    expected, actual = offset + lines * samples * count * dtype.itemsize, file.stat().st_size
    if expected != actual:
        claim = f"{lines} lines x {samples} samples x {count} bands of {dtype.itemsize} bytes after {offset}"
        raise DataError(f"{name}: expected {expected:,} bytes from its header ({claim}), the file has {actual:,}")
    nm, inferred = centres(keys, count, name)
    if not nm and not inferred and count == 408:
        nm, inferred = (
            tuple(table_408().round(4).tolist()),
            "408 bands without wavelengths: taken from 348.39 to 809.61 nm",
        )
    bad = numbers(keys, "bbl", name)
    if len(bad) not in (0, count):
        raise DataError(f"{name}: its header marks {len(bad)} bands good or bad (bbl), expected {count}")
    scale, scaled = _scale(keys, count, name)
    value, why = nodata.parsed(keys[IGNORE], dtype) if IGNORE in keys else (None, "")
    return Header(
        lines, samples, count, dtype, interleave, offset, nm, inferred, names(keys),
        tuple(i for i, ok in enumerate(bad) if not ok), tuple(numbers(keys, "gain", name)), scale, scaled,
        tuple(sorted(keys.keys() - stored.keys() - given_instead.keys())), value, why,
        *envi_ground.ground(keys, lines, samples, name),
    )  # fmt: skip


def _require_plain(keys: dict[str, str], name: str) -> None:
    """Refuse what says that the file is not one plain array."""
    for key in ("file compression", "major frame offsets", "minor frame offsets"):
        if any(numbers(keys, key, name)):
            raise DataError(f"{name}: its header says '{key} = {keys[key]}', expected 0")
    if "spectral library" in keys.get("file type", "").lower():
        raise DataError(
            f"{name}: its header says 'file type = {keys['file type']}', expected images; give spectra as a table"
        )


def _scale(keys: dict[str, str], count: int, name: str) -> tuple[tuple[tuple[float, float], ...], str]:
    """(gain, offset) of each band and the field that says so; () and "" where values mean what is stored."""
    ways = [pair for pair in GAINS if any(key in keys for key in pair)]
    said = [*([FACTOR] if FACTOR in keys else []), *(next(key for key in pair if key in keys) for pair in ways)]
    if len(said) > 1:
        raise DataError(
            f"{name}: its header scales values by {' and by '.join(map(repr, said))}, expected one; "
            f"data.source.override={{{said[0]}: ''}} leaves that out"
        )
    if not said:
        return (), ""
    if said == [FACTOR]:
        factor = numbers(keys, FACTOR, name, count)
        if min(factor) <= 0:
            raise DataError(f"{name}: its header has {FACTOR!r} = {keys[FACTOR]}, expected a number above 0")
        gain, offset = [1 / f for f in factor], [0.0]
    else:
        gain, offset = (numbers(keys, key, name, count) or [other] for key, other in zip(ways[0], (1.0, 0.0)))
    each = [x if len(x) == count else x * count for x in (gain, offset)]
    scale = tuple(zip(*each))
    return (scale, said[0]) if set(scale) != {(1.0, 0.0)} else ((), "")


def table_408() -> np.ndarray:
    """Centres in nm of the 408-band camera: 348.3931 + 1.1332 i."""
    return 348.3931 + 1.1332 * np.arange(408)


def same(path: str, header: Header, first: tuple[str, Header] | None, calibrate: str, tolerance: float) -> Header:
    """The header, if it holds the bands of the first file in the same type, and the gains that `calibrate` needs."""
    if calibrate == "gain" and len(header.gain) not in (1, header.count):
        raise DataError(f"{path}: {len(header.gain)} values of 'gain' in its header, expected 1 or {header.count}")
    if first is None:
        return header
    at, other = first
    if (header.count, header.dtype) != (other.count, other.dtype):
        expected = f"{other.count} of {other.dtype} as in {at}"
        raise DataError(f"{path}: {header.count} bands of {header.dtype}, expected {expected}")
    if bool(header.nm) != bool(other.nm):
        raise DataError(f"{path}: its header has {'' if header.nm else 'no '}wavelengths, unlike that of {at}")
    apart, spacing = _apart(header, other), _spacing(other)
    if apart > tolerance * spacing:
        raise DataError(
            f"{path}: its wavelengths differ from those of {at} by up to {apart:g} nm, expected at most {tolerance:g} of the "
            f"spacing of {spacing:g} nm; data.source.nm_tolerance={apart / spacing * 1.01 if spacing else 1:.2g} takes them"
        )
    return header


def agreed(headers: Sequence[Header]) -> bool:
    """Whether all headers name the bands, and alike."""
    return all(h.named and h.names == headers[0].names for h in headers)


def _apart(one: Header, two: Header) -> float:
    """The largest difference of their centres in nm."""
    return float(np.abs(np.subtract(one.nm, two.nm)).max(initial=0))


def _spacing(header: Header) -> float:
    """The least distance of two centres in nm; of a single band its centre."""
    return float(np.abs(np.diff(np.sort(header.nm))).min(initial=np.inf)) if len(header.nm) > 1 else sum(header.nm)


def told(
    good: dict[str, Header], bad: set[str], card: Card | None, calibrate: str = "none", tolerance: float = 0.0
) -> Iterator[str]:
    """What was taken from headers, and the key that says otherwise, a sentence each."""
    found = list(good.values())
    first = found[0]
    for word in dict.fromkeys(word for h in found for word in h.assumed):
        count = sum(word in h.assumed for h in found)
        yield f"{count} of {len(found)} headers leave out {word!r}: as data.source.fallback says"
    if bad:
        yield (
            f"{len(bad)} of {first.count} bands are marked bad (bbl) and left out: {some(sorted(bad))}; "
            "data.source.override={bbl: ''} keeps them"
        )
    for word in dict.fromkeys(h.scaled for h in found if h.scaled):
        every = sorted({h.scale for h in found if h.scaled == word})
        by = f" ({1 / every[0][0][0]:g})" if word == FACTOR and len(every) == 1 else ""
        done = "is" if calibrate == "none" else f"is, with calibrate={calibrate}, not"
        yield f"the header's {word}{by} {done} applied; data.source.override={{{word}: ''}} reads values as stored"
    if card is not None:  # it has names and wavelengths of its own
        return
    for guess in dict.fromkeys(h.inferred for h in found if h.inferred):
        yield f"{guess}; data.source.override={{wavelength units: nm}} says otherwise"
    if agreed(found):
        key = "data.source.override={band names: ''}"
        yield f"bands have the names of the headers, such as {first.names[0]!r}; {key} numbers them"
    elif any(h.names for h in found):
        yield "bands are numbered (B000, …): the headers' band names differ between files, or repeat"
    apart = max(_apart(h, first) for h in found)
    if apart:
        within = f"within data.source.nm_tolerance={tolerance:g}"
        yield f"centres differ between files by up to {apart:g} nm, {within}; those of the first file count"
