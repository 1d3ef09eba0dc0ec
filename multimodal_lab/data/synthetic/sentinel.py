"""Made-up pairs of Sentinel-1 and Sentinel-2 patches like BigEarthNet's, of which it is known what each sensor tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import gammaincinv, ndtri

from multimodal_lab.bounds import Count, Fraction, Natural, NonNegative
from multimodal_lab.data.readers.bigearthnet_facts import COARSE, NINETEEN, PATCH, S1, S2
from multimodal_lab.data.readers.utm import lon_lat
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.data.streams.labels import CLASSES
from multimodal_lab.data.synthetic.sentinel_cover import (
    CARRIED,
    GROUND,
    OPTICAL,
    RADAR,
    Carrier,
    Scene,
    contents,
    scene,
)
from multimodal_lab.data.synthetic.sentinel_tiles import COUNTRIES, PLACES, Tile, tiles
from multimodal_lab.types import Band, Stream

PIXEL = 10.0  # m
COVER = "cover"  # the field of what lies in each pixel
SMALLEST, LOOKS = 8, 4.4  # pixels a side; looks that a radar pixel is the mean of
HELD = (np.arange(256) + 0.5) / 256  # quantiles: the noise of a random byte, far quicker than drawing normal numbers


class Sentinel:
    """Patches of 12 bands of Sentinel-2 (uint16, reflectance x 10000) and VV and VH of Sentinel-1 (float32, dB) at 10 m, drawn
    from (seed, patch): nothing is stored. Bands of 20 and 60 m are means of 2 x 2 and 6 x 6 pixels.

    `labels` are several of the nineteen. Of `truth` {label: s1, s2 or both}: ten are ground that both sensors see; four
    lie above it but to Sentinel-1 alone, and five but to Sentinel-2 alone, each with chance .35 whatever else is there, so that
    no patch of the one sensor tells anything of them to the other. shared, s1_only, s2_only: contrasts of the three kinds,
    1 is clear, 0 takes the information away. noise: scales the speckle of Sentinel-1 and the texture of Sentinel-2.

    tiles: 3 to 20 squares of 100 km of their own illumination and day, two in each of ten countries; a tile is in one `split`.
    A stream of kind map with `field: cover` gets the class of each pixel, its place among the nineteen.
    size: pixels a side, 8 or more. missing_s1, missing_s2: share of patches without that sensor, drawn by itself.
    """

    bands = (*S2, *S1)
    field_bands: ClassVar[dict[str, tuple[Band, ...]]] = {"": bands, COVER: (Band(COVER),)}
    truth: dict[str, Carrier] = CARRIED

    def __init__(
        self,
        *,
        patches: Count = 2048,
        size: Count = 120,
        tiles: Count = 20,
        shared: NonNegative = 1.0,
        s1_only: NonNegative = 1.0,
        s2_only: NonNegative = 1.0,
        noise: NonNegative = 1.0,
        missing_s1: Fraction = 0.0,
        missing_s2: Fraction = 0.0,
        seed: Natural = 0,
    ) -> None:
        most = 2 * len(COUNTRIES)
        if not 3 <= tiles <= most:
            raise DataError(f"tiles: {tiles}, expected 3 to {most}: one for each split, two in each country")
        if not tiles <= patches <= tiles * PLACES**2:
            raise DataError(f"patches: {patches} in {tiles} tiles, expected {tiles} to {tiles * PLACES**2:,}")
        if size < SMALLEST:
            raise DataError(f"size: {size} pixels, expected {SMALLEST} or more")
        self.patches, self.size, self.tiles, self.seed, self.noise = patches, size, tiles, seed, noise
        self.shared, self.s1_only, self.s2_only = shared, s1_only, s2_only
        self.missing_s1, self.missing_s2 = missing_s1, missing_s2

    @property
    def identity(self) -> dict[str, Any]:
        """The dials: two generators with equal dials give equal pixels."""
        return {k: v for k, v in sorted(vars(self).items()) if isinstance(v, int | float)}

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a pair, in the columns of BigEarthNet's metadata and of its georeference."""
        rows = pd.DataFrame([self._row(i) for i in range(self.patches)])
        x, y = (rows.left + rows.right) / 2, (rows.bottom + rows.top) / 2
        degrees = [lon_lat(int(crs[5:]), a, b) for crs, a, b in zip(rows.crs, x, y)]
        rows["lon"], rows["lat"] = np.array(degrees, dtype=float).T
        rows.attrs[CLASSES] = {"labels": list(NINETEEN)}
        return rows

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """Draw the sensors that the streams ask for; float32 where a stream takes bands of both."""
        need_kind(streams, ["image"], "data=bigearthnet")
        cut = {s.name: indices(s, self.bands) for s in streams if s.field != COVER}
        of = {name: {_sensor(i) for i in places} for name, places in cut.items()}
        asked = set[str]().union(*of.values())
        gone = {sensor for sensor in asked if self._lacks(index, sensor)}
        ground = self.scene(index)
        drawn = {sensor: getattr(self, sensor)(index, ground) for sensor in asked - gone}
        inputs: dict[str, Any] = {}
        for name, places in cut.items():
            planes = [] if of[name] & gone else [drawn[_sensor(i)][i % len(S2)] for i in places]
            inputs[name] = np.stack(planes, dtype=np.float32 if "s1" in of[name] else np.uint16) if planes else None
        inputs |= {s.name: ground.seen("both")[None] for s in streams if s.field == COVER}
        scales = dict.fromkeys(inputs, 255.0)
        return Raw(inputs, None, scales | {n: 1.0 if "s1" in sensors else 65535.0 for n, sensors in of.items()})

    def scene(self, index: int) -> Scene:
        """What lies where in one patch."""
        return scene(self.size, self._scene_rng(index))

    def cover(self, index: int) -> np.ndarray:
        """(size, size) uint8: the class of each pixel, as its place among the nineteen; what one sensor alone sees, too."""
        return self.scene(index).seen("both")

    def s2(self, index: int, ground: Scene | None = None) -> np.ndarray:
        """(12, size, size) uint16 reflectance x 10000; `ground` is the patch's own."""
        ground = ground or self.scene(index)
        values = self._looks(ground, "s2", OPTICAL, len(S2), self.s2_only)
        rng = np.random.default_rng((self.seed, 2, index))
        light = self._tile_rng(index, 2).normal(1, 0.04) * rng.normal(1, 0.04)
        texture = self._grain(rng, (1, self.size, self.size), 0.08)
        values *= light * (1 + texture) * (1 + self._grain(rng, values.shape, 0.03))
        for block in (2, 6):
            places = [i for i, band in enumerate(S2) if COARSE.get(band.name) == block]
            values[places] = _coarse(values[places], block)
        counts = np.rint(np.clip(values, 1, 10000))  # 0 is the nodata value of the real files
        return np.asarray(counts, dtype=np.uint16)

    def s1(self, index: int, ground: Scene | None = None) -> np.ndarray:
        """(2, size, size) float32 dB of VV, VH; `ground` is the patch's own."""
        values = self._looks(ground or self.scene(index), "s1", RADAR, len(S1), self.s1_only)
        rng = np.random.default_rng((self.seed, 3, index))
        values += self._tile_rng(index, 3).normal(0, 0.5) + rng.normal(0, 0.4)
        speckle = 10 * np.log10(gammaincinv(LOOKS, HELD) / LOOKS)
        values += self.noise * speckle.astype(np.float32).take(_bytes(rng, values.shape))
        return np.asarray(values)

    def _looks(self, ground: Scene, sensor: Carrier, table: dict[str, Any], bands: int, contrast: float) -> np.ndarray:
        """(bands, size, size) float32 without noise."""
        of_class = np.zeros((len(NINETEEN), bands), dtype=np.float32)
        for name, values in table.items():
            of_class[NINETEEN.index(name)] = values
        middle = of_class[GROUND].mean(0)
        of_class[GROUND] = middle + self.shared * (of_class[GROUND] - middle)
        below, above = of_class.T.take(ground.ground, 1), of_class.T.take(ground.seen(sensor), 1)
        return np.asarray(below + np.float32(contrast) * (above - below), dtype=np.float32)

    def _grain(self, rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> np.ndarray:
        return np.asarray((self.noise * deviation * ndtri(HELD)).astype(np.float32).take(_bytes(rng, shape)))

    def _scene_rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, 1, index))

    def _tile_rng(self, index: int, of: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, 4, index % self.tiles, of))

    def _lacks(self, index: int, sensor: str) -> bool:
        share = {"s1": self.missing_s1, "s2": self.missing_s2}[sensor]
        return bool(share and np.random.default_rng((self.seed, 5, index, int(sensor[1]))).random() < share)

    @cached_property
    def _tiles(self) -> list[tuple[Tile, np.ndarray]]:
        """The tiles, and of each its places in random order."""
        return [
            (tile, np.random.default_rng((self.seed, 6, i)).permutation(PLACES**2))
            for i, tile in enumerate(tiles(self.tiles))
        ]

    def _row(self, index: int) -> dict[str, Any]:
        tile, places = self._tiles[index % self.tiles]
        column, row = divmod(int(places[index // self.tiles]), PLACES)
        left, top = tile.left + PATCH * column, tile.top - PATCH * row
        day, before = (
            d.strftime("%Y%m%d") for d in (date.fromisoformat(tile.date), date.fromisoformat(tile.date) - timedelta(2))
        )
        patch = f"S2A_MSIL2A_{day}T101031_N9999_R022_T{tile.name}_{column:02d}_{row:02d}"
        ground, above = contents(self._scene_rng(index))
        return {
            "id": patch,
            "patch_id": patch,
            "s1_name": f"S1A_IW_GRDH_1SDV_{before}T165043_{tile.name}_{column:02d}_{row:02d}",
            "labels": [NINETEEN[i] for i in sorted([*ground, *above])],
            "country": tile.country,
            "split": tile.split,
            "tile": f"T{tile.name}",
            "date": tile.date,
            "contains_seasonal_snow": False,
            "contains_cloud_or_shadow": False,
            "crs": f"EPSG:{tile.epsg}",
            "left": left,
            "bottom": top - PIXEL * self.size,
            "right": left + PIXEL * self.size,
            "top": top,
        }


def _sensor(place: int) -> str:
    return "s2" if place < len(S2) else "s1"


def _bytes(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(rng.bytes(int(np.prod(shape))), dtype=np.uint8).reshape(shape)


def _coarse(values: np.ndarray, block: int) -> np.ndarray:
    """(C, H, W): each pixel the mean of its square of `block` pixels, fewer at the far edges."""
    starts, size = np.arange(0, values.shape[-1], block), values.shape[-1]
    sums = np.add.reduceat(np.add.reduceat(values, starts, axis=1), starts, axis=2)
    count = np.diff([*starts, size])
    means = sums / (count[:, None] * count[None, :])
    return np.asarray(means.repeat(block, 1)[:, :size].repeat(block, 2)[..., :size])
