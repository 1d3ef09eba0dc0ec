from itertools import combinations
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from multimodal_lab.data.readers.blocks import Blocks, assign
from multimodal_lab.data.readers.card import card, even_card
from multimodal_lab.data.readers.scene import Scene
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

REAL = Path(__file__).parents[3] / "shared/data/open/indian_pines"
SHARES = {"train": 0.5, "val": 0.2, "test": 0.3}


def made(height: int = 31, width: int = 26, bands: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    cube = rng.integers(0, 9000, (height, width, bands)).astype(np.uint16)
    labels = rng.integers(0, 4, (height, width)).astype(np.uint8)
    return cube, labels


def opened(root: Path, **changes: Any) -> Scene:
    cube, labels = made()
    np.save(root / "cube.npy", cube)
    np.save(root / "map.npy", labels)
    return Scene(str(root), **{"cube": "cube.npy", "map": "map.npy", "patch": 5, "block": 8, **SHARES, **changes})


def touched(source: Scene, split: str) -> np.ndarray:
    """Every pixel that the samples of a split read, marked by where the values really came from."""
    seen = np.zeros(31 * 26, bool)
    every = Stream("every", bands=source.bands)
    for i in np.flatnonzero(source.samples.split == split):
        seen[source.read(int(i), [every]).inputs["every"].ravel()] = True
    return seen


@pytest.mark.parametrize(
    ("edge", "patch"),
    [("reflect", 1), ("reflect", 4), ("reflect", 5), ("reflect", 9), ("drop", 1), ("drop", 4), ("drop", 5)],
)
def test_no_pixel_is_shared_across_splits(tmp_path: Path, edge: str, patch: int) -> None:
    number = np.arange(31 * 26, dtype=np.int32).reshape(31, 26, 1)
    opened(tmp_path)
    np.save(tmp_path / "cube.npy", number)
    source = Scene(str(tmp_path), cube="cube.npy", map="map.npy", patch=patch, block=8, edge=edge, **SHARES)
    seen = {s: touched(source, s) for s in SHARES}
    assert all(s.any() for s in seen.values())
    for a, b in combinations(seen.values(), 2):
        assert not (a & b).any()


def test_patches_are_centred_and_their_label_is_the_centre(tmp_path: Path) -> None:
    cube, labels = made()
    source = opened(tmp_path, names=["one", "two", "three"], label="cover")
    every, two = Stream("every", bands=source.bands), Stream("two", "vector", (source.bands[2], source.bands[0]))
    assert len(source.samples) == (labels > 0).sum()
    for i in range(0, len(source.samples), 7):
        row = source.samples.iloc[i]
        raw = source.read(i, [every, two])
        assert raw.inputs["every"].shape == (4, 5, 5)
        assert np.array_equal(raw.inputs["every"][:, 2, 2], cube[row.row, row.column])
        assert np.array_equal(raw.inputs["two"], cube[row.row, row.column, [2, 0]])
        assert row.cover == ["one", "two", "three"][labels[row.row, row.column] - 1]
        assert row.id == f"{row.row}_{row.column}"
    # Well inside its block a patch is the plain window.
    blocks = Blocks(31, 26, 8)
    inner = blocks.inner(source.samples.row.to_numpy(), source.samples.column.to_numpy(), 5)
    assert inner.any()
    for i in np.flatnonzero(inner):
        r, c = source.samples.row.iloc[i], source.samples.column.iloc[i]
        expected = cube[r - 2 : r + 3, c - 2 : c + 3].transpose(2, 0, 1)
        assert np.array_equal(source.read(int(i), [every]).inputs["every"], expected)


def test_drop_leaves_out_what_would_cross_and_stride_thins(tmp_path: Path) -> None:
    whole = opened(tmp_path)
    dropped = opened(tmp_path, edge="drop")
    assert 0 < len(dropped.samples) < len(whole.samples)
    thin = opened(tmp_path, stride=3)
    assert set(thin.samples.row % 3) == {0}
    assert set(thin.samples.column % 3) == {0}
    with pytest.raises(DataError, match=r"cube\.npy: no labelled pixel is left at patch 9"):
        opened(tmp_path, edge="drop", patch=9)
    with pytest.raises(DataError, match=r"patch: 17 is too large for blocks of 7 pixels, at most 13"):
        opened(tmp_path, patch=17)


def test_blocks_go_whole_to_one_split_by_seed(tmp_path: Path) -> None:
    first, again, other = opened(tmp_path), opened(tmp_path), opened(tmp_path, seed=1)
    assert (first.samples.groupby("block").split.nunique() == 1).all()
    assert first.samples.equals(again.samples)
    assert not first.samples.split.equals(other.samples.split)


@pytest.mark.parametrize("seed", range(5))
def test_every_class_of_three_blocks_is_in_every_split(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = Blocks(60, 60, 6).ids
    classes = np.where(rng.random((60, 60)) < 0.4, 1, 0)
    for k in range(2, 8):  # one clustered class in exactly three blocks each
        for block in rng.choice(np.arange(10 * (k - 2), 10 * (k - 1)), 3, replace=False):
            classes[ids == block] = k
    home = assign(ids, classes, SHARES, seed)
    split = np.vectorize(home.get)(ids)
    for k in range(1, 8):
        assert set(split[classes == k]) == set(SHARES)
    big = classes == 1
    assert [np.mean(split[big] == s) for s in SHARES] == pytest.approx(list(SHARES.values()), abs=0.06)


def test_classes_too_small_are_reported(tmp_path: Path) -> None:
    cube, labels = made()
    labels[labels == 3] = 0
    labels[0, 0] = 3
    np.save(tmp_path / "cube.npy", cube)
    np.save(tmp_path / "map.npy", labels)
    with pytest.warns(UserWarning, match=r"cube\.npy: too small .*: 3 \(not in test, val\)$"):
        Scene(str(tmp_path), cube="cube.npy", map="map.npy", patch=3, block=8, **SHARES)


@pytest.mark.parametrize("kind", ["mat", "npy", "h5", "bil"])
def test_formats(tmp_path: Path, kind: str) -> None:
    cube, labels = made()
    keys: dict[str, str] = {}
    if kind == "mat":
        savemat(tmp_path / "cube.mat", {"cube": cube, "other": labels}, do_compression=True)
        savemat(tmp_path / "map.mat", {"gt": labels})
        keys = {"cube_key": "cube"}
    elif kind == "npy":
        np.save(tmp_path / "cube.npy", cube)
        np.save(tmp_path / "map.npy", labels)
    elif kind == "h5":
        for name, x in (("cube", cube), ("map", labels)):
            with h5py.File(tmp_path / f"{name}.h5", "w") as file:
                file["in/x"] = x
        keys = {"cube_key": "in/x", "map_key": "in/x"}
    else:
        for name, x, code in (("cube", cube, 12), ("map", labels[..., None], 1)):
            lines = f"lines = 31\nsamples = 26\nbands = {x.shape[2]}\ndata type = {code}\n"
            lines += "interleave = bil\nbyte order = 0\n"
            (tmp_path / f"{name}.hdr").write_text(lines)
            (tmp_path / f"{name}.bil").write_bytes(x.transpose(0, 2, 1).tobytes())
    source = Scene(
        str(tmp_path),
        cube=f"cube.{kind}",
        map=f"map.{kind}",
        patch=3,
        block=8,
        card=card(list("abcd")),
        **keys,
        **SHARES,
    )
    row = source.samples.iloc[50]
    raw = source.read(50, [Stream("v", "vector", source.bands), Stream("b", bands=source.bands[1:2])])
    assert np.array_equal(raw.inputs["v"], cube[row.row, row.column])
    assert raw.inputs["b"][0, 1, 1] == cube[row.row, row.column, 1]
    assert raw.full_scale == 65535


def test_bad_input_is_named(tmp_path: Path) -> None:
    cube, labels = made()
    opened(tmp_path)
    np.save(tmp_path / "small.npy", labels[:5])
    with pytest.raises(
        DataError, match=r"small\.npy: a label map of shape \(5, 26\), expected \(31, 26\) as in cube\.npy"
    ):
        opened(tmp_path, map="small.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"objects\.npy: not a whole, readable \.npy file of plain numbers"):
        opened(tmp_path, map="objects.npy")
    with pytest.raises(DataError, match=r"cube\.npy: 4 bands \(hwc\), expected 3 as in the card"):
        opened(tmp_path, card=card(list("abc")))
    with pytest.raises(DataError, match=r"names: 2 names, expected 3"):
        opened(tmp_path, names=["a", "b"])
    with pytest.raises(DataError, match=r"data\.source\.map: no file .*none\.npy"):
        opened(tmp_path, map="none.npy")
    np.save(tmp_path / "zero.npy", labels * 0)
    with pytest.raises(DataError, match=r"zero\.npy: every pixel is 0"):
        opened(tmp_path, map="zero.npy")
    np.save(tmp_path / "half.npy", labels * 0.5)
    with pytest.raises(DataError, match=r"half\.npy: expected whole class numbers"):
        opened(tmp_path, map="half.npy")
    savemat(tmp_path / "two.mat", {"a": cube, "b": cube})
    with pytest.raises(DataError, match=r"two\.mat: no array None; there are a, b"):
        opened(tmp_path, cube="two.mat")
    data = (tmp_path / "two.mat").read_bytes()
    (tmp_path / "two.mat").write_bytes(data[:3000])
    with pytest.raises(DataError, match=r"two\.mat: "):
        opened(tmp_path, cube="two.mat", cube_key="a")
    with pytest.raises(DataError, match=r"train, val and test must add up to 1"):
        opened(tmp_path, train=0.9)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs indian_pines in ../shared/data")
def test_real_indian_pines() -> None:
    skip = [*range(104, 109), *range(150, 164), 220]
    with pytest.warns(UserWarning, match=r"7 \(not in test, val\); 9 \(not in val\)"):
        source = Scene(
            str(REAL),
            cube="Indian_pines_corrected.mat",
            map="Indian_pines_gt.mat",
            card=even_card(count=220, first_nm=400, last_nm=2500, skip=skip),
            block=8,
        )
    assert len(source.samples) == 10249
    assert len(source.bands) == 200
    assert source.bands[103].name == "B109"
    assert source.samples.split.value_counts(normalize=True).to_dict() == pytest.approx(
        {"train": 0.5, "test": 0.4, "val": 0.1}, abs=0.02
    )
    assert source.read(5000, [Stream("x", bands=source.bands[::40])]).inputs["x"].shape == (5, 9, 9)
