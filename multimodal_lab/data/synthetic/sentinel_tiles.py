"""Tiles of the Sentinel-2 grid that made-up patches are said to lie in: two in each of the ten countries of BigEarthNet."""

from __future__ import annotations

from typing import NamedTuple

COUNTRIES = {
    "Austria": ("33UUP", "33UVP"),
    "Belgium": ("31UER", "31UES"),
    "Finland": ("35VPK", "35VLG"),
    "Ireland": ("29UPU", "29UPV"),
    "Kosovo": ("34TDN", "34TEN"),
    "Lithuania": ("34UFG", "35ULB"),
    "Luxembourg": ("31UGR", "32ULV"),
    "Portugal": ("29SND", "29SNC"),
    "Serbia": ("34TDQ", "34TEQ"),
    "Switzerland": ("32TMT", "32TLT"),
}
SPLITS = ("train", "validation", "test", "train")  # of the tiles in turn
PLACES = 90  # patches along a side of a tile
ROWS = "ABCDEFGHJKLMNPQRSTUV"  # the letters of MGRS know no I and no O
LOWEST = {"S": 3_500_000, "T": 4_400_000, "U": 5_300_000, "V": 6_200_000}  # m, northing of the bands of latitude


class Tile(NamedTuple):
    """One tile: `left` and `top` in m of its UTM zone; the day it was seen."""

    name: str
    country: str
    split: str
    epsg: int
    left: float
    top: float
    date: str


def tiles(count: int) -> list[Tile]:
    """The first so many, one of each country, then another of each."""
    named = [(names[turn], country) for turn in range(2) for country, names in COUNTRIES.items()][:count]
    made = []
    for i, (name, country) in enumerate(named):
        left, top = _corner(name)
        date = f"2017-{6 + i % 6:02d}-{1 + 7 * i % 28:02d}"
        made.append(Tile(name, country, SPLITS[i % len(SPLITS)], 32600 + int(name[:2]), left, top, date))
    return made


def _corner(tile: str) -> tuple[float, float]:
    """The upper left corner of a square of 100 km, by its letters in the military grid (MGRS)."""
    zone, band, column, row = int(tile[:2]), *tile[2:]
    columns = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")[zone % 3]
    bottom = (ROWS.index(row) - (5 if zone % 2 == 0 else 0)) % len(ROWS) * 100_000
    while bottom < LOWEST[band]:
        bottom += len(ROWS) * 100_000
    return (columns.index(column) + 1) * 100_000.0, bottom + 100_000.0
