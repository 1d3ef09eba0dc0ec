"""BigEarthNet: equal pixels from every layout it is published in, its table, and damages named with the patch."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from made_bigearthnet import (
    ALL,
    MADE,
    REAL,
    Pair,
    made_pairs,
    opened,
    real_pairs,
    write_folders,
    write_lmdb,
    write_table,
)
from omegaconf import OmegaConf

from multimodal_lab.config.targets import conf_dir
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, probe, reader, writer
from multimodal_lab.data.readers.bigearthnet_facts import DROPPED, NINETEEN, RENAMED, S1, S2
from multimodal_lab.data.readers.bigearthnet_names import corner
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.preset import Preset
from multimodal_lab.data.streams.scaling import DtypeMax, NoScaling
from multimodal_lab.types import Stream

CONF = Path(conf_dir())
MIXED = Stream("mixed", bands=(S1[1], S2[9], S2[3]))  # VH, B09 (60 m), B04


def six():
    return [Pair(**vars(p)) for p in made_pairs()]


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """The six real pairs as LMDB and table, and as folders and table."""
    pairs = real_pairs()
    folders = {}
    for name, write in (("lmdb", write_lmdb), ("folders", write_folders)):
        folders[name] = tmp_path_factory.mktemp(name)
        write(folders[name], pairs)
        write_table(folders[name], pairs)
    return pairs, folders


def test_equal_pixels_from_every_layout(layouts, tmp_path):
    """LMDB, folders of both versions and the packed store: the arrays of the files, 20 and 60 m repeated."""
    pairs, folders = layouts
    sources = {name: opened(folder) for name, folder in folders.items()}
    plan = writer.begin(sources["lmdb"], probe.probe(sources["lmdb"]), tmp_path / "store", {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "", {}, {}, "report")
    sources["packed"] = reader.Packed(str(tmp_path / "store"))
    sources["version 1"] = opened(REAL / "bigearthnet_v1")
    for i, pair in enumerate(pairs):
        expected = [np.kron(pair.s2[b.name], np.ones((120 // len(pair.s2[b.name]),) * 2, np.uint16)) for b in S2]
        for name, source in sources.items():
            own = source.samples.s1_name.tolist().index(pair.s1_name)
            raw = source.read(own, [*ALL, MIXED])
            np.testing.assert_array_equal(raw.inputs["s2"], expected, err_msg=name)
            np.testing.assert_array_equal(raw.inputs["s1"], [pair.s1["VV"], pair.s1["VH"]], err_msg=name)
            np.testing.assert_array_equal(raw.inputs["mixed"], [pair.s1["VH"], expected[9], expected[3]], err_msg=name)
            dtypes = {k: x.dtype for k, x in raw.inputs.items()}
            assert dtypes == {"s2": np.uint16, "s1": np.float32, "mixed": np.float32}, name
            gone = raw.missing.get("s2", np.zeros((1,), bool))
            np.testing.assert_array_equal(gone.any(), (np.array(expected) == 0).any(), err_msg=f"{name} {i}")


def test_names_tell_where_and_when_as_the_files_do(layouts):
    pairs, folders = layouts
    by_name, by_file = opened(folders["lmdb"]).samples, opened(REAL / "bigearthnet_v1").samples
    merged = by_name.merge(by_file, on="s1_name", suffixes=("", "_json"))
    for column in ("crs", "left", "bottom", "right", "top", "date"):
        assert merged[column].tolist() == merged[f"{column}_json"].tolist(), column
    assert by_name.tile.tolist() == [f"T{p.s1_name.split('_')[-3]}" for p in pairs]
    assert by_file.lon.between(-10, 31).all()
    for path in REAL.glob("bigearthnet_v2/*/*/*/*_[VB]*2.tif"):  # version 2's own names
        with tifffile.TiffFile(path) as tif:
            x, y = tif.pages[0].tags[33922].value[3:5]
        tile, column, row = path.parent.name.replace("_T", "_").split("_")[-3:]
        epsg, left, top = corner(tile)
        assert (left + 1200 * int(column), top - 1200 * int(row), epsg) == (x, y, 32633)


def test_labels_of_version_1_become_the_nineteen():
    if not REAL.is_dir():
        pytest.skip("needs eo_samples in ../shared/data")
    source = opened(REAL / "bigearthnet_v1")
    labels = dict(zip(source.samples.patch_id, source.samples.labels))
    assert labels["S2B_MSIL2A_20170924T93020_69_24"] == [
        "Coniferous forest", "Inland waters", "Inland wetlands", "Mixed forest", "Transitional woodland, shrub"
    ]  # fmt: skip
    assert source.samples.attrs["classes"] == {"labels": list(NINETEEN)}
    assert {*RENAMED.values()} < {*NINETEEN}
    same = {*NINETEEN} - {*RENAMED.values()}
    assert len({*RENAMED} | DROPPED | same) == 43  # those of the first version that are not renamed have the same names
    assert [*NINETEEN] == sorted(NINETEEN)
    with pytest.raises(DataError, match=r"no column 'split'; .*\(nearest: data.split.column=null data.split.by=tile\)"):
        Split(column="split").assign(source.samples)  # without the published lists of names
    assert {*Split(by="tile").groups(source.samples)} == {*source.samples.tile}


def test_the_table_is_as_published(tmp_path):
    pairs = six()
    pairs[4].contains_seasonal_snow = True
    pairs[5].contains_cloud_or_shadow = True
    write_lmdb(tmp_path, pairs)
    write_table(tmp_path, pairs[:4])
    write_table(tmp_path, pairs[4:], "metadata_for_patches_with_snow_cloud_or_shadow.parquet")
    names = [p.patch_id for p in pairs]
    assert opened(tmp_path).samples.id.tolist() == names[:4]
    assert opened(tmp_path, snow="keep").samples.id.tolist() == names[:5]
    assert opened(tmp_path, clouds="keep").samples.id.tolist() == [*names[:4], names[5]]
    assert opened(tmp_path, snow="keep", clouds="keep").samples.id.tolist() == names
    table = opened(tmp_path).samples
    assert table.labels.tolist() == [p.labels for p in pairs[:4]]
    assert table.split.tolist() == [p.split for p in pairs[:4]]
    assert table.path.unique().tolist() == ["BENv2.lmdb/data.mdb"]
    write_table(tmp_path, pairs)  # one table with all: flagged patches are left out, and counted
    source = opened(tmp_path)
    assert source.samples.id.tolist() == names[:4]
    assert (
        "metadata.parquet: 1 patches with contains_seasonal_snow are left out (data.source.snow=keep)" in source.notes
    )


def test_resampling_has_a_name(tmp_path):
    pairs = six()
    write_lmdb(tmp_path, pairs)
    write_table(tmp_path, pairs)
    streams = [Stream("rgb", bands=S2[1:4]), Stream("b01", bands=S2[:1])]
    made = {how: opened(tmp_path, resample=how).read(0, streams).inputs for how in ("nearest", "bilinear", "none")}
    assert made["none"]["b01"].shape == (1, 2, 2)
    assert all(np.array_equal(x["rgb"], made["none"]["rgb"]) for x in made.values())
    (small,) = pairs[0].s2["B01"].astype(float)[None]
    np.testing.assert_array_equal(made["nearest"]["b01"][0], small.repeat(6, 0).repeat(6, 1))
    place = ((np.arange(12) + 0.5) / 6 - 0.5).clip(0, 1)  # of pixel centres, between the two that are stored
    rows = small[0] + place[:, None] * (small[1] - small[0])
    slow = rows[:, :1] + place * (rows[:, 1:] - rows[:, :1])
    np.testing.assert_allclose(made["bilinear"]["b01"][0], slow, rtol=1e-5)
    with pytest.raises(
        DataError, match=r"modality.mixed: bands of several sizes \(VH 12 x 12, B09 2 x 2, B04 12 x 12\)"
    ):
        opened(tmp_path, resample="none").read(0, [MIXED])


def test_nodata_of_sentinel_2_is_missing(tmp_path):
    pairs = six()
    pairs[0].s2["B01"] = np.array([[0, 7], [7, 7]], dtype=np.uint16)
    write_lmdb(tmp_path, pairs)
    write_table(tmp_path, pairs)
    raw = opened(tmp_path).read(0, [*ALL, MIXED])
    assert list(raw.missing) == ["s2"]
    np.testing.assert_array_equal(np.argwhere(raw.missing["s2"]).max(0), [0, 5, 5])
    assert not opened(tmp_path, nodata=None).read(0, ALL).missing


def start(source, **choices):
    """What a run learns of the data before it trains."""
    known = {"scaling": NoScaling(), "split": Split(column="split"), "labels": ["labels"]}
    streams = {"s2": {"kind": "image", "bands": [b.name for b in S2]}, "s1": {"kind": "image", "bands": ["VV", "VH"]}}
    return Data(source, **known, **choices).prepare(streams, seed=0)


def s1_gone(pairs):
    pairs[2].s1 = None


def band_gone(pairs):
    del pairs[2].s2["B05"]


def other_size(pairs):
    pairs[2].s2["B05"] = pairs[2].s2["B05"][:5]


def other_type(pairs):
    pairs[2].s2["B02"] = (pairs[2].s2["B02"] / 10000).astype(np.float32)


def linear(pairs):
    pairs[2].s1 = {band: 10 ** (x / 10) for band, x in pairs[2].s1.items()}


def not_in_the_lmdb(pairs):
    pairs[2].s2 = pairs[4].s2 = None


def outside(pairs):
    pairs[2].labels = ["Arable land", "Pasture"]


PATCH, RADAR = made_pairs()[2].patch_id, made_pairs()[2].s1_name


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (s1_gone, f"BENv2.lmdb: no Sentinel-1 patch for 1 of 6 rows of the table: {RADAR} \\(of {PATCH}\\)"),
        (band_gone, f"BENv2.lmdb: {PATCH}: no band B05; it has B01, B02"),
        (other_size, f"BENv2.lmdb: {PATCH}: B05 is 5 x 6 of uint16, expected 6 x 6 of uint16 as in S2A_"),
        (other_type, f"BENv2.lmdb: {PATCH}: B02 is 12 x 12 of float32, expected 12 x 12 of uint16 as in S2A_"),
        (not_in_the_lmdb, f"BENv2.lmdb: no Sentinel-2 patch for 2 of 6 rows of the table: {PATCH}, S2A_"),
        (
            linear,
            f"sample '{PATCH}': stream s1: VV, VH hold 0.0.*: linear power, .* is dB, which no key changes; convert",
        ),
        (
            outside,
            f"metadata.parquet: {PATCH}: label 'Pasture' is none of BigEarthNet's nineteen; .* nearest: Pastures",
        ),
    ],
)
def test_a_damage_is_named_with_its_patch(damage, said, tmp_path):
    """At the start of a run, though the patch is held out."""
    pairs = six()
    assert pairs[2].split == "test"
    damage(pairs)
    write_lmdb(tmp_path, pairs)
    write_table(tmp_path, pairs)
    with pytest.raises(DataError, match=said):
        start(opened(tmp_path))


def test_a_patch_without_its_pair_may_be_kept(tmp_path):
    pairs = six()
    s1_gone(pairs)
    write_lmdb(tmp_path, pairs)
    pairs[3].s1_name = None
    write_table(tmp_path, pairs)
    source = opened(tmp_path, missing="keep")
    assert any(f"no Sentinel-1 patch for 2 of 6 rows of the table: {RADAR} (of " in note for note in source.notes)
    inputs = source.read(2, [*ALL, MIXED]).inputs
    assert {name: x is None for name, x in inputs.items()} == {"s2": False, "s1": True, "mixed": True}


def test_an_lmdb_that_was_copied_half_is_not_opened(tmp_path):
    pairs = six()
    write_lmdb(tmp_path, pairs)
    write_table(tmp_path, pairs)
    data = tmp_path / "BENv2.lmdb/data.mdb"
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(DataError, match=r"BENv2.lmdb: copied half: data.mdb has"):
        opened(tmp_path)


def test_folders_without_a_band_or_labels_say_so(tmp_path):
    pairs = six()
    write_folders(tmp_path, pairs)
    with pytest.raises(
        DataError, match=r"neither metadata.parquet, as of version 2, nor BigEarthNet-S2/.*_labels_metadata.json"
    ):
        opened(tmp_path)
    write_table(tmp_path, pairs)
    gone = next(tmp_path.glob(f"BigEarthNet-S2/*/{PATCH}/*_B8A.tif"))
    gone.unlink()
    with pytest.raises(DataError, match=f"{PATCH}: no band B8A; it has B01"):
        opened(tmp_path).read(2, ALL)
    with pytest.raises(DataError, match=r"neither BENv2.lmdb nor folders of Sentinel-2 patches"):
        opened(tmp_path / "BigEarthNet-S1")


def test_every_file_of_a_folder_counts_in_the_fingerprint(tmp_path):
    pairs = six()
    write_folders(tmp_path, pairs)
    write_table(tmp_path, pairs)
    before = fingerprint(opened(tmp_path), str(tmp_path))
    for band in ("B8A", "VH"):
        file = next(tmp_path.glob(f"*/*/*/*_{band}.tif"))
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        after = fingerprint(opened(tmp_path), str(tmp_path))
        assert after != before
        before = after


def test_a_table_that_is_no_metadata_says_what_it_lacks(tmp_path):
    pairs = six()
    write_lmdb(tmp_path, pairs)
    pd.DataFrame({"patch_id": ["a"], "labels": [["Pastures"]]}).to_parquet(tmp_path / "metadata.parquet")
    with pytest.raises(DataError, match=r"metadata.parquet: no column 's1_name' \(data.source.metadata\)"):
        opened(tmp_path)


def test_published_statistics_go_by_the_names_of_bands():
    """In the order asked, of stored units alone; without the preset they are measured in the training split."""
    preset = OmegaConf.to_container(OmegaConf.load(CONF / "data/statistics/bigearthnet_v2.yaml"))
    preset.pop("_target_")
    assert set(preset["bands"]) == {b.name for b in (*S2, *S1)}
    asked = {"x": {"kind": "image", "bands": ["B09", "VH", "B02"]}}
    choices = {"scaling": NoScaling(), "split": Split(column="split"), "labels": ["labels"]}
    published = Data(MADE, **choices, statistics=Preset(**preset)).prepare(asked, seed=0).streams["x"]
    assert published.mean == (2241.4553, -19.3526, 438.3721)
    assert published.std == (1316.3933, 5.5905, 607.0269)
    train = [i for i, split in enumerate(MADE.samples.split) if split == "train"]
    x = np.stack([MADE.read(i, [Stream("x", bands=(S2[9], S1[1], S2[1]))]).inputs["x"] for i in train]).astype(float)
    measured = Data(MADE, **choices).prepare(asked, seed=0).streams["x"]
    np.testing.assert_allclose([measured.mean, measured.std], [x.mean((0, 2, 3)), x.std((0, 2, 3))], rtol=1e-6)
    said = "data.statistics=bigearthnet_v2: of values as data/scaling=none leaves them, but data/scaling=dtype_max"
    with pytest.raises(DataError, match=said):
        Data(MADE, **choices | {"scaling": DtypeMax()}, statistics=Preset(**preset)).prepare(asked, seed=0)
