"""Reader of ENVI cubes: raw file (.bil, .bip, .bsq, .img) with text header (.hdr), one pair per sample."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from multimodal_lab.data.readers.card import mask_from_band, numbered, pixel_bands, requested_bands
from multimodal_lab.data.readers.folder import existing, find, given, headers, readable, readable_header, table
from multimodal_lab.data.readers.labels import Labels, labelled
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import Card, DataError, Raw, full_scale
from multimodal_lab.data.streams.bands import need_kind
from multimodal_lab.types import Band, Stream

SUFFIXES = (".bil", ".bip", ".bsq", ".img")
TYPES = {"1": "u1", "2": "i2", "3": "i4", "4": "f4", "5": "f8", "12": "u2", "13": "u4", "14": "i8", "15": "u8"}
ORDERS = {"0": "<", "1": ">", "ieee-le": "<", "ieee-be": ">"}
# Axes of the stored array, and the transposition that makes it (bands, lines, samples).
LAYOUTS = {"bsq": ("blc", (0, 1, 2)), "bil": ("lbc", (1, 0, 2)), "bip": ("lcb", (2, 0, 1))}
NANOMETRES = dict.fromkeys(("nanometers", "nanometres", "nm"), 1.0)
NANOMETRES |= dict.fromkeys(("micrometers", "micrometres", "microns", "um", "µm"), 1e3)
HEADER = 2**24  # bytes: a text of a few thousand wavelengths is a hundredth of it
NO_UNITS = {"unknown", "index", "none"}


@dataclass(frozen=True)
class Header:
    """The facts of one cube: values of `dtype` from byte `offset` on, laid out as `interleave`."""

    lines: int
    samples: int
    count: int
    dtype: np.dtype
    interleave: str
    offset: int
    bands: tuple[Band, ...]
    gain: tuple[float, ...] = ()

    def cube(self, file: Path) -> np.ndarray:
        """A read-only memory map (C, H, W) of the values."""
        extent = {"b": self.count, "l": self.lines, "c": self.samples}
        axes, order = LAYOUTS[self.interleave]
        shape = tuple(extent[a] for a in axes)
        return np.memmap(file, self.dtype, "r", self.offset, shape).transpose(order)


class Envi:
    """Every .bil, .bip, .bsq and .img below `root` that must have a header, `x.bil.hdr` or `x.hdr`.

    `fallback` says what a header means that leaves a field out (`{data type: "12", interleave: bil, byte order: "0"}`);
    nothing else is assumed, and a header that disagrees with its file's size is a `DataError` with both byte counts.
    Wavelengths come from the header, else for 408 bands from the linear table of `table_408`. All files must hold the
    same bands in the same type. `card` overrides band names and wavelengths, and names a mask band. `calibrate`: divide
    by the header's gain, or (value - dark) / (white - dark) with the mean spectra of two cubes, `white` and the
    optional `dark`.
    """

    def __init__(
        self,
        root: str,
        *,
        card: Card | None = None,
        labels: Labels | None = None,
        fallback: dict[str, str] | None = None,
        calibrate: Literal["none", "gain", "white_reference"] = "none",
        white: str | None = None,
        dark: str | None = None,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
    ) -> None:
        self.root = existing(root)
        self.limits = limits or Limits()
        self.fallback = fallback or {}
        self.calibrate = calibrate
        references = {p: given(self.root, p, "data.source.white or dark").resolve() for p in (white, dark) if p}
        paths = [p for p in find(self.root, SUFFIXES) if (self.root / p).resolve() not in references.values()]
        self.limits.count(str(self.root), len(paths))

        def read(path: str, first: tuple[str, Header] | None) -> Header:
            return _same(path, read_header(self.root / path, path, self.fallback, self.limits), first, calibrate)

        self._headers = headers(paths, read, on_error)
        at, self._first = next((p, h) for p, h in zip(paths, self._headers) if isinstance(h, Header))
        self.card = card or Card(self._first.bands)
        if len(self.card.bands) != self._first.count:
            raise DataError(f"{at}: {self._first.count} bands, expected {len(self.card.bands)} as in the card")
        self.bands: tuple[Band, ...] = pixel_bands(self.card)
        self._reference = self._spectra(references, white, dark)
        # The header is half of the data: with another byte order the same file holds other values.
        facts = hashlib.sha256(repr(self._headers).encode()).hexdigest()
        self.identity = (calibrate, self._reference.tolist(), facts)
        sized = table(paths, SUFFIXES).assign(
            height=[getattr(h, "lines", 0) for h in self._headers],
            width=[getattr(h, "samples", 0) for h in self._headers],
        )
        self.samples, self.notes = labelled(self.root, sized, labels)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The bands of `streams`, as stored or calibrated (float32), and the mask."""
        path = str(self.samples.path.iloc[index])
        need_kind(streams, ["image"], path)
        needed, places = requested_bands(self.bands, streams)
        stored = [b.name for b in self.card.bands]
        wanted = [stored.index(self.bands[i].name) for i in needed]
        header = readable_header(self._headers[index])
        with readable(path, "ENVI cube"):  # it may have been cut since its header was read
            cube = header.cube(self.root / path)
        values = np.ascontiguousarray(cube[wanted], dtype=header.dtype.newbyteorder("="))
        pixels = self._calibrated(values, wanted, header)
        mask = None
        if self.card.mask_band is not None:
            mask = mask_from_band(np.asarray(cube[stored.index(self.card.mask_band)]), self.card, path)
        top = 1.0 if self.calibrate == "white_reference" else full_scale(header.dtype)
        return Raw({name: pixels[p] for name, p in places.items()}, mask, top)

    def _calibrated(self, x: np.ndarray, wanted: Sequence[int], header: Header) -> np.ndarray:
        if self.calibrate == "none":
            return x
        if self.calibrate == "gain":
            gain = np.array(header.gain, np.float32)
            return x.astype(np.float32) / (gain[list(wanted)] if len(gain) > 1 else gain).reshape(-1, 1, 1)
        dark, span = self._reference[:, list(wanted), None, None]
        return np.asarray((x - dark) / span, dtype=np.float32)

    def _spectra(self, files: dict[str, Path], white: str | None, dark: str | None) -> np.ndarray:
        """(2, C) float64: dark, and white - dark."""
        count = self._first.count
        if self.calibrate != "white_reference":
            if white or dark:
                raise DataError(
                    f"data.source.white and dark need calibrate=white_reference, found calibrate={self.calibrate}"
                )
            return np.zeros((2, count))
        if not white:
            raise DataError("data.source.white: calibrate=white_reference needs the path of a white cube")
        found = [self._mean(files[p], p) if p else np.zeros(count) for p in (dark, white)]
        bad = [i for i in range(count) if not found[1][i] > found[0][i]]
        if bad:
            raise DataError(
                f"{white}: band {self.card.bands[bad[0]].name} of the white reference is not above the dark one"
            )
        return np.stack([found[0], found[1] - found[0]])

    def _mean(self, file: Path, name: str) -> np.ndarray:
        header = read_header(file, name, self.fallback, self.limits)
        if header.count != self._first.count:
            raise DataError(f"{name}: {header.count} bands, expected {self._first.count} as in the samples")
        return np.asarray(header.cube(file).mean((1, 2), dtype=np.float64))


def _same(path: str, header: Header, first: tuple[str, Header] | None, calibrate: str) -> Header:
    """The header, if it holds the bands of the first file in the same type, and the gains that `calibrate` needs."""
    if first and (header.count, header.dtype) != (first[1].count, first[1].dtype):
        expected = f"{first[1].count} of {first[1].dtype} as in {first[0]}"
        raise DataError(f"{path}: {header.count} bands of {header.dtype}, expected {expected}")
    if first and header.bands != first[1].bands:
        raise DataError(f"{path}: its wavelengths or band names differ from those of {first[0]}")
    if calibrate == "gain" and len(header.gain) not in (1, header.count):
        raise DataError(f"{path}: {len(header.gain)} values of 'gain' in its header, expected 1 or {header.count}")
    return header


def table_408() -> np.ndarray:
    """Centres in nm of the 408-band camera: 348.3931 + 1.1332 i."""
    return 348.3931 + 1.1332 * np.arange(408)


def read_header(file: Path, name: str, fallback: dict[str, str], limits: Limits) -> Header:
    """Parse the header that belongs to `file` and hold it against the limits and the file's size."""
    keys = {**{k.lower(): str(v) for k, v in fallback.items()}, **_fields(_header_file(file, name), name)}
    lines, samples, count = (_whole(keys, k, name) for k in ("lines", "samples", "bands"))
    interleave = _choice(keys, "interleave", {k: k for k in LAYOUTS}, name)
    order = _choice(keys, "byte order", ORDERS, name)
    dtype = np.dtype(order + _choice(keys, "data type", TYPES, name))
    offset = _whole(keys, "header offset", name) if "header offset" in keys else 0
    if keys.get("file compression", "0") != "0":
        raise DataError(f"{name}: its header says 'file compression = {keys['file compression']}', expected 0")
    limits.check(name, pixels=lines * samples, bands=count, itemsize=dtype.itemsize)
    expected, actual = offset + lines * samples * count * dtype.itemsize, file.stat().st_size
    if expected != actual:
        claim = f"{lines} lines x {samples} samples x {count} bands of {dtype.itemsize} bytes after {offset}"
        raise DataError(f"{name}: expected {expected:,} bytes from its header ({claim}), the file has {actual:,}")
    gain = _numbers(keys, "gain", name)
    return Header(lines, samples, count, dtype, interleave, offset, _bands(keys, count, name), tuple(gain))


def _header_file(file: Path, name: str) -> Path:
    for candidate in (file.with_name(file.name + ".hdr"), file.with_suffix(".hdr")):
        if candidate.is_file():
            return candidate
    raise DataError(f"{name}: no header, expected {file.name}.hdr or {file.stem}.hdr beside it")


def _fields(file: Path, name: str) -> dict[str, str]:
    if file.stat().st_size > HEADER:
        raise DataError(
            f"{name}: its header {file.name} has {file.stat().st_size:,} bytes, expected a text below {HEADER:,}"
        )
    text = file.read_text(encoding="latin-1")
    if text.count("{") != text.count("}"):
        raise DataError(f"{name}: its header {file.name} has {{ without }}")
    found = re.findall(r"^[ \t]*([^=;\n{}]+?)[ \t]*=[ \t]*(\{[^}]*\}|[^\n]*)", text, re.MULTILINE)
    return {" ".join(k.lower().split()): v.strip() for k, v in found}


def _whole(keys: dict[str, str], key: str, name: str) -> int:
    value = keys.get(key)
    if value is None or not value.isdecimal():
        raise DataError(f"{name}: its header has {key!r} = {value}, expected a whole number")
    return int(value)


def _choice(keys: dict[str, str], key: str, choices: dict[str, str], name: str) -> str:
    value = keys.get(key)
    if value is None:
        raise DataError(f"{name}: its header has no {key!r}; say what that means in data.source.fallback")
    if value.lower() not in choices:
        raise DataError(f"{name}: its header has {key!r} = {value}, expected one of {', '.join(choices)}")
    return choices[value.lower()]


def _numbers(keys: dict[str, str], key: str, name: str) -> list[float]:
    try:
        return [float(v) for v in keys.get(key, "").strip("{} \n").replace(",", " ").split()]
    except ValueError as error:
        raise DataError(f"{name}: its header has {key!r} with a value that is not a number: {error}") from error


def _bands(keys: dict[str, str], count: int, name: str) -> tuple[Band, ...]:
    nm = _numbers(keys, "wavelength", name)
    if not nm:
        return numbered(count, table_408().round(4).tolist() if count == 408 else None)
    if len(nm) != count:
        raise DataError(f"{name}: its header lists {len(nm)} wavelengths, expected {count}")
    factors: dict[str, str] = {u: u for u in [*NANOMETRES, *NO_UNITS]}
    unit = _choice(keys, "wavelength units", factors, name)
    return numbered(count, None if unit in NO_UNITS else [round(v * NANOMETRES[unit], 4) for v in nm])
