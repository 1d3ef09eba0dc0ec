"""Coordinates of GeoTIFF files: against rasterio where it is installed, against PROJ's figures where not."""

from pathlib import Path

import numpy as np
import pytest
from made_geotiff import noise, write
from PIL import Image

from multimodal_lab.data.readers import coordinates
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.geotiff import ground
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError

REAL = Path(__file__).parents[3] / "shared/data/open/eo_samples"
GEO = ["crs", "left", "bottom", "right", "top", "lon", "lat"]


def opened(folder, **more):
    return Tiff(str(folder), card=card(["a", "b"]), **more)


def test_places_are_columns_and_pixels_stay(tmp_path):
    write(tmp_path / "n.tif", noise(0, 2, 4, 6), 32633, 400_000, 5_300_000, 10)
    write(tmp_path / "s.tif", noise(1, 2, 4, 6), 32719, 600_000, 7_000_000, 20)
    write(tmp_path / "w.tif", noise(2, 2, 4, 6), 4326, -70.5, 30.25, 0.001)
    plain, source = opened(tmp_path), opened(tmp_path, georeference=True)
    assert not set(GEO) & set(plain.samples)
    rows = source.samples.set_index("id")
    assert rows.crs.tolist() == ["EPSG:32633", "EPSG:32719", "EPSG:4326"]
    assert rows.loc["n", ["left", "bottom", "right", "top"]].tolist() == [400_000, 5_299_960, 400_060, 5_300_000]
    assert rows.loc["w", ["lon", "lat"]].tolist() == pytest.approx([-70.497, 30.248])
    # as PROJ has them
    assert rows.loc["n", ["lon", "lat"]].tolist() == pytest.approx([13.663_814_511, 47.845_386_020], abs=1e-8)
    assert rows.loc["s", ["lon", "lat"]].tolist() == pytest.approx([-67.990_449_107, -27.119_202_558], abs=1e-8)
    assert [n for n in source.notes if n.startswith("warning: 3 projections in one set: 1 in ")]


def test_a_tiepoint_at_a_pixel_s_centre_moves_by_half(tmp_path):
    write(tmp_path / "a.tif", noise(0, 2, 4, 4), left=100, top=200, pixel=10)
    write(tmp_path / "b.tif", noise(0, 2, 4, 4), left=105, top=195, pixel=10, point=True)
    rows = opened(tmp_path, georeference=True).samples
    assert rows.loc[0, GEO].tolist() == rows.loc[1, GEO].tolist()


def test_utm_agrees_with_proj():
    warp = pytest.importorskip("rasterio.warp", reason="the extra geo is not installed")
    draw = np.random.default_rng(0)
    for code in (32601, 32633, 32660, 32719, 32756, 25832, 3857):
        x, y = draw.uniform(170_000, 830_000, 200), draw.uniform(1_200_000, 9_200_000, 200)
        lon, lat, why = coordinates.degrees(f"EPSG:{code}", x, y)
        other = np.array(warp.transform(f"EPSG:{code}", "EPSG:4326", x.tolist(), y.tolist()))
        apart = (lon - other[0] + 180) % 360 - 180
        assert why == ""
        assert np.abs(apart).max() < 2e-8  # degrees: 2 mm
        assert np.abs(lat - other[1]).max() < 2e-8
    lon, lat, why = coordinates.degrees("EPSG:3035", np.array([4_321_000.0]), np.array([3_210_000.0]))
    assert (why, lon[0], lat[0]) == ("", pytest.approx(10), pytest.approx(52))


def test_without_the_extra_other_systems_are_told(monkeypatch):
    monkeypatch.setattr(coordinates.importlib.util, "find_spec", lambda name: None)
    lon, _, why = coordinates.degrees("EPSG:3035", np.zeros(2), np.zeros(2))
    assert np.isnan(lon).all()
    assert "EPSG:3035" in why
    assert "[geo]'" in why


@pytest.mark.skipif(not REAL.is_dir(), reason="needs eo_samples in ../shared/data")
def test_real_files_lie_where_rasterio_says():
    rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
    bands = [f"B{i}" for i in range(13)]
    source = Tiff(str(REAL / "eurosat_ms"), card=card(bands), georeference=True)
    for _, row in source.samples.iterrows():
        with rasterio.open(REAL / "eurosat_ms" / row.path) as file:
            assert row.crs == file.crs.to_string()
            assert row[["left", "bottom", "right", "top"]].tolist() == pytest.approx(list(file.bounds), abs=1e-6)
            lon, lat = rasterio.warp.transform(
                file.crs, 4326, [(row.left + row.right) / 2], [(row.bottom + row.top) / 2]
            )
            assert [row.lon, row.lat] == pytest.approx([lon[0], lat[0]], abs=1e-7)


def test_images_may_be_georeferenced_too(tmp_path):
    write(tmp_path / "a.tif", noise(0, 4, 4, dtype=np.uint8))
    Image.fromarray(noise(1, 4, 4, dtype=np.uint8)).save(tmp_path / "b.png")
    source = Images(str(tmp_path), colour="grey", georeference=True)
    assert source.samples.crs[0] == "EPSG:32633"
    assert source.samples.crs.isna().tolist() == [False, True]
    assert "warning: coordinates: 1 of 2 samples have none: b.png" in source.notes
    plain = Images(str(tmp_path), colour="grey")
    assert "crs" not in plain.samples


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({34735: (1, 1, 0, 9, 1024, 0, 1, 1)}, "its GeoKeyDirectory has 8 numbers, too few"),
        ({34735: (1, 1, 0, 0), 33550: (0.0, 1.0, 0.0), 33922: (0,) * 6}, "ModelPixelScale 0, 1, expected two lengths"),
        ({34735: (1, 1, 0, 0), 33550: (1.0, float("nan"), 0.0), 33922: (0,) * 6}, "ModelPixelScale holds"),
    ],
)
def test_tags_that_contradict_themselves_are_refused(tags, said):
    with pytest.raises(DataError, match=f"x.tif: {said}"):
        ground(tags, 4, 4, "x.tif")


def test_headers_that_wait_tell_no_place(tmp_path):
    write(tmp_path / "a.tif", noise(0, 2, 4, 4))
    with pytest.raises(DataError, match=r"data.source.georeference: reads every header, and data.verify=none none"):
        opened(tmp_path, georeference=True, verify="none")
    write(tmp_path / "a.tif", noise(0, 2, 4, 4), epsg=None)
    assert "coordinates: no file has any" in " ".join(opened(tmp_path, georeference=True).notes)
