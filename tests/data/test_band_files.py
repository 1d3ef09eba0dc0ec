"""Samples whose bands or sensors are files of their own: real layouts, and every damage in one sentence."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_geotiff import noise, write

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.band_config import ClassMask
from multimodal_lab.data.readers.band_files import BandFiles
from multimodal_lab.data.readers.band_rows import NearestDate
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.preset import Preset
from multimodal_lab.data.streams.scaling import NoScaling
from multimodal_lab.types import Band, Stream

REAL = Path(__file__).parents[3] / "shared/data/open/eo_samples"
SIZES = {"B02": 12, "B05": 6, "B01": 2}
BANDS = [*SIZES]
# of the training split at 120 pixels, nearest: mean and deviation as the model cards of BigEarthNet v2 publish them
PUBLISHED = {
    "B01": (361.0768, 575.0687), "B02": (438.3721, 607.0269), "B03": (614.0557, 603.2968), "B04": (588.4096, 684.5688),
    "B05": (942.8433, 738.4327), "B06": (1769.9316, 1100.4561), "B07": (2049.5515, 1275.8054), "B08": (2193.2920, 1369.3717),
    "B8A": (2235.5566, 1356.5441), "B09": (2241.4553, 1316.3933), "B11": (1568.2268, 1070.1613), "B12": (997.7325, 813.5276),
    "VH": (-19.3526, 5.5905), "VV": (-12.6439, 5.1335),
}  # fmt: skip
S2 = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]


def made(folder, ids=("a_1", "a_2", "b_1"), **more):
    """A folder a sample, a file a band, at 10, 20 and 60 m."""
    for i, name in enumerate(ids):
        for b, size in SIZES.items():
            write(
                folder / name / f"{name}_{b}.tif",
                noise(i * 9 + size, size, size),
                left=1000.0 * i,
                pixel=120 / size,
                **more,
            )
    return folder


def opened(folder, bands=BANDS, **more):
    more = {"files": {"s2": "{id}/{id}_{band}.tif"}, "resample": "nearest", **more}
    return BandFiles(str(folder), bands={"s2": list(bands)}, card=card(list(bands)), **more)


def stream(*bands, name="x"):
    return Stream(name, "image", tuple(Band(b) for b in bands))


def test_bands_come_by_name_on_one_grid(tmp_path):
    source = opened(made(tmp_path))
    assert source.samples.id.tolist() == ["a_1", "a_2", "b_1"]
    assert source.samples[["height", "width"]].values.tolist() == [[12, 12]] * 3
    assert source.samples[["crs", "left", "top"]].values.tolist() == [
        ["EPSG:32633", 1000.0 * i, 5_300_000] for i in range(3)
    ]
    raw = source.read(1, [stream("B01", "B02"), stream("B05", name="y")])
    stored = {b: tifffile.imread(tmp_path / f"a_2/a_2_{b}.tif") for b in BANDS}
    assert (raw.inputs["x"][0] == stored["B01"].repeat(6, 0).repeat(6, 1)).all()
    assert (raw.inputs["x"][1] == stored["B02"]).all()
    assert (raw.inputs["y"][0] == stored["B05"].repeat(2, 0).repeat(2, 1)).all()
    assert raw.full_scale == {"x": 65535.0, "y": 65535.0}
    small = opened(tmp_path, grid="B05", resample="area").read(1, [stream("B01", "B02")]).inputs["x"]
    np.testing.assert_allclose(small[1], stored["B02"].reshape(6, 2, 6, 2).mean((1, 3)), rtol=1e-6)
    alone = opened(tmp_path, resample="none").read(0, [stream("B05")]).inputs["x"]
    assert alone.shape == (1, 6, 6)


def test_every_file_counts_in_the_fingerprint(tmp_path):
    source = opened(made(tmp_path))
    mark = fingerprint(source, str(tmp_path))
    for file in ("a_1/a_1_B05.tif", "b_1/b_1_B01.tif"):
        stored = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
        assert fingerprint(source, str(tmp_path)) != mark
        (tmp_path / file).write_bytes(stored)
    assert fingerprint(opened(tmp_path, resample="area"), str(tmp_path)) != mark


def test_one_file_a_sensor_and_groups_as_columns(tmp_path):
    for i, place in enumerate(["oslo", "rome"]):
        write(tmp_path / f"s1/{place}/p{i}.tif", noise(i, 2, 6, 6).astype(np.float32), pixel=20)
        write(tmp_path / f"s2/{place}/p{i}.tif", noise(i + 5, 3, 12, 12), pixel=10)
    files = {"s2": "s2/{place}/{id}.tif", "s1": "s1/{place}/{id}.tif"}
    bands = {"s2": ["B02", "B03", "B04"], "s1": ["VV", "VH"]}
    source = BandFiles(
        str(tmp_path), files=files, bands=bands, card=card(["VH", "VV", "B02", "B03", "B04"]), resample="bilinear"
    )
    assert source.samples[["id", "place"]].values.tolist() == [["p0", "oslo"], ["p1", "rome"]]
    raw = source.read(1, [stream("VH", "B04"), stream("B04", "B02", name="y")])
    assert raw.inputs["x"].shape == (2, 12, 12)
    assert raw.inputs["x"].dtype == np.float32
    assert raw.full_scale == {"x": 1.0, "y": 65535.0}
    assert (raw.inputs["y"] == tifffile.imread(tmp_path / "s2/rome/p1.tif")[[2, 0]]).all()
    vh = BandFiles(str(tmp_path), files=files, bands=bands, card=source.card).read(1, [stream("VH")]).inputs["x"]
    assert (vh[0] == tifffile.imread(tmp_path / "s1/rome/p1.tif")[1]).all()


def test_the_nearest_day_of_a_place_goes_with_it(tmp_path):
    for day in ("20200110", "20200120", "20200601"):
        write(tmp_path / f"s2/7/{day}T1_x/B2.tif", noise(int(day) % 97, 4, 4))
    for day in ("20200112", "20200119", "20201231"):
        write(tmp_path / f"s1/7/S1A_{day}T9_y/VV.tif", noise(int(day) % 89, 4, 4).astype(np.float32))
    more = {
        "files": {"s2": "s2/{place}/{date:8}T*/{band}.tif", "s1": "s1/{place}/*_{date:8}T*/{band}.tif"},
        "bands": {"s2": ["B02"], "s1": ["VV"]}, "card": card(["B02", "VV"]), "names": {"B02": "B2"}, "id": "{place}_{date}",
        "pair": NearestDate(["place"], days=20),
    }  # fmt: skip
    with pytest.raises(DataError, match=re.escape("sample '7_20200601' has no file of VV of s1")):
        BandFiles(str(tmp_path), **more)
    source = BandFiles(str(tmp_path), **more, missing="keep")
    table = source.samples.set_index("id")
    assert table.s1_date.tolist()[:2] == ["20200112", "20200119"]
    assert table.s1_date.isna().tolist() == [False, False, True]
    assert source.read(2, [stream("VV"), stream("B02", name="y")]).inputs["x"] is None
    assert "files are missing in 1 of 3 samples: 7_20200601" in " ".join(source.notes)
    write(tmp_path / "s1/7/S1A_2020MAY1T9_y/VV.tif", noise(0, 4, 4).astype(np.float32))
    with pytest.raises(DataError, match=r"S1A_2020MAY1T9_y/VV.tif: date is '2020MAY1', expected a day as YYYYMMDD"):
        BandFiles(str(tmp_path), **more)


def test_clouds_and_each_file_s_nodata_are_not_measured(tmp_path):
    made(tmp_path, ids=["a", "b"])
    scl = np.full((2, 2), 4, dtype=np.uint8)
    scl[0, 1], scl[1, 1] = 9, 3
    for name in ("a", "b"):
        write(
            tmp_path / name / f"{name}_SCL.tif",
            scl if name == "a" else scl * 0 + 8,
            left=1000.0 * (name == "b"),
            pixel=60,
        )
        write(
            tmp_path / name / f"{name}_VV.tif",
            noise(3, 12, 12).astype(np.float32),
            left=1000.0 * (name == "b"),
            pixel=10,
        )
    x = noise(1, 12, 12)
    x[5, :3] = 77
    write(tmp_path / "a/a_B02.tif", x, left=0.0, pixel=10, nodata=77)
    source = BandFiles(
        str(tmp_path), files={"s2": "{id}/{id}_{band}.tif", "s1": "{id}/{id}_{band}.tif"}, resample="bilinear",
        bands={"s2": [*BANDS, "SCL"], "s1": ["VV"]}, card=card([*BANDS, "SCL", "VV"]),
        exclude=ClassMask("SCL", [3, 8, 9], ["s2"]),
    )  # fmt: skip
    raw = source.read(0, [stream("B02", "B05", name="s2"), stream("VV", name="s1")])
    cloud = np.zeros((12, 12), dtype=bool)
    cloud[:, 6:] = True
    nodata = np.zeros((12, 12), dtype=bool)
    nodata[5, :3] = True
    assert (raw.missing["s2"] == np.stack([cloud | nodata, cloud])).all()
    assert "s1" not in raw.missing
    # a sample under clouds alone keeps its radar
    split = Split(train=0.5, val=0, test=0.5)
    data = Data(source, scaling=NoScaling(), split=split, labels=[], root=str(tmp_path), nodata="any")
    ready = data.prepare({"s2": {"kind": "image", "bands": BANDS}, "s1": {"kind": "image", "bands": ["VV"]}}, seed=0)
    batch = ready.batch(np.array([0, 1]))
    assert batch.present["s2"].tolist() == [True, False]
    assert batch.present["s1"].tolist() == [True, True]
    assert (batch.mask[0, 0].numpy() > 0).tolist() == (~(cloud | nodata)).tolist()


def damage(folder, how):
    file = folder / "a_2/a_2_B05.tif"
    if how == "missing":
        file.unlink()
    elif how == "size":
        write(file, noise(0, 5, 6), left=1000.0, pixel=20)
    elif how == "another size":
        write(file, noise(0, 12, 12), left=1000.0, pixel=10)
    elif how == "type":
        write(file, noise(0, 6, 6).astype(np.float32), left=1000.0, pixel=20)
    elif how == "crs":
        write(file, noise(0, 6, 6), epsg=32634, left=1000.0, pixel=20)
    elif how == "elsewhere":
        write(file, noise(0, 6, 6), left=1100.0, pixel=20)
    elif how == "cut":
        file.write_bytes(file.read_bytes()[:-30])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "sample 'a_2' has no file of B05 of s2 (a_2/a_2_B05.tif); files are missing in 1 of 3 samples: a_2 "
                    "(data.source.missing=keep"),
        ("size", "a_2/a_2_B05.tif: 5 x 6 pixels, expected 6 x 6 as in a_1/a_1_B05.tif"),
        ("another size", "a_2/a_2_B05.tif: 12 x 12 pixels, expected 6 x 6 as in a_1/a_1_B05.tif"),
        ("type", "a_2/a_2_B05.tif: values of type float32, expected uint16 as in a_1/a_1_B05.tif"),
        ("crs", "a_2/a_2_B05.tif: projection EPSG:32634, expected EPSG:32633 as in a_2/a_2_B01.tif, of the same sample"),
        ("elsewhere", "a_2/a_2_B05.tif: (1100 to 1220, 5299880 to 5300000) is 1.7 pixels off a_2/a_2_B01.tif, "
                      "(1000 to 1120, 5299880 to 5300000)"),
        ("cut", "a_2/a_2_B05.tif: truncated"),
    ],
)  # fmt: skip
def test_damage_is_one_sentence_with_file_and_numbers(tmp_path, how, said):
    made(tmp_path)
    damage(tmp_path, how)
    with pytest.raises(DataError, match=re.escape(said)):
        opened(tmp_path)
    if how != "missing":  # one bad sample may be left out
        source = opened(tmp_path, on_error="skip")
        with pytest.raises(DataError, match=re.escape(said)):
            source.read(1, [stream("B02")])
    else:
        source = opened(tmp_path, missing="keep")
        assert source.read(1, [stream("B05"), stream("B02", name="y")]).inputs["x"] is None


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"files": {"s2": "{name}/{band}.tif"}}, "data.source.files.s2: '{name}/{band}.tif' has no {id}; expected one of name; "
         "nearest: name; data.source.id makes a name of other groups, such as '{name}'"),
        ({"files": {"s2": "{id}/{id}_{band}.TIF"}}, "'{id}/{id}_{band}.TIF' matches none of 9 files; nearest: b_1/b_1_B05.tif"),
        ({"files": {"s2": "{id}/{id}_{band}.png"}}, "expected a name that ends in .tif, .tiff, .jp2, .vrt"),
        ({"files": {"s2": "../{id}_{band}.tif"}}, "leaves the root"),
        ({"files": {"s2": "{id}_{band.tif"}}, "has a brace without its name"),
        ({"files": {"s3": "{id}_{band}.tif"}}, "data.source.bands: of s2, expected the sensors of data.source.files: s3"),
        ({"files": {"s2": "{path}/{id}_{band}.tif"}}, "a group is called 'path', which is the reader's own column"),
        ({"files": {"s2": "{id}_{part}/*_{band}.tif"}}, "data.source.id: '{id}' names 2 samples of the 3 that files of s2 make"),
        ({"names": {"B02": "B2", "B05": "B5", "B01": "B1"}}, "its files call bands B01, B02, B05; data.source.names says"),
        ({"bands": ["B02", "B05", "B01", "B11"]}, "has no file of B11 of s2 (a_1/a_1_B11.tif); files are missing in 3 of 3 "
         "samples: a_1, a_2, b_1; none has B11: take them off data.source.bands.s2"),
        ({"grid": "B2"}, "data.source.grid: no band 'B2' on the card; expected one of B02, B05, B01; nearest: B02"),
        ({"exclude": ClassMask("SCL", [3])}, "data.source.exclude.band: no band 'SCL' on the card"),
    ],
)  # fmt: skip
def test_a_config_that_can_t_be_is_told(tmp_path, choices, said):
    made(tmp_path)
    with pytest.raises(DataError) as error:
        opened(tmp_path, **choices)
    assert said in str(error.value)


def test_bands_of_two_sizes_need_a_rule(tmp_path):
    source = opened(made(tmp_path), resample="none")
    with pytest.raises(DataError, match=re.escape("stream x: bands of 6 x 6 pixels (B05) and 12 x 12 pixels (B02)")):
        source.read(0, [stream("B02", "B05")])
    with pytest.raises(DataError, match="no band 'B03'"):
        source.read(0, [stream("B03")])


def test_headers_may_wait_until_they_are_needed(tmp_path):
    made(tmp_path)
    damage(tmp_path, "size")
    source = opened(tmp_path, verify="none")
    assert "coordinates: not read, as headers are not (data.verify=none)" in source.notes
    assert "crs" not in source.samples
    assert source.read(2, [stream("B02")]).inputs["x"].shape == (1, 12, 12)
    with pytest.raises(DataError, match=r"a_2/a_2_B05\.tif: 5 x 6 pixels, expected 6 x 6 as in a_1"):
        source.read(1, [stream("B02")])


def test_labels_join_as_for_other_files(tmp_path):
    made(tmp_path)
    (tmp_path / "t.csv").write_text("name,kind\na_1,x\na_2,y\nb_1,x\n")
    source = opened(tmp_path, labels=Labels(table="t.csv", key="name"))
    assert source.samples.kind.tolist() == ["x", "y", "x"]


@pytest.mark.skipif(not REAL.is_dir(), reason="needs eo_samples in ../shared/data")
def test_published_preprocessing_of_real_patches():
    """BigEarthNet v2's model cards: nearest to 120 pixels, minus mean, by deviation; here in plain loops over pixels."""
    root = REAL / "bigearthnet_v1/BigEarthNet-S2-Example"
    files = {"s2": "{id}/{id}_{band}.tif"}
    source = BandFiles(str(root), files=files, bands={"s2": S2}, card=card(S2), resample="nearest")
    published = Preset(name="bigearthnet_v2", bands={b: list(p) for b, p in PUBLISHED.items()}, samples=2)
    split = Split(train=0.5, val=0, test=0.5)
    data = Data(
        source, scaling=NoScaling(), split=split, labels=[], root=str(root), statistics=published, verify="headers"
    )
    ready = data.prepare({"s2": {"kind": "image", "bands": S2}}, seed=0)
    found = ready.batch(np.arange(2)).inputs["s2"].numpy()
    facts = ready.streams["s2"]
    found = (found - np.array(facts.mean, np.float32)[:, None, None]) / np.array(facts.std, np.float32)[:, None, None]
    for row in range(2):
        name = source.samples.id[row]
        for at, band in enumerate(S2):
            stored = tifffile.imread(root / name / f"{name}_{band}.tif").tolist()
            k = 120 // len(stored)
            mean, std = PUBLISHED[band]
            slow = [[(stored[i // k][j // k] - mean) / std for j in range(120)] for i in range(120)]
            np.testing.assert_allclose(found[row, at], slow, atol=1e-6, rtol=1e-6)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs eo_samples in ../shared/data")
def test_real_pairs_of_radar_and_optical_folders():
    root = REAL / "bigearthnet_v1"
    for sensor, bands in (("S1", ["VV", "VH"]), ("S2", S2)):
        files = {"x": f"BigEarthNet-{sensor}-Example/{{id}}/{{id}}_{{band}}.tif"}
        source = BandFiles(str(root), files=files, bands={"x": bands}, card=card(bands), resample="nearest")
        assert len(source.samples) == 6
        raw = source.read(5, [stream(*bands)]).inputs["x"]
        assert raw.shape == (len(bands), 120, 120)
        assert set(source.samples.crs) == {"EPSG:32629", "EPSG:32633", "EPSG:32635"}
