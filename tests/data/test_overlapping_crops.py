"""Crops that share pixels are split by blocks that don't, in every reader that crops."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from multimodal_lab.data.audit.audit import audit
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.crops import blocks
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.scene import Scene
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax

CUBE = {"cube": {"kind": "image", "bands": "all"}}


def cubes(root: Path, count: int = 1, side: int = 64) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        x = np.random.default_rng(i).integers(0, 60000, (2, side, side)).astype(np.uint16)
        with h5py.File(root / f"scene{i}.h5", "w") as file:
            file["cube"] = x


def opened(root: Path, **changes) -> Hdf5:
    facts = {"datasets": {"cube": ["a", "b"]}, "card": card(["a", "b"]), "axes": "chw", "crop": 16, "stride": 8}
    return Hdf5(str(root), **{**facts, **changes})


def prepared(source, **split):
    made = Split(**{"by": "auto", "stratify": "auto", **split})
    return Data(source, scaling=DtypeMax(), split=made, labels="auto").prepare(CUBE, 0)


def shared(data) -> int:
    """How many pixels are read in two splits."""
    crop, table = data.reader.source.crop, data.samples
    seen = {}
    for split, rows in data.splits.items():
        for row in rows:
            path, top, left = table[["path", "top", "left"]].iloc[row]
            seen.setdefault(split, set()).update(
                (path, int(top) + y, int(left) + x) for y in range(crop) for x in range(crop)
            )
    parts = list(seen.values())
    return sum(len(a & b) for i, a in enumerate(parts) for b in parts[:i])


@pytest.mark.parametrize("crop", [5, 16, 64])
@pytest.mark.parametrize("stride", [1, 3, 8, 16, 70])
@pytest.mark.parametrize("side", [None, 40])
def test_crops_of_two_blocks_share_no_pixel(crop, stride, side):
    shape = (150, 97)
    axes = blocks(shape, crop, stride, 20, side)
    for home, length in zip(axes, shape):
        assert len(home) == (length - crop) // stride + 1
        ends = {}
        for i, block in enumerate(home):
            if block >= 0:
                low, high = ends.get(block, (i * stride, 0))
                ends[block] = (min(low, i * stride), max(high, i * stride + crop))
        spans = sorted(ends.values())
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
    kept = [np.mean(home >= 0) for home in axes]
    count = (axes[0].max() + 1) * (axes[1].max() + 1)
    assert kept[0] * kept[1] >= 0.5 or side or count <= 3
    if stride >= crop:
        assert kept == [1, 1], "crops side by side cross nothing"


@pytest.mark.parametrize("stride", [4, 8, 12])
def test_a_run_splits_overlapping_crops_by_blocks_and_tells(tmp_path, stride):
    cubes(tmp_path)
    data = prepared(opened(tmp_path, stride=stride))
    assert shared(data) == 0
    assert set(data.splits) == {"train", "val", "test"}
    assert data.facts["split"]["by"] == "block"
    lone = data.samples.block.isna().sum()
    assert sum(len(rows) for rows in data.splits.values()) == len(data.samples) - lone
    assert len(data.rows("all")) == len(data.samples), "embedded are all"
    assert any(f"{lone} of {len(data.samples)} crops cross two" in note for note in data.notes)
    assert not [f for f in audit(data, None, labels=None).findings if f.kind == "shared pixels"]
    assert data.splits.keys() == prepared(opened(tmp_path, stride=stride), by="block").splits.keys()


def test_side_by_side_crops_are_split_as_before_and_have_blocks_to_split_by(tmp_path):
    cubes(tmp_path)
    data = prepared(opened(tmp_path, stride=16))
    assert data.facts["split"]["by"] is None
    assert data.samples.block.notna().all()
    by_block = prepared(opened(tmp_path, stride=16), by="block")
    homes = [set(by_block.samples.block.iloc[rows]) for rows in by_block.splits.values()]
    assert not homes[0] & homes[1] | homes[0] & homes[2] | homes[1] & homes[2]


def test_of_many_files_each_is_a_block_and_of_a_few_each_has_some(tmp_path):
    cubes(tmp_path / "many", 20, 24)
    data = prepared(opened(tmp_path / "many"))
    assert data.samples.block.notna().all()
    assert (data.samples.groupby("path").block.nunique() == 1).all()
    assert shared(data) == 0
    cubes(tmp_path / "few", 2)
    few = opened(tmp_path / "few")
    assert few.samples.groupby("path").block.nunique().min() > 3
    assert shared(prepared(few)) == 0
    assert opened(tmp_path / "few", block=20).samples.block.nunique() == 2 * 9


def test_a_grouping_of_ones_own_is_kept_where_it_holds_files_whole(tmp_path):
    cubes(tmp_path, 6)
    source = opened(tmp_path)
    source.samples["individual"] = source.samples.path.str[:6]
    assert prepared(source).facts["split"]["by"] == "individual"
    source.samples["individual"] = [f"i{n % 30}" for n in range(len(source.samples))]
    assert prepared(source).facts["split"]["by"] == "block"


def test_what_tears_overlapping_crops_is_warned_of_with_a_remedy_that_exists(tmp_path):
    cubes(tmp_path)
    data = prepared(opened(tmp_path), by=None)
    assert shared(data) > 0
    assert any("data.split.by=block keeps them apart" in note for note in data.notes)
    found = next(f for f in audit(data, None, labels=None).findings if f.kind == "shared pixels")
    assert found.sentence.endswith("split by blocks (data.split.by=block), or cut patches that don't overlap")
    assert shared(prepared(opened(tmp_path), by="block")) == 0
    cubes(tmp_path / "three", 3)
    assert not any("warning" in note for note in prepared(opened(tmp_path / "three"), by="path").notes)


def test_a_cube_too_small_for_three_blocks_is_refused_in_one_sentence(tmp_path):
    cubes(tmp_path, 1, 24)
    with pytest.raises(DataError, match=r"the data set has 1 block .* too few for train, val, test"):
        prepared(opened(tmp_path))


def test_a_scene_warns_where_its_blocks_are_torn(tmp_path):
    np.save(tmp_path / "cube.npy", np.random.default_rng(0).random((48, 48, 2)))
    np.save(tmp_path / "map.npy", 1 + (np.add.outer(np.arange(48), np.arange(48)) // 4 % 2))
    source = Scene(str(tmp_path), cube="cube.npy", map="map.npy", patch=5, block=12)
    assert not any("warning" in n for n in prepared(source, by="block", column="split").notes)
    assert not any("warning" in n for n in prepared(source, by=None, column="split").notes)
    assert any("data.split.by=block keeps them apart" in n for n in prepared(source, by=None, stratify=None).notes)
