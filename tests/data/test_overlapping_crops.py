"""Crops that share pixels are split by blocks that don't, in every reader that crops."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from multimodal_lab.data.audit.audit import audit
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.crops import blocks
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.scene import Scene
from multimodal_lab.data.readers.tiff import Tiff
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
    starts = tuple(np.arange(0, length - crop + 1, stride) for length in (150, 97))
    axes = blocks(starts, (crop, crop), 20, side)
    for home, own in zip(axes, starts):
        assert len(home) == len(own)
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
    assert any(f"{lone} of {len(data.samples)} cross two" in note for note in data.notes)
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


def picture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (20, 20, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((160, 160), Image.BICUBIC))


def cut(root: Path, name: str, x: np.ndarray, step: int = 16, size: int = 32) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for top in range(0, x.shape[0] - size + 1, step):
        for left in range(0, x.shape[1] - size + 1, step):
            tile = Image.fromarray(np.ascontiguousarray(x[top : top + size, left : left + size]))
            tile.save(root / name.format(top=top, left=left), **({"quality": 92} if name.endswith("jpg") else {}))


@pytest.mark.parametrize(
    "name",
    ["plot7_{top:04d}_{left:04d}.png", "a/plot7_x{left}_y{top}.png", "3_{top}-{left}.png", "plot_{top}_{left}.jpg"],
)
def test_tiles_in_files_are_known_by_name_and_pixels(tmp_path, name):
    (tmp_path / "a").mkdir()
    cut(tmp_path, name, picture())
    source = Images(str(tmp_path))
    data = prepared(source)
    assert data.facts["split"]["by"] == "block"
    lone, homes = data.samples.block.isna().sum(), data.samples.block.nunique()
    assert any(
        note.startswith("tiles cut to files") and f"{homes} blocks share no pixel; {lone} of 81 cross two" in note
        for note in data.notes
    )
    assert 0 < lone < 41
    taken = {}
    for split, rows in data.splits.items():
        for own in data.samples.path.iloc[rows]:
            top, left = next(
                (t, c) for t in range(0, 129, 16) for c in range(0, 129, 16) if own == name.format(top=t, left=c)
            )
            taken.setdefault(split, set()).update((top + y, left + x) for y in range(32) for x in range(32))
    parts = list(taken.values())
    assert len(parts) == 3
    assert not [f for f in audit(data, None, labels=None).findings if f.kind == "shared pixels"]
    torn = next(f for f in audit(prepared(source, by=None), None, labels=None).findings if f.kind == "shared pixels")
    assert "data.split.by=block" in torn.sentence
    assert not any(a & b for i, a in enumerate(parts) for b in parts[:i])


def test_tiles_that_touch_and_numbers_that_mean_something_else_are_no_overlap(tmp_path):
    cut(tmp_path / "touch", "plot_{top}_{left}.png", picture(), step=32)
    rng = np.random.default_rng(0)
    (tmp_path / "burst").mkdir()
    for individual in range(3):
        x = picture(individual).astype(int)
        for view in range(0, 8, 2):  # one thing from one place: alike, and more alike without a step
            noisy = (x + rng.integers(0, 3, x.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(tmp_path / "burst" / f"moth_{individual}_{view}.png")
    for folder in ("touch", "burst"):
        source = Images(str(tmp_path / folder))
        assert "block" not in source.samples


def test_tiles_of_several_pictures_beside_a_plain_one(tmp_path):
    for i in range(2):
        cut(tmp_path, f"plot{i}_{{top}}_{{left}}.tif", picture(i))
    Image.fromarray(picture(9)[:32, :32]).save(tmp_path / "overview.tif")
    source = Tiff(str(tmp_path), card=card(["r", "g", "b"]), layout="bands_last")
    assert sorted(source.samples.tiles.unique()) == ["overview", "plot0_", "plot1_"]
    homes = source.samples.set_index("id").block
    assert homes["overview"] == "overview"
    assert homes["plot0_0_0"] == "plot0_:0_0"
    assert homes.dropna().nunique() > 10


def test_a_block_of_ones_own_must_not_be_missing(tmp_path, data):
    from made_source import Made

    source = Made()
    source.samples["block"] = [f"b{i // 2}" for i in range(23)] + [None]
    with pytest.raises(DataError, match="sample 's23' has no block"):
        data(source, split=Split(by="block")).prepare(CUBE, 0)
