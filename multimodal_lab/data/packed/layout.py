"""Byte offsets of a stream's bands within a record of a packed store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_lab.data import kinds
from multimodal_lab.data.packed.format import Part, aligned
from multimodal_lab.data.source import DataError, Raw

Planes = tuple[tuple[int, int], ...]  # (place among the parts, plane of that part) of each band of a stream, in order


@dataclass(frozen=True)
class Piece:
    """Planes side by side in a record, bytes `start` to `stop`; `pick` reorders them, None takes all as they lie."""

    start: int
    stop: int
    dtype: np.dtype
    shape: tuple[int, ...]
    pick: tuple[int, ...] | None = None

    def of(self, record: np.ndarray, low: int) -> np.ndarray:
        """The values, from bytes `low` on of the record; a view unless they are reordered."""
        values = np.ndarray(self.shape, self.dtype, record, self.start - low)
        return values if self.pick is None else values[list(self.pick)]


@dataclass(frozen=True)
class Recipe:
    """How to cut streams from bytes `low` to `high` of a record: pieces a stream, None where it is missing.

    holes: for streams that lack pixels or steps a piece a band, None for a band that has all. rates: in Hz, of those that tell.
    """

    low: int
    high: int
    pieces: dict[str, tuple[Piece, ...] | None]
    mask: Piece | None
    full_scale: float | dict[str, float]
    holes: dict[str, tuple[Piece | None, ...]]
    rates: dict[str, float]

    def cut(self, record: np.ndarray, low: int) -> Raw:
        """The sample's arrays; a stream of parts of two types becomes float32, as the HDF5 reader has it."""
        inputs: dict[str, Any] = dict.fromkeys(self.pieces)
        for name, pieces in self.pieces.items():
            if pieces is not None:
                inputs[name] = _joined(name, [piece.of(record, low) for piece in pieces])
        missing = {}
        for name, holes in self.holes.items():
            missing[name] = np.zeros(inputs[name].shape, dtype=bool)
            for band, piece in zip(missing[name], holes, strict=True):
                band[:] = False if piece is None else piece.of(record, low)[0]
        return Raw(
            inputs, None if self.mask is None else self.mask.of(record, low), self.full_scale, missing, dict(self.rates)
        )

    def cut_rows(self, records: np.ndarray, low: int) -> dict[str, np.ndarray] | None:
        """{stream: (n, C)} of vectors of records (n, bytes), of which each holds bytes `low` and on; None for anything else."""
        if self.mask is not None or self.holes or self.rates:
            return None
        found = {}
        for name, pieces in self.pieces.items():
            if pieces is None or any(len(piece.shape) > 1 for piece in pieces):
                return None
            parts = [np.ascontiguousarray(records[:, p.start - low : p.stop - low]).view(p.dtype) for p in pieces]
            parts = [x if p.pick is None else x[:, list(p.pick)] for x, p in zip(parts, pieces, strict=True)]
            found[name] = _joined(name, [x.T for x in parts]).T
        return found


class Layout:
    """The extents of all parts of records whose index row says the same of them.

    row: the fields `p0`, `p1`, … of an index row. `start[i]`: first byte of part i; `bytes`: of the whole record.
    """

    def __init__(self, parts: Sequence[Part], row: Any) -> None:
        self.parts = parts
        self.size: list[tuple[int, ...]] = []
        self.rate: list[float] = []
        self.there: list[np.ndarray] = []
        self.start: list[int] = []
        end = 0
        for i, part in enumerate(parts):
            facts = row[f"p{i}"]
            time = (int(facts["steps"]),) if part.steps else ()
            self.size.append((*time, int(facts["height"]), int(facts["width"])))
            self.rate.append(float(facts["rate"]) if part.steps else 0.0)
            self.there.append(np.unpackbits(facts["present"], count=part.planes).astype(bool))
            self.start.append(aligned(end))
            end = self.start[-1] + int(self.there[-1].sum()) * self.plane(i)
        self.bytes = end

    def plane(self, part: int) -> int:
        """The bytes of one plane."""
        return math.prod(max(1, side) for side in self.size[part]) * np.dtype(self.parts[part].dtype).itemsize

    def recipe(self, planes: dict[str, Planes]) -> Recipe:
        """What to read for streams {name: planes}, and how to cut it."""
        pieces = {name: self._pieces(wanted) for name, wanted in planes.items()}
        at = next((i for i, p in enumerate(self.parts) if p.kind == "mask"), None)
        mask = self._piece(at, [0]) if at is not None and self.there[at].all() else None
        holes = {name: self._holes(wanted) for name, wanted in planes.items() if pieces[name] is not None}
        holes = {name: own for name, own in holes.items() if any(own)}
        every = [*pieces.values(), *holes.values(), (mask,)]
        all_pieces = [p for group in every for p in group or () if p is not None]
        scales = {name: self._scale(wanted) for name, wanted in planes.items()}
        one = set(scales.values())
        rates = {name: rate for name, wanted in planes.items() if pieces[name] and (rate := self.rate[wanted[0][0]])}
        return Recipe(
            min((p.start for p in all_pieces), default=0),
            max((p.stop for p in all_pieces), default=0),
            pieces,
            mask,
            one.pop() if len(one) == 1 else scales,
            holes,
            rates,
        )

    def _holes(self, wanted: Planes) -> tuple[Piece | None, ...]:
        """For each plane the piece that tells which of its pixels are missing."""
        at = {int(p.field): i for i, p in enumerate(self.parts) if p.kind == "missing"}
        own = [(at.get(part), plane) for part, plane in wanted]
        return tuple(None if i is None or not self.there[i][plane] else self._piece(i, [plane]) for i, plane in own)

    def _pieces(self, wanted: Planes) -> tuple[Piece, ...] | None:
        if not all(self.there[part][plane] for part, plane in wanted):
            return None
        if len({part for part, _ in wanted}) == 1:
            return (self._piece(wanted[0][0], [plane for _, plane in wanted]),)
        return tuple(self._piece(part, [plane]) for part, plane in wanted)

    def _piece(self, part: int, planes: list[int]) -> Piece:
        rank = np.cumsum(self.there[part]) - 1
        at = [int(rank[i]) for i in planes]
        low, high = min(at), max(at) + 1
        own, size = self.parts[part], self.size[part]
        of = self.parts[int(own.field)] if own.kind == "missing" else own
        time, sides = size[:-2], size[-2:]
        shape = sides if own.kind == "mask" else (high - low, *time, *sides[2 - kinds.get(of.kind).axes :])
        first, plane = self.start[part], self.plane(part)
        pick = None if at == list(range(low, high)) else tuple(i - low for i in at)
        return Piece(first + low * plane, first + high * plane, np.dtype(self.parts[part].dtype), shape, pick)

    def _scale(self, wanted: Planes) -> float:
        found = {self.parts[part].full_scale for part, _ in wanted}
        return found.pop() if len(found) == 1 else 1.0


def planes_of(places: list[int], parts: Sequence[Part], kind: str, field: str) -> Planes:
    """The planes of a stream whose bands stand at `places` among the store's, in the parts of `kind` and `field`."""
    own = [i for i, p in enumerate(parts) if (p.kind, p.field) == (kind, field)]
    home = {band: (i, plane) for i in own for plane, band in enumerate(parts[i].bands)}
    return tuple(home[i] for i in places)


def _joined(name: str, bands: list[np.ndarray]) -> np.ndarray:
    if len(bands) == 1:
        return bands[0]
    if len({b.shape for b in bands}) > 1:
        raise DataError(f"stream {name} takes bands of different sizes: {sorted({b.shape[1:] for b in bands})}")
    return np.concatenate(bands if len({b.dtype for b in bands}) == 1 else [b.astype(np.float32) for b in bands])
