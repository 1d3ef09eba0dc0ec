"""EuroSAT-MS and SSL4EO-S12 train on real patches, cut small, in the folders that are published."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_geotiff import write

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data.readers.geotiff import TAGS, ground
from multimodal_lab.experiment import run
from multimodal_lab.types import Band, Stream

REAL = Path(__file__).parents[3] / "shared/data/open/eo_samples"
SMALL = ["backbone.widths=[8,16]", "log=none", "figures=[]", "train.epochs=1", "data.batch_size=8"]
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="needs eo_samples in ../shared/data")


def cut(path, made, side, wanted):
    """Tiles of `side` pixels of one file, each where it lies: {(row, column): path of the tile}."""
    with tifffile.TiffFile(path) as file:
        x = file.asarray()
        place = ground({c: t.value for c in TAGS if (t := file.pages[0].tags.get(c))}, *x.shape[:2], path.name)
    x = x.transpose(2, 0, 1) if x.ndim == 3 else x
    for i, j in wanted:
        tile = np.ascontiguousarray(x[..., i * side : (i + 1) * side, j * side : (j + 1) * side])
        left, top = place.bounds[0] + j * side * place.pixel, place.bounds[3] - i * side * place.pixel
        write(made(i, j), tile, int(place.crs[5:]), left, top, place.pixel)


def ran(composed, experiment, folder, out, *more):
    run.run(composed(f"experiment={experiment}", f"data.root={folder}", *SMALL, *more, small=False), out)
    return json.loads((out / "summary.json").read_text()), json.loads((out / "data.json").read_text())


def test_eurosat_classifies_on_ground_never_seen(composed, tmp_path):
    for path in sorted((REAL / "eurosat_ms").glob("*/*.tif")):
        folder = tmp_path / "set" / path.parent.name
        cut(path, lambda i, j, to=folder, s=path.stem: to / f"{s}x{i}{j}x.tif", 16, np.ndindex(4, 4))
    found, record = ran(composed, "eurosat", tmp_path / "set", tmp_path / "run", "data.split.block_km=0.25")
    assert record["classes"] == {"land_use": ["AnnualCrop", "Pasture", "SeaLake"]}
    assert record["split"]["by"] == "spatial_block"
    assert 0 <= found["head/classifier/land_use/accuracy"] <= 1
    notes = " ".join(record["notes"])
    assert "2 projections in one set: 32 in EPSG:32635, 16 in EPSG:32632" in notes
    assert "blocks of 0.25 km on the ground; from a test sample to the nearest training sample" in notes


def test_ssl4eo_draws_radar_and_optical_together(composed, tmp_path):
    places = [(0, 0), (0, 9), (4, 4), (9, 9), (5, 0), (9, 2)]
    for path in sorted(p for top in ("s1", "s2a") for p in (REAL / "ssl4eo_s12" / top).rglob("*.tif")):
        side = tifffile.imread(path).shape[0] // 11  # 24, 12 or 4 pixels
        top, _, date, band = path.relative_to(REAL / "ssl4eo_s12").parts
        to = tmp_path / "set" / top
        cut(path, lambda i, j, to=to, d=date, b=band: to / f"place{i}{j}" / d / b, side, places)
    found, record = ran(composed, "ssl4eo", tmp_path / "set", tmp_path / "run")
    assert record["split"]["by"] == "place"
    assert [len(record["splits"][s]) for s in ("train", "val", "test")] == [8, 2, 2]
    assert any(key.startswith("retrieval/") for key in found)


@pytest.mark.parametrize(("name", "top", "extra"), [("ssl4eo", "s2a", []), ("ssl4eo_l1c", "s2c", ["B10"])])
def test_ssl4eo_as_published(composed, name, top, extra):
    source = safe_instantiate(composed(f"data={name}", f"data.root={REAL / 'ssl4eo_s12'}", small=False).data.source)
    assert source.samples.place.tolist() == ["0000200"] * 2
    assert source.samples.s1_date.tolist() == ["20200607", "20200903"]  # the nearest day, whatever satellite
    wanted = ["B04", "B01", *extra]
    raw = source.read(1, [Stream("s2", bands=tuple(map(Band, wanted))), Stream("s1", bands=(Band("VH"), Band("VV")))])
    folder = next(
        p for p in sorted((REAL / "ssl4eo_s12" / top / "0000200").iterdir()) if source.samples.date[1] in p.name
    )
    for x, band in zip(raw.inputs["s2"], wanted):
        stored = tifffile.imread(folder / f"{band.replace('B0', 'B')}.tif")
        k = 264 // len(stored)
        assert (x == stored.repeat(k, 0).repeat(k, 1)).all()
    radar = next((REAL / "ssl4eo_s12/s1/0000200").glob("*_20200903T*"))
    assert (raw.inputs["s1"][1] == tifffile.imread(radar / "VV.tif")).all()
