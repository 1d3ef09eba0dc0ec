"""The data card in YAML: stored bands and mask, and the selection of bands for each stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from multimodal_lab.bounds import Count
from multimodal_lab.data.source import Card, DataError
from multimodal_lab.data.streams.bands import indices
from multimodal_lab.types import Band, Stream

NoData = float | list[float | None] | Literal["ignore"] | None


def card(
    bands: list[str],
    *,
    nm: list[float | None] | None = None,
    unit: str = "",
    units: dict[str, str] | None = None,
    mask_band: str | None = None,
    mask_threshold: float = 0.0,
    notes: dict[str, str] | None = None,
    nodata: NoData = None,
) -> Card:
    """A card of named bands in stored order, the mask's too.

    nm: centre wavelength of each band, null where it has none. unit: of every value; `units` says otherwise by band.
    The specimen is where `mask_band` > `mask_threshold`. nodata: see `Card`. Raises `DataError` if the lists disagree.
    """
    centres = [None] * len(bands) if nm is None else nm
    if len(centres) != len(bands):
        raise DataError(f"data.source.card.nm: {len(centres)} wavelengths for {len(bands)} bands")
    twice = sorted({b for b in bands if bands.count(b) > 1})
    if twice or not bands:
        raise DataError(
            f"data.source.card.bands: {twice[0]} is there twice" if twice else "data.source.card.bands: no bands"
        )
    there = f"no such band; there are {', '.join(bands)}"
    for name in units or {}:
        if name not in bands:
            raise DataError(f"data.source.card.units.{name}: {there}")
    if mask_band is not None and mask_band not in bands:
        raise DataError(f"data.source.card.mask_band={mask_band}: {there} (null: there is no mask)")
    if isinstance(nodata, list) and len(nodata) != len(bands):
        raise DataError(f"data.source.card.nodata: {len(nodata)} values for {len(bands)} bands")
    made = tuple(Band(b, c, (units or {}).get(b, unit)) for b, c in zip(bands, centres))
    gone = tuple(nodata) if isinstance(nodata, list) else nodata
    return Card(made, mask_band, mask_threshold, notes or {}, gone)


def even_card(
    *,
    count: Count,
    first_nm: float,
    last_nm: float,
    skip: list[int] | None = None,
    name: str = "B{:03d}",
    unit: str = "",
    notes: dict[str, str] | None = None,
    nodata: NoData = None,
) -> Card:
    """A card of `count` channels spread evenly from `first_nm` to `last_nm`, without the channels in `skip`.

    Channels are numbered from 1, in `skip` and in their names, so that a channel keeps its number when others were
    taken out.
    """
    centres = np.linspace(first_nm, last_nm, count)
    kept = [i for i in range(1, count + 1) if i not in set(skip or ())]
    names = [name.format(i) for i in kept]
    nm: list[float | None] = [round(float(centres[i - 1]), 4) for i in kept]
    return card(names, nm=nm, unit=unit, notes=notes, nodata=nodata)


def numbered(count: int, nm: Sequence[float] | None = None, unit: str = "") -> tuple[Band, ...]:
    """Bands named by their place, B000, B001, …, with wavelengths where they are known."""
    return tuple(Band(f"B{i:03d}", None if nm is None else float(nm[i]), unit) for i in range(count))


def pixel_bands(card: Card) -> tuple[Band, ...]:
    """The card's bands without its mask."""
    return tuple(b for b in card.bands if b.name != card.mask_band)


def requested_bands(bands: tuple[Band, ...], streams: Sequence[Stream]) -> tuple[list[int], dict[str, list[int]]]:
    """Which stored bands the streams need, ascending, and for each stream its places in that list."""
    chosen = {s.name: indices(s, bands) for s in streams}
    needed = sorted({i for c in chosen.values() for i in c})
    place = {band: i for i, band in enumerate(needed)}
    return needed, {name: [place[i] for i in c] for name, c in chosen.items()}


def select_planes(values: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """The planes of (C, …) at `places`: a view where they lie side by side in order."""
    first = places[0]
    if list(places) == [*range(first, first + len(places))]:  # a loop over 2,816 takes longer than reading them
        return values[first : first + len(places)]
    return values[list(places)]


def mask_from_band(x: np.ndarray, card: Card, where: str) -> np.ndarray:
    """The mask (H, W) bool from its stored band: x > threshold. At threshold 0 it must hold two values at most."""
    if not np.isfinite(x).all():
        raise DataError(f"{where}: mask band {card.mask_band} has NaN or infinite values, expected finite numbers")
    if card.mask_threshold == 0 and not ((x == 0) | (x == x.max())).all():
        raise DataError(
            f"{where}: mask band {card.mask_band} holds {len(np.unique(x))} values, expected 0 and one other "
            "(a data.source.card.mask_threshold above 0 cuts a grey mask)"
        )
    return np.asarray(x > card.mask_threshold)
