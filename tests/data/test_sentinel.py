"""Made-up Sentinel patches: what each sensor tells of each label is what `truth` says, and no more."""

from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.metrics import roc_auc_score

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, reader, writer
from multimodal_lab.data.packed.probe import probe
from multimodal_lab.data.readers.bigearthnet import BigEarthNet
from multimodal_lab.data.readers.bigearthnet_facts import COARSE, NINETEEN, S1, S2
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import NoScaling
from multimodal_lab.data.synthetic.sentinel import Sentinel
from multimodal_lab.data.synthetic.sentinel_cover import OPTICAL, RADAR
from multimodal_lab.report.summary import table
from multimodal_lab.runs.provenance import facts
from multimodal_lab.types import Stream

SENSORS = {"s2": Stream("s2", bands=S2), "s1": Stream("s1", bands=S1)}
BOTH = Stream("both", bands=(S2[3], S1[1], S2[0]))


@pytest.fixture(scope="module")
def source():
    return Sentinel(patches=600, size=16)


def test_a_patch_is_a_function_of_the_dials_and_its_place_alone(source):
    again, other = (Sentinel(patches=600, size=16, seed=seed) for seed in (0, 1))
    for i in (5, 2, 5):
        one, two, three = (s.read(i, [*SENSORS.values(), BOTH]).inputs for s in (source, again, other))
        assert all(np.array_equal(one[name], two[name]) for name in one)
        assert not np.array_equal(one["s2"], three["s2"])
    assert source.identity == again.identity != other.identity
    assert source.samples.equals(again.samples)


def test_bands_have_the_types_and_units_of_the_real_ones(source):
    raw = source.read(0, [*SENSORS.values(), BOTH])
    assert [(x.shape, x.dtype) for x in raw.inputs.values()] == [
        ((12, 16, 16), np.uint16), ((2, 16, 16), np.float32), ((3, 16, 16), np.float32)
    ]  # fmt: skip
    np.testing.assert_array_equal(raw.inputs["both"][:2], [raw.inputs["s2"][3], raw.inputs["s1"][1]])
    np.testing.assert_array_equal(source.read(0, [SENSORS["s1"]]).inputs["s1"], raw.inputs["s1"])
    s2 = np.stack([source.s2(i) for i in range(200)]).astype(float)
    s1 = np.stack([source.s1(i) for i in range(200)])
    # published of the training split: B02 438 (607), B08 2193 (1369), VV -12.6 (5.1), VH -19.4 (5.6)
    for found, mean, std in (
        (s2[:, 1], 438, 607),
        (s2[:, 7], 2193, 1369),
        (s1[:, 0], -12.6, 5.1),
        (s1[:, 1], -19.4, 5.6),
    ):
        assert abs(found.mean() - mean) < 0.5 * std
        assert 0.5 < found.std() / std < 1.5
    assert 1 <= s2.min() <= s2.max() <= 10000


def test_bands_of_20_and_60_m_are_coarse(source):
    values = source.s2(1)
    for band, x in zip(S2, values):
        block = COARSE.get(band.name, 1)
        assert np.array_equal(x, np.repeat(np.repeat(x[::block, ::block], block, 0), block, 1)[:16, :16])
        assert block > 1 or (np.diff(x.astype(int), axis=0) != 0).mean() > 0.9


def test_the_table_names_patches_as_published(source):
    table = source.samples
    row = table.iloc[0]
    assert row.patch_id.startswith("S2A_MSIL2A_20170601T101031_N9999_R022_T33UUP_")
    column, line = map(int, row.patch_id.split("_")[-2:])
    assert (row.left, row.top) == (300_000 + 1200 * column, 5_400_000 - 1200 * line)  # as the real patches of this tile
    assert (row.crs, row.country, row.tile) == ("EPSG:32633", "Austria", "T33UUP")
    assert 12.2 < row.lon < 13.9
    assert 47.7 < row.lat < 48.8
    assert row.s1_name.endswith(f"_33UUP_{column:02d}_{line:02d}")
    assert table.patch_id.is_unique
    assert table.s1_name.is_unique
    assert table.groupby("tile").split.nunique().max() == 1
    assert set(table.split) == {"train", "validation", "test"}
    assert table.country.nunique() == 10


def test_cover_and_labels_tell_the_same(source):
    for i in range(20):
        cover = source.cover(i)
        assert [NINETEEN[c] for c in np.unique(cover)] == source.samples.labels[i]
        for sensor in ("s1", "s2"):
            seen = {NINETEEN[c] for c in np.unique(source.scene(i).seen(sensor))}
            assert seen == {name for name in source.samples.labels[i] if source.truth[name] in (sensor, "both")}


def test_each_sensor_tells_what_the_truth_says_and_nothing_else(source):
    """Held-out AUROC, by label, of ridge regression on how near the nearest of 8 x 8 squares comes to each class's look."""
    hot = np.array([[name in labels for name in NINETEEN] for labels in source.samples.labels], dtype=float)
    train = np.arange(len(hot)) < 400
    found = {}
    for sensor, looks_of in (("s1", RADAR), ("s2", OPTICAL)):
        x = np.stack([getattr(source, sensor)(i) for i in range(len(hot))]).astype(float)
        x = x.reshape(len(x), x.shape[1], 8, 2, 8, 2).mean((3, 5)).reshape(len(x), x.shape[1], 64)
        looks = np.array([*looks_of.values()], dtype=float)
        x, looks = (np.log(x), np.log(looks)) if sensor == "s2" else (x, looks)  # light multiplies what it falls on
        scale = 0.15 * x.std((0, 2))[:, None, None]
        near = -((x[:, :, :, None] - looks.T[:, None]) ** 2 / scale**2).sum(1)
        z = np.exp(np.concatenate([near, near / 9], 2) / 2).max(1)
        z = (z - z[train].mean(0)) / z[train].std(0).clip(1e-9)
        gram = z[train].T @ z[train] + 30 * np.eye(z.shape[1])
        guess = z @ np.linalg.solve(gram, z[train].T @ (hot[train] - hot[train].mean(0)))
        found[sensor] = {n: roc_auc_score(hot[~train, k], guess[~train, k]) for k, n in enumerate(NINETEEN)}
    for sensor, scores in found.items():
        told = [scores[n] for n in NINETEEN if source.truth[n] in (sensor, "both")]
        untold = [scores[n] for n in NINETEEN if source.truth[n] not in (sensor, "both")]
        assert min(told) > 0.75, (sensor, scores)
        assert np.mean(told) > 0.93, (sensor, scores)
        assert all(0.35 < score < 0.65 for score in untold), (sensor, scores)


@pytest.mark.parametrize(("dial", "sensor", "other"), [("s1_only", "s1", "s2"), ("s2_only", "s2", "s1")])
def test_a_contrast_changes_its_sensor_alone(source, dial, sensor, other):
    blind = Sentinel(patches=600, size=16, **{dial: 0.0})
    assert np.array_equal(getattr(blind, other)(0), getattr(source, other)(0))
    changed = [i for i in range(20) if not np.array_equal(getattr(blind, sensor)(i), getattr(source, sensor)(i))]
    alone = [i for i in range(20) if any(source.truth[n] == sensor for n in source.samples.labels[i])]
    assert changed == alone != []


def test_a_sensor_can_be_missing():
    source = Sentinel(patches=100, size=8, missing_s2=0.5)
    inputs = [source.read(i, [*SENSORS.values(), BOTH]).inputs for i in range(100)]
    gone = [x["s2"] is None for x in inputs]
    assert 30 < sum(gone) < 70
    assert gone == [x["both"] is None for x in inputs]
    assert all(x["s1"] is not None for x in inputs)


def test_the_classes_are_the_nineteen_whatever_the_patches_hold(tmp_path):
    """An index is the published one, though three patches hold few of them, and so it is in a packed store."""
    source = Sentinel(patches=3, tiles=3, size=8)
    assert len({name for labels in source.samples.labels for name in labels}) < 19
    plan = writer.begin(source, probe(source), tmp_path / "store", {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "", {}, {}, "report")
    split = Split(column="split", val=0)
    for stored in (source, reader.Packed(str(tmp_path / "store"))):
        data = Data(stored, scaling=NoScaling(), split=split, labels=["labels"])
        prepared = data.prepare({"s1": {"kind": "image", "bands": ["VV", "VH"]}}, seed=0)
        assert prepared.classes["labels"] == list(NINETEEN)
        assert [[NINETEEN[i] for i in np.flatnonzero(row)] for row in prepared.targets["labels"]] == [
            *source.samples.labels
        ]


def test_it_can_be_packed(source):
    parts = [part for part in probe(source).parts if part.kind == "image"]
    found = [(part.field, str(np.dtype(part.dtype)), len(part.bands)) for part in parts]
    assert found == [("", "uint16", 12), ("", "float32", 2), ("cover", "uint8", 1)]


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"tiles": 2}, r"tiles: 2, expected 3 to 20: one for each split, two in each country"),
        ({"tiles": 21}, "tiles: 21, expected 3 to 20"),
        ({"patches": 19}, "patches: 19 in 20 tiles, expected 20 to 162,000"),
        ({"size": 7}, "size: 7 pixels, expected 8 or more"),
    ],
)
def test_impossible_dials_are_one_sentence(dials, said):
    with pytest.raises(DataError, match=said):
        Sentinel(**dials)


def test_a_run_on_made_up_patches_says_so(tmp_path):
    """At its start, in its summary, and in the line below its scores; a run with a root says nothing of it."""
    source = BigEarthNet(None, made=Sentinel(patches=6, tiles=3, size=8))
    prepared = Data(source, scaling=NoScaling(), split=Split(column="split"), labels=["labels"]).prepare(
        {"s1": {"kind": "image", "bands": ["VV", "VH"]}}, seed=0
    )
    state = SimpleNamespace(seconds=1.0, samples=1, step=1, drift=[])
    found = facts(0, prepared, torch.device("cpu"), state, torch.nn.Linear(2, 2), 1.0)
    assert found["provenance/stands_in"] == "made-up patches: data.root is not given"
    assert source.notes == [
        "made-up patches: data.root is not given (data.root=/data/BigEarthNet-V2 reads the real ones)"
    ]
    out = StringIO()
    Console(file=out, width=200).print(table(found))
    assert "made-up patches: data.root is not given · seed 0" in out.getvalue()
