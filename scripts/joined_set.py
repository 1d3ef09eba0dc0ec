"""Make a small set of photographs and spectra of the same specimens, which lie in two places and are joined on an id.

python scripts/joined_set.py DIR [specimens=240] [missing=0.3] [seed=0]

DIR/photographs/s000.png   a disc of one of three colours, before a noisy ground
DIR/spectra.csv            specimen, species, site and 61 bands from 300 to 900 nm, with one of three peaks
DIR/species.csv            filename and species of the photographs
missing                    share of the specimens that lack their photograph or, as many, their spectrum

Nine species: colour and peak each tell which third a specimen belongs to, and only both tell its species. Then:

python -m multimodal_lab.run experiment=joined data.root=DIR
python -m multimodal_lab.run experiment=joined data.root=DIR data.source.missing=drop
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from multimodal_lab.text import key_values

NM = np.arange(300, 910, 10)
COLOURS = ((200, 60, 60), (60, 160, 70), (70, 80, 190))
PEAKS = (420, 560, 700)
SIZE = 32


def main() -> None:
    words, rest = key_values(sys.argv[1:], ("specimens", "missing", "seed"))
    if len(rest) != 1 or rest[0].startswith("-"):
        sys.exit(__doc__)
    made = make(
        Path(rest[0]), int(words.get("specimens", 240)), float(words.get("missing", 0.3)), int(words.get("seed", 0))
    )
    print(f"{made[0]} photographs and {made[1]} spectra in {rest[0]}")


def make(folder: Path, specimens: int = 240, missing: float = 0.3, seed: int = 0) -> tuple[int, int]:
    """Write the set; returns how many photographs and spectra there are."""
    draw = np.random.default_rng(seed)
    (folder / "photographs").mkdir(parents=True, exist_ok=True)
    lacking = draw.permutation(specimens)[: 2 * round(missing * specimens / 2)]
    no_photograph, no_spectrum = set(lacking[::2].tolist()), set(lacking[1::2].tolist())
    rows = []
    for i in range(specimens):
        name, kind = f"s{i:03d}", i % 9
        if i not in no_photograph:
            Image.fromarray(photograph(draw, COLOURS[kind // 3])).save(folder / "photographs" / f"{name}.png")
        if i not in no_spectrum:
            bands = dict(zip((f"nm{c}" for c in NM), np.round(spectrum(draw, PEAKS[kind % 3]), 4)))
            rows.append({"specimen": name, "species": f"species_{kind}", "site": f"site_{i % 4}", **bands})
    pd.DataFrame(rows).to_csv(folder / "spectra.csv", index=False)
    species = [
        {"filename": f"s{i:03d}.png", "species": f"species_{i % 9}"} for i in range(specimens) if i not in no_photograph
    ]
    pd.DataFrame(species).to_csv(folder / "species.csv", index=False)
    return specimens - len(no_photograph), specimens - len(no_spectrum)


def photograph(draw: np.random.Generator, colour: tuple[int, int, int]) -> np.ndarray:
    """(H, W, 3) uint8: a disc somewhere, its colour as this light shows it."""
    y, x = np.mgrid[:SIZE, :SIZE]
    centre, radius = draw.uniform(10, 22, 2), draw.uniform(5, 9)
    image = draw.normal(110, 40, (SIZE, SIZE, 3))
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    image[inside] = np.array(colour) * draw.uniform(0.6, 1.2) + draw.normal(0, 40, (int(inside.sum()), 3))
    return image.clip(0, 255).astype(np.uint8)


def spectrum(draw: np.random.Generator, peak: float) -> np.ndarray:
    """(61,) reflectance in per cent: a peak on a slope, and noise."""
    bump = draw.uniform(10, 20) * np.exp(-(((NM - peak - draw.normal(0, 25)) / 60) ** 2))
    return draw.uniform(10, 30) + draw.uniform(-10, 10) * (NM - 600) / 300 + bump + draw.normal(0, 3, len(NM))


if __name__ == "__main__":
    main()
