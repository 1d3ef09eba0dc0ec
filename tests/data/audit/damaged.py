"""A small set of paired Sentinel-1 and Sentinel-2 patches as TIFF files, and the ways in which such a set is damaged."""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from scipy.ndimage import gaussian_filter

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.joined import Joined
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.own_scaling import OwnScaling
from multimodal_lab.data.streams.scaling import DatasetStats

REAL = Path(__file__).parents[4] / "shared/data/open/eo_samples"
S2 = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
MODALITY = {"s1": {"kind": "image", "bands": ["VV", "VH"]}, "s2": {"kind": "image", "bands": "all"}}
COUNT, SIDE = 24, 12
FOREST, ARABLE = "Coniferous forest", "Non-irrigated arable land"


def patches():
    """(24, 2, 12, 12) dB and (24, 12, 12, 12) reflectance x 10000: of the real tiles, else made up alike."""
    if not REAL.is_dir():
        rng = np.random.default_rng(0)
        rough = gaussian_filter(rng.normal(size=(COUNT, 14, SIDE, SIDE)), (0, 0, 2, 2)) * 8
        rough += rng.normal(size=(COUNT, 14, 1, 1))
        s2 = np.clip(1500 + 150 * np.arange(12)[:, None, None] + 300 * rough[:, 2:], 1, None)
        return (rough[:, :2] - np.array([10, 17])[:, None, None]).astype(np.float32), s2.astype(np.uint16)
    import h5py

    rows = [json.loads(line)["labels"] for line in (REAL / "s1s2_tiles.jsonl").read_text().splitlines()]
    own = [[i for i, names in enumerate(rows) if names and label in names][: COUNT // 2] for label in (FOREST, ARABLE)]
    with h5py.File(REAL / "s1s2_tiles.h5") as file:
        return tuple(file[name][sorted(own[0] + own[1])][:, :, :SIDE, :SIDE] for name in ("s1", "s2"))


def write(folder):
    """The good set: `s1/` and `s2/`, a file a patch, and the labels of the second."""
    s1, s2 = patches()
    for name, cubes in (("s1", s1), ("s2", s2)):
        (folder / name).mkdir(parents=True)
        for i, x in enumerate(cubes):
            save(folder / name / f"p{i:02d}.tif", x)
    rows = {"filename": [f"p{i:02d}.tif" for i in range(COUNT)], "cover": [FOREST, ARABLE] * (COUNT // 2)}
    rows["split"] = ["train", "train", "test", "test"] * (COUNT // 4)
    pd.DataFrame(rows | {"crs": "EPSG:32633"}).to_csv(folder / "s2" / "labels.csv", index=False)


def save(path, x, *items, nodata=None):
    """items: of GDAL's metadata, (role, band, value)."""
    said = "".join(f'<Item name="{r.upper()}" sample="{i}" role="{r}">{v}</Item>' for r, i, v in items)
    tags = [(42112, "s", 0, f"<GDALMetadata>{said}</GDALMetadata>", True)] if items else []
    tags += [] if nodata is None else [(42113, "s", 0, str(nodata), True)]
    more = {"extratags": tags, "metadata": None} if tags else {}
    tifffile.imwrite(path, np.ascontiguousarray(x), photometric="minisblack", planarconfig="separate", **more)


def opened(folder, **changes):
    """The data set in `folder`, opened as the doctor does."""
    s1_card = card(["VV", "VH"], unit="dB")
    s2_card = card(S2, nm=[443, 492, 560, 665, 704, 741, 783, 833, 865, 945, 1614, 2202], unit="reflectance x 10000")
    s1 = Tiff(str(folder / "s1"), card=s1_card, on_error="skip")
    s2 = Tiff(
        str(folder / "s2"), card=s2_card, labels=Labels(table="labels.csv", missing_labels="keep"), on_error="skip"
    )
    source = Joined({"s1": s1, "s2": s2}, root=str(folder))
    facts = {"scaling": OwnScaling({"s1": DatasetStats(), "s2": DatasetStats()}), "labels": ["cover"], "batch_size": 8}
    return Data(source, split=Split(column="split", val=0.0), root=str(folder), **{**facts, **changes})


def changed(folder, sensor, change, only=None):
    """Every patch of a sensor by `change(x)`, or one alone."""
    for path in sorted((folder / sensor).glob("*.tif")):
        if only is None or path.stem == only:
            save(path, change(tifffile.imread(path)))


def bands(change):
    """A change of a cube in place."""

    def made(x):
        x = x.copy()
        change(x)
        return x

    return made


def labels(folder, change):
    """The table of labels by `change(table)`."""
    table = pd.read_csv(folder / "s2" / "labels.csv")
    change(table)
    table.to_csv(folder / "s2" / "labels.csv", index=False)


def linear(x):
    return (10 ** (x / 10)).astype(np.float32)


def told(folder, *items, only=None):
    """GDAL's metadata in the files of Sentinel-2."""
    for path in sorted((folder / "s2").glob("*.tif")):
        if only is None or path.stem == only:
            save(path, tifffile.imread(path), *items)


def declared(folder):
    """Whole numbers with a nodata value that the file declares: one patch has such pixels, and is stored as the others are."""
    for path in sorted((folder / "s2").glob("*.tif")):
        x = tifffile.imread(path).astype(np.int16)
        x[:, :3] = -32768 if path.stem == "p04" else x[:, :3]
        save(path, x, nodata=-32768)


def truncated(folder):
    path = folder / "s2" / "p07.tif"
    path.write_bytes(path.read_bytes()[:-100])


def duplicate(folder):
    for sensor in ("s1", "s2"):
        shutil.copy(folder / sensor / "p00.tif", folder / sensor / "p00 (1).tif")
    table = pd.read_csv(folder / "s2" / "labels.csv")
    again = table.iloc[[0]].assign(filename="p00 (1).tif", split="test")
    pd.concat([table, again]).to_csv(folder / "s2" / "labels.csv", index=False)


def set_at(column, rows, value):
    return lambda table: table.__setitem__(column, table[column].where(~table.index.isin(rows), value))


each = functools.partial
# name: (how the set is damaged, the kind of the finding, its severity, what its sentence says)
DAMAGE = {
    "S1 in linear power": (
        each(changed, sensor="s1", change=linear),
        "unit",
        "error",
        r"p00.*VV, VH hold 0\.\d+ to .* linear power.* dB .*24 of 24",
    ),
    "one patch in linear power": (
        each(changed, sensor="s1", change=linear, only="p05"),
        "unit",
        "error",
        r"p05.*linear power.*1 of 24",
    ),
    "reflectance 0 to 1": (
        each(changed, sensor="s2", change=lambda x: (x / 10000).astype(np.float32)),
        "unit",
        "error",
        r"p00.*reflectance of 0 to 1.*reflectance x 10000",
    ),
    "a constant band": (
        each(changed, sensor="s2", change=bands(lambda x: x[9].fill(7))),
        "constant band",
        "error",
        r"band B09 is 7 throughout",
    ),
    "a band twice": (
        each(changed, sensor="s2", change=bands(lambda x: x[4].__setitem__(..., x[5]))),
        "same bands",
        "warning",
        r"B05, B06 hold the same values",
    ),
    "swapped bands": (
        each(changed, sensor="s1", change=lambda x: x[::-1]),
        "band order",
        "error",
        r"VV has a mean of -1\d\.\d\d dB and VH of -\d+\.\d\d.*swapped",
    ),
    "swapped optical bands": (
        each(changed, sensor="s2", change=lambda x: x[[0, 1, 2, 7, 4, 5, 6, 3, 8, 9, 10, 11]]),
        "band order",
        "warning",
        r"B04 and B08 may be swapped",
    ),
    "a truncated file": (truncated, "unreadable", "error", r"p07.*(truncated|bytes)"),
    "a duplicate file": (duplicate, "exact duplicate", "error", r"p00 \(1\) \(test\) = p00 \(train\)"),
    "a missing pair": (
        lambda folder: (folder / "s1" / "p11.tif").unlink(),
        "missing modality",
        "warning",
        r"s1: 1 of 24 samples lacks it: p11",
    ),
    "another size": (
        each(changed, sensor="s2", change=lambda x: x[:, :9, :9], only="p03"),
        "other layout",
        "error",
        r"1 sample has shape \(12, 9, 9\), where 23 have shape \(12, 12, 12\).*p03",
    ),
    "a misspelt label": (
        each(labels, change=set_at("cover", [4], "Conifereous forest")),
        "label spelling",
        "warning",
        r"'Conifereous forest' \(1\), of which 'Coniferous forest' has 11",
    ),
    "a class in one split": (
        each(labels, change=set_at("cover", [2, 6], "Peatbogs")),
        "absent class",
        "warning",
        r"not in train: Peatbogs",
    ),
    "a patch without values": (
        each(changed, sensor="s1", change=lambda x: np.full_like(x, np.nan), only="p04"),
        "missing modality",
        "warning",
        r"s1: 1 of 24 samples lacks it: p04",
    ),
    "gaps": (
        each(changed, sensor="s1", change=bands(lambda x: x[:, :3].fill(np.nan)), only="p04"),
        "nodata",
        "info",
        r"s1: 1\.0% of the values were not measured.*p04",
    ),
    "a nodata value that nobody declares": (
        each(changed, sensor="s1", change=bands(lambda x: x[:, :3].fill(-9999)), only="p04"),
        "unit",
        "error",
        r"p04.* -9999 to .*not declared.*in the card of the source that has it, such as source.card.nodata=-9999.*1 of 24",
    ),
    "a nodata value that files of whole numbers declare": (
        declared,
        "nodata",
        "info",
        r"s2: 1\.0% of the values were not measured.*p04",
    ),
    "bands described in another order": (
        lambda folder: told(folder, ("description", 0, "b12"), ("description", 11, "B1"), only="p04"),
        "unreadable",
        "error",
        r"p04.*its band 1 is described as b12, and data.source.card.bands has B01 there, B12 at 12",
    ),
    "a scale that the card does not have": (
        lambda folder: told(
            folder, *(o for i in range(12) for o in (("scale", i, 1e-4), ("offset", i, -0.1))), only="p05"
        ),
        "unreadable",
        "error",
        r"p05.*band B01 is stored \* 0\.0001 -0\.1, so that what is stored is no reflectance x 10000",
    ),
    "a scale in one file": (
        lambda folder: told(folder, *(("scale", i, 1e-4) for i in range(12)), only="p04"),
        "unreadable",
        "error",
        r"p04.*GDAL's scale and offset are 0\.0001 \+0, and none in p00",
    ),
    "the offset of baseline 04.00 in some": (
        lambda folder: [changed(folder, "s2", lambda x: (x + 1000).astype(x.dtype), f"p{i:02d}") for i in range(8)],
        "offset",
        "warning",
        r"s2: no value of any band of 8 of 24 samples, such as p00, p01, p02, …, is below 1000 .*baseline 04\.00",
    ),
    "the offset of baseline 04.00 in all": (
        each(changed, sensor="s2", change=lambda x: (x + 1000).astype(x.dtype)),
        "offset",
        "warning",
        r"s2: no value of any band is below 1000: .*subtract 1000",
    ),
    "products of two baselines": (
        lambda folder: labels(
            folder,
            lambda t: t.__setitem__(
                "product",
                [
                    f"S2A_MSIL2A_20220103T101031_N0{301 if i % 3 else 510}_R022_T33UUP_20220103T120000"
                    for i in range(COUNT)
                ],
            ),
        ),
        "offset",
        "warning",
        r"16 samples of processing baselines before 04\.00, such as p01, and 8 from it on, such as p00",
    ),
    "two projections": (
        each(labels, change=set_at("crs", [8], "EPSG:4326")),
        "projection",
        "warning",
        r"EPSG:32633 \(23\), EPSG:4326 \(1\).*p08",
    ),
}
