"""Multispectral TIFFs of known truth, to try a study on: python scripts/made_tiffs.py out=/folder [individuals=150] [seed=0]

Two views of each individual, 32 x 32 pixels, seven bands of 8 bits: R, G, B, UV1, UV2, UV3, mask; and `labels.csv`: filename,
individual, and four labels. `sex` shows in UV alone (a bright crown), `morph` in RGB alone (a red flank), `species` in both (four
slopes of a bar across the body), `pair` in neither by itself: it is whether the throat in RGB and the tail in UV are alike, both
dark or both bright.

    python -m multimodal_lab.run study=compare data=multispectral_tiff data.root=/folder modality=rgb_uv \\
        data.source.labels.table=labels.csv data.split.by=individual 'study.labels=[sex,morph,species,pair]'
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

SIDE = 32
SPECIES = 4
NOISE = 0.03


def image(rng: np.random.Generator, sex: int, morph: int, species: int, throat: int, tail: int) -> np.ndarray:
    """(7, 32, 32) uint8 of one view; the body is an ellipse a little elsewhere in each."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5 - rng.uniform(-0.04, 0.04, (2, 1, 1))
    body = (x / 0.42) ** 2 + (y / 0.3) ** 2 < 1
    angle = np.pi * species / SPECIES
    bar = np.abs(np.cos(angle) * x + np.sin(angle) * y) < 0.05
    bands = np.repeat((0.35 + 0.05 * rng.normal()) * body[None], 6, 0)
    bands[:3, bar & body] = bands[3:, bar & body] = 0.65
    _spot(bands[3:], x + 0.22, y + 0.08, body, 0.75 if sex else 0.35)
    _spot(bands[:1], x, y - 0.14, body, 0.8 if morph else 0.35)
    _spot(bands[:3], x + 0.2, y - 0.12, body, 0.75 if throat else 0.15)
    _spot(bands[3:], x - 0.26, y, body, 0.75 if tail else 0.15)
    bands += NOISE * rng.normal(size=bands.shape)
    return np.concatenate([(bands.clip(0, 1) * 255), body[None] * 255.0]).astype(np.uint8)


def _spot(bands: np.ndarray, x: np.ndarray, y: np.ndarray, body: np.ndarray, value: float) -> None:
    bands[:, (x**2 + y**2 < 0.08**2) & body] = value


def write(out: Path, individuals: int = 150, seed: int = 0) -> pd.DataFrame:
    """Write the files and the table; the traits of an individual are drawn evenly and independently."""
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    traits = {name: rng.permutation(np.arange(individuals) % k) for name, k in
              {"sex": 2, "morph": 2, "species": SPECIES, "throat": 2, "tail": 2}.items()}  # fmt: skip
    rows = []
    for i in range(individuals):
        own = {name: int(values[i]) for name, values in traits.items()}
        for view in range(2):
            name = f"bird{i:03d}_{view}.tif"
            tifffile.imwrite(out / name, image(rng, **own), photometric="minisblack")
            rows.append({
                "filename": name, "individual": f"bird{i:03d}", "sex": ("male", "female")[own["sex"]],
                "morph": ("plain", "red")[own["morph"]], "species": "abcd"[own["species"]],
                "pair": ("differ", "alike")[own["throat"] == own["tail"]],
            })  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_csv(out / "labels.csv", index=False)
    return table


def main() -> None:
    """The command line."""
    given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    if "out" not in given or {*given} - {"out", "individuals", "seed"}:
        sys.exit(str(__doc__))
    out = Path(given["out"]).expanduser()
    table = write(out, int(given.get("individuals", 150)), int(given.get("seed", 0)))
    print(f"{len(table)} files of {table.individual.nunique()} individuals in {out}")


if __name__ == "__main__":
    main()
