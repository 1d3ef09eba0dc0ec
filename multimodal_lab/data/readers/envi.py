"""Reader of ENVI cubes: raw file (.bil, .bip, .bsq, .img, …) with text header (.hdr), one pair per sample."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from multimodal_lab.bounds import NonNegative
from multimodal_lab.data.readers import nodata, tiles
from multimodal_lab.data.readers.card import mask_from_band, pixel_bands, requested_bands, select_planes
from multimodal_lab.data.readers.envi_header import Header, agreed, read_header, same, told
from multimodal_lab.data.readers.folder import existing, find, given, readable, table
from multimodal_lab.data.readers.headers import headers, readable_header
from multimodal_lab.data.readers.labels import Labels, labelled
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import Card, DataError, Raw, full_scale
from multimodal_lab.data.streams.bands import need_kind
from multimodal_lab.text import some
from multimodal_lab.types import Band, Stream

SUFFIXES = (".bil", ".bip", ".bsq", ".img")  # files that must have a header
ALSO = (".dat", ".raw", ".bin")  # files that are cubes where they have one


class Envi:
    """Every cube below `root`: .bil, .bip, .bsq and .img, which must have a header, `x.bil.hdr` or `x.hdr`, and .dat, .raw,
    .bin and files without a suffix that have one.

    `fallback` says what a header means that leaves a field out, `override` what a field says in place of the header
    ("" takes it out); nothing else is assumed, and a header that disagrees with its file's size is a `DataError` with both
    byte counts. Wavelengths come from the header, else for 408 bands from the linear table of `table_408`, and names from
    its `band names`. Bands that a `bbl` marks bad in any file are left out; values are scaled by `reflectance scale factor`
    or by `data gain values` and `data offset values`, where there are such: `notes` tell. All files must hold the same bands
    in the same type, their centres no farther apart than the share `nm_tolerance` of the least spacing. Missing
    are pixels of the header's `data ignore value`, or of the card's nodata, in stored units. `card` overrides band names and
    wavelengths, and names a mask band. `calibrate`: divide by the header's gain, or
    (stored - dark) / (white - dark) with the mean spectra of two cubes, `white` and the optional `dark`.
    """

    beside: ClassVar[tuple[str, ...]] = (".hdr", ".HDR")

    def __init__(
        self,
        root: str,
        *,
        card: Card | None = None,
        labels: Labels | None = None,
        fallback: dict[str, str] | None = None,
        override: dict[str, str] | None = None,
        nm_tolerance: NonNegative = 0.01,
        calibrate: Literal["none", "gain", "white_reference"] = "none",
        white: str | None = None,
        dark: str | None = None,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
    ) -> None:
        self.root = existing(root)
        self.limits = limits or Limits()
        self.fallback, self.override = fallback or {}, override or {}
        self.calibrate = calibrate
        references = {p: given(self.root, p, "data.source.white or dark").resolve() for p in (white, dark) if p}
        every, strays = cubes(self.root)
        paths = [p for p in every if (self.root / p).resolve() not in references.values()]
        self.limits.count(str(self.root), len(paths))

        def read(path: str, first: tuple[str, Header] | None) -> Header:
            header = read_header(self.root / path, path, self.fallback, self.limits, self.override)
            return same(path, header, first, calibrate, nm_tolerance)

        self._headers = headers(paths, read, on_error)
        good = {p: h for p, h in zip(paths, self._headers) if isinstance(h, Header)}
        at, self._first = next(iter(good.items()))
        self.card = card or Card(self._first.bands(agreed(list(good.values()))))
        if len(self.card.bands) != self._first.count:
            raise DataError(f"{at}: {self._first.count} bands, expected {len(self.card.bands)} as in the card")
        bad = {self.card.bands[i].name for h in good.values() for i in h.bad} - {self.card.mask_band}
        self.bands: tuple[Band, ...] = tuple(b for b in pixel_bands(self.card) if b.name not in bad)
        if not self.bands:
            raise DataError(f"{at}: its bad band list (bbl) leaves no band; data.source.override={{bbl: ''}} keeps all")
        nodata.check(self.card, [self.card.bands.index(b) for b in self.bands], self._first.dtype)
        self._reference = self._spectra(references, white, dark)
        # The header is half of the data: with another byte order the same file holds other values.
        facts = hashlib.sha256(repr(self._headers).encode()).hexdigest()
        self.identity = (calibrate, self._reference.tolist(), facts)
        sized = table(paths, (*SUFFIXES, *ALSO, "")).assign(
            height=[getattr(h, "lines", 0) for h in self._headers],
            width=[getattr(h, "samples", 0) for h in self._headers],
        )
        self.samples, notes = labelled(self.root, sized, labels)
        self.notes = [*strays, *told(good, bad, card, calibrate, nm_tolerance), *notes]
        if self.card.nodata is None:
            self.notes += nodata.notes([(p, h.why) for p, h in good.items() if h.why], len(paths))
        tiles.mark(self)

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """The bands of `streams`, as stored, or scaled or calibrated (float32), and the mask."""
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
        reflectance = self.calibrate == "white_reference" or bool(header.scale)
        top = 1.0 if reflectance else full_scale(header.dtype)
        missing = nodata.missing(values, nodata.of_bands(self.card, wanted, header.nodata))
        gone = {} if missing is None else {name: select_planes(missing, p) for name, p in places.items()}
        return Raw({name: pixels[p] for name, p in places.items()}, mask, top, gone)

    def _calibrated(self, x: np.ndarray, wanted: Sequence[int], header: Header) -> np.ndarray:
        if self.calibrate == "none":
            return header.values(x, wanted)
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
        header = read_header(file, name, self.fallback, self.limits, self.override)
        if header.count != self._first.count:
            raise DataError(f"{name}: {header.count} bands, expected {self._first.count} as in the samples")
        cube = header.cube(file)
        missing = nodata.missing(cube, nodata.of_bands(self.card, range(header.count), header.nodata))
        return np.asarray(cube.mean((1, 2), dtype=np.float64, where=True if missing is None else ~missing))


def cubes(root: Path) -> tuple[list[str], list[str]]:
    """The files below `root` that are ENVI cubes, and what to tell of files and headers that stand alone."""
    found = find(root, (*SUFFIXES, *ALSO, ".hdr"))
    lists = {p.lower(): p for p in found if p.lower().endswith(".hdr")}
    data = [p for p in found if p.lower() not in lists]
    plain = [p[:-4] for p in lists.values() if p[:-4] not in data and (root / p[:-4]).is_file()]  # any suffix, or none

    def described(path: str) -> set[str]:
        return {f"{path.lower()}.hdr", f"{path.lower().rpartition('.')[0]}.hdr"} & set(lists)

    bare = [p for p in data if p.lower().endswith(ALSO) and not described(p)]
    taken = sorted({*data, *plain} - {*bare})
    used = {p for path in taken for p in (f"{path.lower()}.hdr", *described(path))}
    lone = [p for low, p in lists.items() if low not in used]
    if not taken:
        raise DataError(f"{root}: no ENVI cube: {some(bare or lone)} without {'a header' if bare else 'a data file'}")
    notes = [f"{len(bare)} files without a header are left aside: {some(bare)}"] if bare else []
    return taken, notes + ([f"{len(lone)} headers without a data file are left aside: {some(lone)}"] if lone else [])
