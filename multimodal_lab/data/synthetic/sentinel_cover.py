"""What covers the ground of made-up patches: how each class looks to Sentinel-2 and to Sentinel-1, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from multimodal_lab.data.readers.bigearthnet_facts import NINETEEN

Carrier = Literal["s1", "s2", "both"]

# Reflectance x 10000 of B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B11 B12.
OPTICAL = {
    "Agro-forestry areas": (450, 560, 850, 1000, 1500, 2900, 3500, 3700, 3800, 3700, 2900, 1500),
    "Arable land": (400, 520, 780, 900, 1200, 1700, 1950, 2100, 2250, 2200, 2450, 1900),
    "Beaches, dunes, sands": (1300, 1600, 2100, 2500, 2700, 2800, 2900, 2950, 3000, 2900, 3300, 2900),
    "Broad-leaved forest": (200, 260, 520, 300, 800, 2700, 3500, 3600, 3800, 3700, 1700, 800),
    "Complex cultivation patterns": (600, 800, 1250, 900, 1500, 2400, 2700, 2800, 2900, 2800, 1600, 900),
    "Coniferous forest": (170, 210, 350, 220, 500, 1400, 1750, 1800, 1950, 1900, 900, 400),
    "Inland waters": (350, 380, 420, 300, 280, 220, 220, 180, 160, 150, 90, 60),
    "Land principally occupied by agriculture, with significant areas of natural vegetation":
        (330, 420, 720, 640, 1050, 2150, 2600, 2700, 2850, 2800, 2050, 1250),
    "Marine waters": (480, 460, 330, 180, 150, 120, 120, 100, 90, 90, 50, 40),
    "Mixed forest": (190, 235, 430, 260, 640, 2000, 2600, 2650, 2850, 2800, 1300, 600),
    "Moors, heathland and sclerophyllous vegetation": (280, 360, 560, 620, 900, 1500, 1750, 1850, 2000, 1950, 1900, 1150),
    "Natural grassland and sparsely vegetated areas": (350, 460, 740, 780, 1150, 1900, 2150, 2250, 2450, 2400, 2900, 2150),
    "Pastures": (300, 400, 900, 450, 1300, 3600, 4800, 5100, 5300, 5200, 2600, 1300),
    "Permanent crops": (520, 700, 1050, 1200, 1550, 2200, 2450, 2550, 2750, 2700, 3000, 2350),
    "Urban fabric": (800, 950, 1150, 1250, 1400, 1700, 1850, 1950, 2050, 2000, 2050, 1700),
}  # fmt: skip
# Backscatter in dB of VV, VH.
RADAR = {
    "Arable land": (-12.5, -18.0),
    "Beaches, dunes, sands": (-16.0, -25.0),
    "Broad-leaved forest": (-8.0, -12.5),
    "Coastal wetlands": (-18.0, -18.5),
    "Coniferous forest": (-11.5, -15.0),
    "Industrial or commercial units": (0.0, -9.0),
    "Inland waters": (-21.0, -27.0),
    "Inland wetlands": (-5.5, -21.5),
    "Land principally occupied by agriculture, with significant areas of natural vegetation": (-10.0, -19.5),
    "Marine waters": (-17.5, -27.0),
    "Mixed forest": (-8.5, -16.0),
    "Moors, heathland and sclerophyllous vegetation": (-14.0, -21.5),
    "Transitional woodland, shrub": (-15.0, -14.0),
    "Urban fabric": (-5.0, -13.0),
}
CARRIED: dict[str, Carrier] = {
    name: "both" if name in OPTICAL and name in RADAR else "s2" if name in OPTICAL else "s1" for name in NINETEEN
}
GROUND = [i for i, name in enumerate(NINETEEN) if CARRIED[name] == "both"]
COVER = [i for i, name in enumerate(NINETEEN) if CARRIED[name] != "both"]
COMMON = {"Arable land", "Coniferous forest", "Mixed forest"}  # ground that is twice as frequent as other ground
CELLS = 4  # squares along a side: what one sensor alone sees fills one
CHANCE = 0.35  # of each class that one sensor alone sees, whatever else a patch has


@dataclass(frozen=True)
class Scene:
    """One patch: `ground` (size, size), the classes that both sensors see, and `cover` {class: a square of it that lies
    above the ground, but to one sensor alone}, as slices of rows and columns. Classes count as in `NINETEEN`."""

    ground: np.ndarray
    cover: dict[int, tuple[slice, slice]]

    def seen(self, sensor: Carrier) -> np.ndarray:
        """(size, size) uint8, the class that `s1` or `s2` sees; with `both` all that is there."""
        found = self.ground.copy()
        for place, square in self.cover.items():
            if sensor in ("both", CARRIED[NINETEEN[place]]):
                found[square] = place
        return found


def contents(rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """What one patch holds: one to three classes of ground, and independently of them and of each other those above it."""
    weights = np.array([2.0 if NINETEEN[i] in COMMON else 1.0 for i in GROUND])
    chosen = rng.choice(GROUND, rng.integers(1, 4), replace=False, p=weights / weights.sum())
    return chosen.tolist(), [place for place in COVER if rng.random() < CHANCE]


def scene(size: int, rng: np.random.Generator) -> Scene:
    """The `contents` of `rng`, laid out: ground in bands of a smooth field, a quarter of the patch or more each, and above it
    squares, whose places depend on nothing that the other sensor sees.
    """
    chosen, there = contents(rng)
    shares = 0.25 + rng.dirichlet(np.full(len(chosen), 2.0)) * (1 - 0.25 * len(chosen))
    field = ndimage.zoom(rng.normal(size=(4, 4)), size / 4, order=3, mode="nearest", grid_mode=True)
    part = np.searchsorted(np.quantile(field, np.cumsum(shares)[:-1]), field)
    cell = np.arange(size) * CELLS // size
    number = part * CELLS**2 + cell[:, None] * CELLS + cell
    inside = np.bincount(number.ravel(), minlength=len(chosen) * CELLS**2).reshape(len(chosen), CELLS**2)
    kept = {int(row.argmax()) for row in inside}  # a class of ground is seen by both, whatever lies above the rest
    free = [i for i in rng.permutation(CELLS**2).tolist() if i not in kept]
    edges = np.searchsorted(cell, np.arange(CELLS + 1))
    squares = [tuple(slice(edges[j], edges[j + 1]) for j in divmod(free[i], CELLS)) for i in range(len(there))]
    return Scene(np.array(chosen, dtype=np.uint8)[part], dict(zip(rng.permutation(there).tolist(), squares)))  # type: ignore[arg-type]
