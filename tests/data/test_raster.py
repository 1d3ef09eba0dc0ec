"""Rasters that rasterio reads: other compressions of TIFF, JPEG 2000, VRT; and one sentence where it isn't installed."""

import re

import numpy as np
import pytest
from made_geotiff import noise, write

from multimodal_lab.data.readers import envi_ground, geotiff, raster
from multimodal_lab.data.readers.band_files import BandFiles
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.envi_header import read_header
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Band, Stream

VRT = """<VRTDataset rasterXSize="16" rasterYSize="16"><SRS>EPSG:32633</SRS>
<GeoTransform>400000, 10, 0, 5300000, 0, -10</GeoTransform>
<VRTRasterBand dataType="UInt16" band="1"><NoDataValue>7</NoDataValue><SimpleSource>
<SourceFilename relativeToVRT="1">{file}</SourceFilename><SourceBand>2</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


def stream(*bands):
    return [Stream("x", "image", tuple(Band(b) for b in bands))]


def files(folder, suffix="tif"):
    return BandFiles(str(folder), files={"x": f"{{id}}_{{band}}.{suffix}"}, bands={"x": ["B02"]}, card=card(["B02"]))


@pytest.fixture
def rasterio():
    return pytest.importorskip("rasterio", reason="the extra geo is not installed")


def saved(rasterio, path, x, driver="GTiff", **how):
    from rasterio.transform import from_origin

    facts = {"count": len(x), "height": x.shape[1], "width": x.shape[2], "dtype": x.dtype}
    place = {"crs": "EPSG:32633", "transform": from_origin(400_000, 5_300_000, 10, 10)}
    with rasterio.open(path, "w", driver=driver, **facts, **place, **how) as file:
        file.write(x)
    return path


def test_a_compression_that_tifffile_lacks(tmp_path, rasterio):
    x = noise(0, 3, 16, 16)
    x[1, 2, 3] = 9
    saved(rasterio, tmp_path / "a.tif", x, compress="lzw", nodata=9, interleave="pixel")
    source = Tiff(str(tmp_path), card=card(["a", "b", "c"]), georeference=True)
    raw = source.read(0, stream("c", "b"))
    assert (raw.inputs["x"] == x[[2, 1]]).all()
    assert raw.full_scale == 65535.0
    assert np.argwhere(raw.missing["x"]).tolist() == [[1, 2, 3]]
    assert source.samples.loc[0, ["crs", "left", "top"]].tolist() == ["EPSG:32633", 400_000, 5_300_000]


def test_jpeg_2000_and_a_vrt_of_files_beside_it(tmp_path, rasterio):
    x = noise(1, 1, 16, 16)
    saved(rasterio, tmp_path / "a_B02.jp2", x, "JP2OpenJPEG", quality=100, reversible="yes")
    source = files(tmp_path, "jp2")
    assert (source.read(0, stream("B02")).inputs["x"] == x).all()
    assert source.samples.crs.tolist() == ["EPSG:32633"]
    both = noise(2, 2, 16, 16)
    both[1, 0, 0] = 7
    write(tmp_path / "part.tif", both)
    (tmp_path / "a_B02.vrt").write_text(VRT.format(file="part.tif"))
    source = files(tmp_path, "vrt")
    assert source.stored_files == ["a_B02.vrt", "part.tif"]  # both count in the fingerprint
    raw = source.read(0, stream("B02"))
    assert (raw.inputs["x"] == both[1:]).all()
    assert np.argwhere(raw.missing["x"]).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("part.tif", "/etc/hostname"), "'/etc/hostname' is an absolute path"),
        (("part.tif", "../part.tif"), "leaves"),
        (("part.tif", "/vsicurl/http://x/y.tif"), "is an absolute path"),
        (("part.tif", "other.vrt"), "no file 'other.vrt'"),
        (('relativeToVRT="1"', 'relativeToVRT="0"'), "is not relative to the VRT"),
        (("SimpleSource", "KernelFilteredSource"), "a VRT with KernelFilteredSource"),
        (('band="1"', 'band="1" subClass="VRTDerivedRasterBand"'), "a VRT with VRTDerivedRasterBand"),
        (('rasterYSize="16"', 'rasterYSize="16" subClass="VRTWarpedDataset"'), "a VRTWarpedDataset"),
        (("<VRTDataset", "<!DOCTYPE x [<!ENTITY y 'z'>]><VRTDataset"), "a VRT with a document type"),
        (("</VRTDataset>", ""), "not a whole, readable VRT"),
    ],
)
def test_a_vrt_that_does_more_is_refused(tmp_path, rasterio, change, said):
    write(tmp_path / "part.tif", noise(2, 2, 16, 16))
    (tmp_path / "a_B02.vrt").write_text(VRT.format(file="part.tif").replace(*change))
    with pytest.raises(DataError, match=re.escape(said)) as error:
        files(tmp_path, "vrt")
    assert "a_B02.vrt: " in str(error.value)


def test_a_damaged_file_is_named(tmp_path, rasterio):
    path = saved(rasterio, tmp_path / "a_B02.jp2", noise(1, 1, 64, 64), "JP2OpenJPEG", quality=100, reversible="yes")
    source = files(tmp_path, "jp2")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(DataError, match=r"a_B02.jp2: not a whole, readable JP2OpenJPEG file"):
        source.read(0, stream("B02"))
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a_B02.jp2: not a whole, readable JP2OpenJPEG file"):
        files(tmp_path, "jp2")


def test_without_the_extra_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(raster, "installed", lambda: False)
    (tmp_path / "a_B02.jp2").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"a_B02.jp2: a JP2 is read by rasterio, which is not installed: `pip install .*\[geo\]'`"
    ):
        files(tmp_path, "jp2")


@pytest.mark.parametrize(("epsg", "left", "top", "pixel"), [
    (32633, 400_000, 5_300_000, 10), (32719, 300_000.5, 7_200_000, 2.5), (4326, 14.25, 48.5, 1e-4), (25832, 5e5, 56e5, 20),
])  # fmt: skip
def test_where_an_envi_cube_lies_is_what_gdal_says_of_it(tmp_path, rasterio, epsg, left, top, pixel):
    import tifffile
    from rasterio.transform import from_origin

    x, place = noise(0, 2, 6, 9), from_origin(left, top, pixel, pixel)
    with rasterio.open(tmp_path / "a.img", "w", driver="ENVI", height=6, width=9, count=2, dtype=x.dtype, crs=f"EPSG:{epsg}",
                       transform=place) as file:  # fmt: skip
        file.write(x)
    found = read_header(tmp_path / "a.img", "a.img", {}, Limits()).ground
    with rasterio.open(tmp_path / "a.img") as file:
        assert found.crs == f"EPSG:{epsg}"
        np.testing.assert_allclose(found.bounds, file.bounds, rtol=1e-12)
        np.testing.assert_allclose(found.transform, file.transform[:6], rtol=1e-12)
    tifffile.imwrite(tmp_path / "b.tif", x, photometric="minisblack", extratags=geotiff.tags(found), metadata=None)
    with rasterio.open(tmp_path / "b.tif") as file:
        assert file.crs.to_epsg() == epsg
        np.testing.assert_allclose(file.bounds, found.bounds, rtol=1e-12)


@pytest.mark.parametrize(("info", "why"), [
    ("{UTM, 1, 1, 0, 0, 10, 10, 33, North, WGS-84, rotation=12}", "is turned (rotation=12)"),
    ("{Arbitrary, 1, 1, 0, 0, 1, 1}", "whose datum is none of"),
    ("{Albers, 1, 1, 0, 0, 1, 1, WGS-84}", "which is neither a zone of UTM nor degrees"),
])  # fmt: skip
def test_a_map_info_that_is_not_understood_is_told(info, why):
    found, said = envi_ground.ground({"map info": info}, 3, 4, "a.img")
    assert (found, why in said) == (None, True)
    with pytest.raises(DataError, match="expected six numbers after the projection"):
        envi_ground.ground({"map info": "{UTM, one, 1, 0, 0, 10, 10}"}, 3, 4, "a.img")
