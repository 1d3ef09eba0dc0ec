"""Tiles of the Sentinel-2 grid that made-up patches are said to lie in: two in each of the ten countries of BigEarthNet."""

from __future__ import annotations

from typing import NamedTuple

from multimodal_lab.data.readers.bigearthnet_names import corner

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
        epsg, left, top = corner(name)
        date = f"2017-{6 + i % 6:02d}-{1 + 7 * i % 28:02d}"
        made.append(Tile(name, country, SPLITS[i % len(SPLITS)], epsg, left, top, date))
    return made
