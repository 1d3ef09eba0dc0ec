"""BigEarthNet as published, made of real patches or of made-up ones: LMDB and table, folders of version 2 and of version 1."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from safetensors.numpy import save

from multimodal_lab.data.readers.bigearthnet import BigEarthNet
from multimodal_lab.data.readers.bigearthnet_facts import COARSE, S1, S2
from multimodal_lab.data.synthetic.sentinel import Sentinel
from multimodal_lab.types import Stream

REAL = Path(__file__).parents[3] / "shared/data/open/eo_samples"
MADE = Sentinel(patches=6, tiles=3, size=12)
ALL = [Stream("s2", bands=S2), Stream("s1", bands=S1)]


@dataclass
class Pair:
    """One pair of patches; `files` the folders that it comes from, where it does."""

    patch_id: str
    s1_name: str
    s2: dict
    s1: dict
    labels: list
    country: str = "Austria"
    split: str = "train"
    contains_seasonal_snow: bool = False
    contains_cloud_or_shadow: bool = False
    files: tuple = ()

    def row(self):
        return {k: v for k, v in vars(self).items() if k not in ("s2", "s1", "files")} | {"s2v1_name": "v1"}


def made_pairs():
    """Six made-up pairs of 12, 6 and 2 pixels a side."""
    pairs = []
    for i, row in MADE.samples.iterrows():
        s2 = {b.name: x[:: COARSE.get(b.name, 1), :: COARSE.get(b.name, 1)] for b, x in zip(S2, MADE.s2(i))}
        s1 = {b.name: x for b, x in zip(S1, MADE.s1(i))}
        pairs.append(Pair(row.patch_id, row.s1_name, s2, s1, row.labels, row.country, row.split))
    return pairs


def real_pairs():
    """The six pairs of the sample of version 1, under names as version 2 has them, and their labels as they are there."""
    root = REAL / "bigearthnet_v1"
    if not root.is_dir():
        pytest.skip("needs eo_samples in ../shared/data")
    of = {}
    for folder in sorted((root / "BigEarthNet-S1-Example").iterdir()):
        facts = json.loads((folder / f"{folder.name}_labels_metadata.json").read_text())
        of[facts["corresponding_s2_patch"]] = folder
    pairs = []
    for folder in sorted((root / "BigEarthNet-S2-Example").iterdir()):
        s1 = of[folder.name]
        tile = s1.name.split("_")[-3]
        head, column, row = folder.name.rsplit("_", 2)
        arrays = [
            {b.name: tifffile.imread(f / f"{f.name}_{b.name}.tif") for b in bands}
            for f, bands in ((folder, S2), (s1, S1))
        ]
        name = f"{head}_N9999_R022_T{tile}_{column}_{row}"
        split = ("train", "validation", "test")[len(pairs) % 3]
        pairs.append(Pair(name, s1.name, *arrays, ["Arable land"], split=split, files=(folder, s1)))
    return pairs


def write_table(folder, pairs, name="metadata.parquet"):
    pd.DataFrame([p.row() for p in pairs]).to_parquet(folder / name)


def write_lmdb(folder, pairs):
    """The bands of every other patch in another order."""
    library = pytest.importorskip("lmdb", reason="lmdb is not installed: pip install -e '.[lmdb]'")
    with library.open(str(folder / "BENv2.lmdb"), map_size=1 << 26) as made, made.begin(write=True) as writing:
        for i, p in enumerate(pairs):
            for key, bands in ((p.patch_id, p.s2), (p.s1_name, p.s1)):
                if bands is not None:
                    ordered = dict(list(bands.items())[:: -1 if i % 2 else 1])
                    writing.put(key.encode(), save({k: np.ascontiguousarray(v) for k, v in ordered.items()}))


def write_folders(folder, pairs):
    """As version 2 has them; the GeoTIFF files themselves where there are such."""
    for p in pairs:
        for place, name, bands in (("BigEarthNet-S2", p.patch_id, p.s2), ("BigEarthNet-S1", p.s1_name, p.s1)):
            below = folder / place / name.rsplit("_", 2 if place.endswith("S2") else 3)[0] / name
            below.mkdir(parents=True)
            for band, x in bands.items():
                if p.files:
                    of = p.files[place.endswith("S1")]
                    shutil.copy(of / f"{of.name}_{band}.tif", below / f"{name}_{band}.tif")
                else:
                    tifffile.imwrite(below / f"{name}_{band}.tif", x)


def opened(root, **choices):
    return BigEarthNet(str(root), made=MADE, **choices)
