"""What was not measured is told by each kind of file: a declared value, an internal mask, a tile that was never written."""

import h5py
import numpy as np
import pytest
import tifffile

from multimodal_lab.data.readers import nodata
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.envi import Envi
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.labels import encode
from multimodal_lab.types import Stream

NAMES = ["R", "G", "B", "NIR"]
HOLE = np.add.outer(np.arange(32), np.arange(32)) < 20


def chip(dtype, hole=None):
    x = np.random.default_rng(0).integers(1, 200, (4, 32, 32)).astype(dtype)
    if hole is not None:
        x[:, HOLE] = hole
    return x


def write(path, x, declared=None, mask=None, **how):
    tags = [] if declared is None else [(42113, "s", 0, declared, True)]
    with tifffile.TiffWriter(path) as tif:
        tif.write(x, photometric="minisblack", planarconfig="separate", metadata=None, extratags=tags, **how)
        if mask is not None:
            tif.write(x[:, ::2, ::2], photometric="minisblack", planarconfig="separate", subfiletype=1, metadata=None)
            tif.write(mask.astype(bool), subfiletype=4, photometric="mask", metadata=None)


def missing(source, bands=NAMES):
    named = {b.name: b for b in source.bands}
    raw = source.read(0, [Stream("x", bands=tuple(named[n] for n in bands))])
    x = raw.inputs["x"]
    found = np.zeros(x.shape, bool) | raw.missing.get("x", False)
    return found | np.isnan(x) if x.dtype.kind == "f" else found


@pytest.mark.parametrize(
    ("dtype", "value", "text"),
    [
        ("float32", -9999, "-9999"),
        ("float32", np.float32(-3.4028235e38), "-3.40282346638528e+38"),
        ("float32", np.nan, "nan"),
        ("float32", np.nan, None),
        ("float64", -1e300, "-1e300"),
        ("int16", -9999, "-9999.0"),
        ("uint16", 65535, "65535"),
        ("uint8", 0, " 0"),
        ("int32", -(2**31), "-2147483648"),
    ],
)
@pytest.mark.parametrize("how", [{}, {"compression": "zlib", "tile": (16, 16)}])
def test_the_declared_value_of_a_tiff_is_missing(tmp_path, dtype, value, text, how):
    write(tmp_path / "a.tif", chip(dtype, value), text, **how)
    source = Tiff(str(tmp_path), card=card(NAMES))
    assert (missing(source, ["NIR", "R"]) == HOLE).all()
    assert source.notes == []
    if text not in (None, "nan"):
        assert not missing(Tiff(str(tmp_path), card=card(NAMES, nodata="ignore"))).any()


@pytest.mark.parametrize(
    ("dtype", "text", "why"),
    [
        ("uint16", "nan", "nan is no value of uint16"),
        ("uint16", "-9999", "-9999 is no value of uint16"),
        ("uint8", "1.5", "1.5 is no value of uint8"),
        ("float32", "1e300", "1e300 is beyond float32"),
        ("int16", "none", "'none' is not a number"),
    ],
)
def test_a_declared_value_that_no_pixel_can_hold_is_told_and_ignored(tmp_path, dtype, text, why):
    for name in "ab":
        write(tmp_path / f"{name}.tif", chip(dtype), text)
    source = Tiff(str(tmp_path), card=card(NAMES))
    assert not missing(source).any()
    (note,) = source.notes
    assert note.startswith(f"nodata: a.tif and 1 more of 2 files: the declared value {why}, so it is ignored")


def test_the_card_says_it_for_all_bands_or_for_each(tmp_path):
    write(tmp_path / "a.tif", chip("uint16", 7), "65535")
    assert (missing(Tiff(str(tmp_path), card=card(NAMES, nodata=7.0)))[:, HOLE]).all()
    some = missing(Tiff(str(tmp_path), card=card(NAMES, nodata=[None, 7.0, None, 9.0])), ["G", "R"])
    assert some[0][HOLE].all()
    assert not some[1].any()
    with pytest.raises(DataError, match=r"data\.source\.card\.nodata: -1 is no value of uint16"):
        Tiff(str(tmp_path), card=card(NAMES, nodata=-1.0))
    with pytest.raises(DataError, match="2 values for 4 bands"):
        card(NAMES, nodata=[0.0, None])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_an_internal_mask_tells_what_is_missing_and_overviews_are_passed_over(tmp_path, compression):
    x = chip("uint16")
    write(tmp_path / "a.tif", x, mask=(~HOLE).astype(np.uint8), compression=compression)
    source = Tiff(str(tmp_path), card=card(NAMES))
    raw = source.read(0, [Stream("x", bands=source.bands)])
    assert np.array_equal(raw.inputs["x"], x)
    assert (raw.missing["x"] == HOLE).all()
    assert raw.mask is None


@pytest.mark.parametrize("planar", ["separate", "contig"])
def test_tiles_that_were_never_written_are_missing(tmp_path, planar):
    x = chip("uint16")
    stored = x if planar == "separate" else np.moveaxis(x, 0, 2)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=planar, tile=(16, 16))
    gone = [1, 5] if planar == "separate" else [1]  # the tile at the top right, of R and of G
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        page = tif.pages[0]
        for tag, values in ((324, page.dataoffsets), (325, page.databytecounts)):
            page.tags[tag].overwrite([0 if i in gone else v for i, v in enumerate(values)])
    found = missing(Tiff(str(tmp_path), card=card(NAMES)))
    expected = np.zeros((4, 32, 32), dtype=bool)
    expected[: 2 if planar == "separate" else 4, :16, 16:] = True
    assert np.array_equal(found, expected)


def test_values_are_parsed_as_the_type_holds_them():
    assert nodata.parsed("18446744073709551615", np.dtype("uint64")) == (2**64 - 1, "")
    assert nodata.parsed("-9999", np.dtype("f4")) == (-9999.0, "")
    assert nodata.missing(np.array([[0.1], [1.0]], "f4"), [float(np.float32(0.1)), None]).tolist() == [[True], [False]]


def envi(folder, ignore):
    x = chip("int16", -9999)
    head = ["samples = 32", "lines = 32", "bands = 4", "data type = 2", "interleave = bsq", "byte order = 0"]
    (folder / "a.img.hdr").write_text("\n".join(["ENVI", *head, f"data ignore value = {ignore}"]) + "\n")
    (folder / "a.img").write_bytes(x.tobytes())
    return x


def test_the_ignore_value_of_an_envi_header_is_missing(tmp_path):
    envi(tmp_path, -9999)
    source = Envi(str(tmp_path))
    assert (missing(source, ["B003", "B001"]) == HOLE).all()
    assert not missing(Envi(str(tmp_path), card=card(NAMES, nodata="ignore"))).any()
    envi(tmp_path, 99999)
    assert "99999 is no value of int16" in Envi(str(tmp_path)).notes[0]


def test_missing_pixels_of_a_white_reference_are_not_white(tmp_path):
    x = envi(tmp_path, -9999)
    (tmp_path / "white.img.hdr").write_text((tmp_path / "a.img.hdr").read_text())
    (tmp_path / "white.img").write_bytes(x.tobytes())
    source = Envi(str(tmp_path), calibrate="white_reference", white="white.img")
    found = source.read(0, [Stream("x", bands=source.bands)]).inputs["x"]
    assert np.allclose(found[:, ~HOLE].mean(1), 1, rtol=1e-6)


@pytest.mark.parametrize("axes", ["nchw", "nhwc", "chw"])
@pytest.mark.parametrize("how", ["_FillValue", "missing_value", "fillvalue", "text"])
def test_the_fill_value_of_an_hdf5_data_set_is_missing(tmp_path, axes, how):
    x = chip("int16", -9999)
    stored = {"nchw": x[None], "nhwc": np.moveaxis(x, 0, 2)[None], "chw": x}[axes]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=stored, fillvalue=-9999 if how == "fillvalue" else None)
        if how.startswith(("_", "m")):
            file["x"].attrs[how] = np.array([-9999], "i2")
        if how == "text":
            file["x"].attrs["_FillValue"] = np.bytes_("-9999")
    crop = {"crop": 32} if axes == "chw" else {}
    source = Hdf5(str(tmp_path), datasets={"x": NAMES}, card=card(NAMES), axes=axes, **crop)
    assert (missing(source, ["NIR", "G"]) == HOLE).all()
    other = Hdf5(
        str(tmp_path), datasets={"x": NAMES}, card=card(NAMES, nodata=[None, 5, None, None]), axes=axes, **crop
    )
    assert np.array_equal(missing(other), np.stack([x[0] < -1e5, x[1] == 5, x[0] < -1e5, x[0] < -1e5]))


def test_a_fill_value_of_zero_is_a_habit_and_one_of_another_type_is_told(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=chip("uint16", 0)[None], fillvalue=0)
    assert not missing(Hdf5(str(tmp_path), datasets={"x": NAMES}, card=card(NAMES))).any()
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["x"].attrs["_FillValue"] = np.nan
    (note,) = Hdf5(str(tmp_path), datasets={"x": NAMES}, card=card(NAMES)).notes
    assert note.startswith("nodata: a.h5: x: the declared value nan is no value of uint16, so it is ignored")


def test_a_stream_of_two_data_sets_lacks_what_each_of_them_lacks(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["two"] = chip("int16", -1)[None, :2], chip("float32")[None, 2:]
        file["one"].attrs["_FillValue"] = np.int16(-1)
    source = Hdf5(str(tmp_path), datasets={"one": ["R", "G"], "two": ["B", "NIR"]}, card=card(NAMES))
    found = missing(source, ["NIR", "G"])
    assert not found[0].any()
    assert np.array_equal(found[1], HOLE)


@pytest.mark.parametrize("label", ["int", "double", "column", "onehot", "text", "bytes"])
def test_whole_numbers_of_any_type_are_classes(tmp_path, label):
    y = np.arange(24) % 3
    values = {
        "int": y,
        "double": y + 1.0,
        "column": (y + 1.0)[:, None],
        "onehot": np.eye(3)[y],
        "text": np.array(["abc"[i] for i in y], dtype=object),
        "bytes": np.array(["abc"[i] for i in y], "S1"),
    }[label]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros((24, 4, 8, 8), "u1")
        file["y"] = values
    source = Hdf5(str(tmp_path), datasets={"x": NAMES}, card=card(NAMES), columns={"kind": "y"})
    target = encode(source.samples, "kind")
    assert len(target.classes) == 3
    assert np.array_equal(target.values, y)
    told = [n for n in source.notes if "kind holds 3 whole numbers (1, 2, 3) as floats, taken for classes" in n]
    assert len(told) == (label in ("double", "column"))
    kept = Hdf5(str(tmp_path), datasets={"x": NAMES}, card=card(NAMES), columns={"kind": "y"}, numbers=["kind"])
    assert encode(kept.samples, "kind").classes == ([] if label in ("double", "column") else target.classes)


def test_numbers_stay_numbers_and_a_missing_class_is_missing(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros((24, 4, 8, 8), "u1")
        file["weight"], file["age"] = np.linspace(0, 1, 24), np.arange(24.0)
        file["sex"] = np.array([1.0, 2.0, np.nan] * 8)
        file["wrong"] = np.ones((24, 2))
    columns = {name: name for name in ("weight", "age", "sex")}
    samples = Hdf5(str(tmp_path), datasets={"x": NAMES}, card=card(NAMES), columns=columns).samples
    assert encode(samples, "weight").classes == encode(samples, "age").classes == []
    sex = encode(samples, "sex")
    assert sex.classes == ["1", "2"]
    assert sex.values.tolist() == [0, 1, -1] * 8
    with pytest.raises(DataError, match=r"wrong has shape \(24, 2\), expected \(24,\), or rows of 0 with a single 1"):
        Hdf5(str(tmp_path), datasets={"x": NAMES}, card=card(NAMES), columns={"wrong": "wrong"})


def test_the_declared_value_of_a_photograph_in_tiff_is_missing(tmp_path):
    x = np.moveaxis(chip("uint8", 255)[:3], 0, 2)
    tifffile.imwrite(tmp_path / "a.tif", x, photometric="rgb", metadata=None, extratags=[(42113, "s", 0, "255", True)])
    assert (missing(Images(str(tmp_path)), ["B", "R"]) == HOLE).all()
    tifffile.imwrite(tmp_path / "a.tif", x, photometric="rgb", metadata=None)
    assert not missing(Images(str(tmp_path)), ["B", "R"]).any()
