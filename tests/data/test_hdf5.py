import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Stream

S2 = ["B02", "B03", "B04"]
S1 = ["VV", "VH"]
BOTH = card([*S2, *S1])
REAL = Path(__file__).parents[3] / "shared/data/open/eo_samples"


def write(path: Path, rows: int = 4, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    s2 = rng.integers(0, 10000, (rows, 3, 6, 6)).astype(np.uint16)
    s1 = rng.normal(-15, 3, (rows, 2, 6, 6)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.create_dataset("s2", data=s2, **options)
        file.create_dataset("deep/er/s1", data=s1, **options)
        file["place"] = [f"p{i}" for i in range(rows)]
        file["year"] = np.arange(rows)
    return s2, s1


def opened(root: Path, **changes: Any) -> Hdf5:
    return Hdf5(str(root), **{"datasets": {"s2": S2, "deep/er/s1": S1}, "card": BOTH, **changes})


def stream(source: Hdf5, *names: str) -> Stream:
    named = {b.name: b for b in source.bands}
    return Stream("-".join(names), bands=tuple(named[n] for n in names))


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (1, 1, 3, 3), "compression": "gzip", "shuffle": True}, {"compression": "lzf"}]
)
def test_streams_cut_across_data_sets(tmp_path: Path, options: dict[str, Any]) -> None:
    s2, s1 = write(tmp_path / "a.h5", **options)
    source = opened(tmp_path, columns={"place": "place", "year": "year"})
    mixed, rgb = stream(source, "VH", "B02", "VV"), stream(source, "B04", "B02")
    raw = source.read(2, [mixed, rgb])
    assert np.array_equal(raw.inputs["VH-B02-VV"], np.stack([s1[2, 1], s2[2, 0].astype(np.float32), s1[2, 0]]))
    assert np.array_equal(raw.inputs["B04-B02"], s2[2][[2, 0]])
    assert raw.inputs["B04-B02"].dtype == np.uint16
    assert source.samples.id.tolist() == ["0", "1", "2", "3"]
    assert source.samples.place.tolist() == ["p0", "p1", "p2", "p3"]
    assert [raw.scale(name) for name in ("VH-B02-VV", "B04-B02")] == [1, 65535]


def test_each_stream_is_scaled_by_its_own_type(tmp_path: Path) -> None:
    s2, s1 = write(tmp_path / "a.h5", 12)
    data = Data(opened(tmp_path), scaling=DtypeMax(), split=Split(), labels=[])
    prepared = data.prepare({n: {"kind": "image", "bands": bands} for n, bands in (("s2", S2), ("s1", S1))}, 0)
    inputs = prepared.batch(np.arange(12)).inputs
    assert np.allclose(inputs["s2"], s2 / 65535)
    assert np.allclose(inputs["s1"], s1)
    assert prepared.record()["streams"]["s2"]["layout"]["full_scale"] == 65535


def test_many_files(tmp_path: Path) -> None:
    first, _ = write(tmp_path / "a.h5", 2)
    second, _ = write(tmp_path / "b.hdf5", 3)
    source = opened(tmp_path)
    assert source.samples.id.tolist() == ["a.h5:0", "a.h5:1", "b.hdf5:0", "b.hdf5:1", "b.hdf5:2"]
    rgb = stream(source, *S2)
    assert np.array_equal(source.read(1, [rgb]).inputs[rgb.name], first[1])
    assert np.array_equal(source.read(4, [rgb]).inputs[rgb.name], second[2])


@pytest.mark.parametrize("axes", ["chw", "hwc"])
def test_crops_of_one_cube(tmp_path: Path, axes: str) -> None:
    cube = np.random.default_rng(0).random((5, 10, 13)).astype(np.float32)
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        file.create_dataset("x", data=cube if axes == "chw" else cube.transpose(1, 2, 0), chunks=True)
    names = list("abcde")
    source = Hdf5(str(tmp_path), datasets={"x": names}, card=card(names), axes=axes, crop=4, stride=3)
    assert source.samples[["top", "left"]].to_numpy().tolist() == [[t, x] for t in (0, 3, 6) for x in (0, 3, 6, 9)]
    assert source.samples.id.tolist()[5] == "3_3"
    for index, (top, left) in enumerate(source.samples[["top", "left"]].to_numpy()):
        raw = source.read(index, [stream(source, "e", "a")])
        assert np.array_equal(raw.inputs["e-a"], cube[[4, 0], top : top + 4, left : left + 4])
    with pytest.raises(DataError, match=r"crop: axes=.* needs a crop size"):
        Hdf5(str(tmp_path), datasets={"x": names}, card=card(names), axes=axes)
    with pytest.raises(DataError, match=r"cube\.h5: 10 x 13 pixels, smaller than data\.source\.crop 11"):
        Hdf5(str(tmp_path), datasets={"x": names}, card=card(names), axes=axes, crop=11)


def test_channels_last_and_vectors(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((3, 6, 7, 2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = x
        file["v"] = x[:, 0, 0]
    last = Hdf5(str(tmp_path), datasets={"x": ["p", "q"]}, card=card(["p", "q"]), axes="nhwc")
    assert np.array_equal(last.read(1, [stream(last, "q")]).inputs["q"], x[1, :, :, 1][None])
    flat = Hdf5(str(tmp_path), datasets={"v": ["p", "q"]}, card=card(["p", "q"]), axes="nc")
    vector = Stream("v", "vector", tuple(flat.bands[::-1]))
    assert np.array_equal(flat.read(2, [vector]).inputs["v"], x[2, 0, 0, ::-1])
    with pytest.raises(DataError, match=r"holds vector streams, not image"):
        flat.read(0, [stream(flat, "q")])


def test_no_handle_is_open_before_reading_or_sent_to_another_process(tmp_path: Path) -> None:
    s2, _ = write(tmp_path / "a.h5")
    source = opened(tmp_path)
    assert not source._open
    rgb = stream(source, *S2)
    source.read(0, [rgb])
    sent = pickle.loads(pickle.dumps(source))
    assert not sent._open
    assert np.array_equal(sent.read(3, [rgb]).inputs[rgb.name], s2[3])


def outside(tmp_path: Path) -> Path:
    secret = tmp_path / "elsewhere" / "secret.bin"
    secret.parent.mkdir()
    with h5py.File(secret, "w") as file:
        file["x"] = np.ones((2, 3, 6, 6), np.float32)
    (tmp_path / "data").mkdir()
    return secret


@pytest.mark.parametrize("depth", [0, 3])
@pytest.mark.parametrize(
    "kind", ["external link", "soft link", "external storage", "virtual data set", "soft to external"]
)
def test_nothing_outside_the_file_is_read(tmp_path: Path, kind: str, depth: int) -> None:
    secret = outside(tmp_path)
    where = "/".join([f"g{i}" for i in range(depth)] + ["x"])
    with h5py.File(tmp_path / "data/a.h5", "w") as file:
        group = file.require_group(where.rpartition("/")[0] or "/")
        if kind == "external link":
            group["x"] = h5py.ExternalLink(str(secret), "/x")
        elif kind == "soft link":
            group["x"] = h5py.SoftLink("/not/there")
        elif kind == "soft to external":
            file["out"] = h5py.ExternalLink(str(secret), "/")
            group["x"] = h5py.SoftLink("/out/x")
        elif kind == "external storage":
            group.create_dataset("x", (2, 3, 6, 6), "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        else:
            layout = h5py.VirtualLayout((2, 3, 6, 6), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "x", (2, 3, 6, 6))
            group.create_virtual_dataset("x", layout)
    expected = {
        "external link": "is an external link",
        "soft to external": "is an external link",
        "soft link": "no data set",
        "external storage": "external storage",
        "virtual data set": "virtual data set",
    }[kind]
    with pytest.raises(DataError, match=rf"a\.h5: .*{expected}"):
        Hdf5(str(tmp_path / "data"), datasets={where: S2}, card=card(S2))


def test_a_soft_link_inside_the_file_is_followed_and_a_loop_is_not(tmp_path: Path) -> None:
    s2, _ = write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["deep/link"] = h5py.SoftLink("/s2")
        file["loop"] = h5py.SoftLink("/loop")
    source = Hdf5(str(tmp_path), datasets={"deep/link": S2}, card=card(S2))
    assert np.array_equal(source.read(0, [stream(source, *S2)]).inputs["-".join(S2)], s2[0])
    with pytest.raises(DataError, match="never ends"):
        Hdf5(str(tmp_path), datasets={"loop": S2}, card=card(S2))


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file that ends in \.h5, \.hdf5"):
        opened(tmp_path)
    write(tmp_path / "a.h5")
    with pytest.raises(DataError, match=r"a\.h5: no data set 'deep/s1'; /deep holds er"):
        opened(tmp_path, datasets={"s2": S2, "deep/s1": S1})
    with pytest.raises(DataError, match=r"a\.h5: deep is a group"):
        opened(tmp_path, datasets={"s2": S2, "deep": S1})
    with pytest.raises(DataError, match=r"a\.h5: s2 has 3 bands, expected 2 as in data\.source\.datasets"):
        opened(tmp_path, datasets={"s2": S2[:2]}, card=card(S2[:2]))
    with pytest.raises(DataError, match=r"datasets and data\.source\.card\.bands differ in VH, VV"):
        opened(tmp_path, datasets={"s2": S2})
    with pytest.raises(DataError, match=r"s2 has shape \(4, 3, 6, 6\), expected 2 axes, nc"):
        opened(tmp_path, axes="nc")
    with pytest.raises(DataError, match=r"a\.h5: place holds .*|a\.h5: s2 has shape"):
        opened(tmp_path, columns={"place": "s2"})
    with pytest.raises(DataError, match=r"a\.h5: s2: its header claims 36 pixels, the limit is 35"):
        opened(tmp_path, limits=Limits(pixels=35))
    data = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"a\.h5: not a whole, readable HDF5 file"):
        opened(tmp_path)


def test_rows_that_disagree_and_bombs_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["s2"] = np.zeros((4, 3, 2, 2))
        file["s1"] = np.zeros((5, 2, 2, 2))
    with pytest.raises(DataError, match=r"a\.h5: s1 has shape .*expected that of s2"):
        opened(tmp_path, datasets={"s2": S2, "s1": S1})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("s2", (2**40, 3, 2, 2), "u2", chunks=(1, 3, 2, 2))
    with pytest.raises(DataError, match=r"claims \(1099511627776, 3, 2, 2\) of uint16, .* from 0 stored"):
        Hdf5(str(tmp_path), datasets={"s2": S2}, card=card(S2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("s2", (2, 3, 30000, 30000), "u2", chunks=(1, 3, 10, 10))
    with pytest.raises(DataError, match=r"claims \(2, 3, 30000, 30000\) of uint16"):
        Hdf5(str(tmp_path), datasets={"s2": S2}, card=card(S2))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs eo_samples in ../shared/data")
def test_real_sentinel_tiles() -> None:
    s2 = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
    labels = Labels(table="s1s2_tiles.jsonl", key="i", columns=["scene", "labels"])
    source = Hdf5(
        str(REAL), suffixes=["s1s2_tiles.h5"], datasets={"s2": s2, "s1": S1}, card=card([*s2, *S1]), labels=labels
    )
    assert len(source.samples) == 126
    assert source.samples.scene.nunique() == 8
    assert isinstance(source.samples["labels"].iloc[0], list)
    raw = source.read(70, [stream(source, "B04", "B03", "B02"), stream(source, "B05", "VV", "VH")])
    with h5py.File(REAL / "s1s2_tiles.h5") as file:
        assert np.array_equal(raw.inputs["B04-B03-B02"], file["s2"][70][[3, 2, 1]])
        assert np.array_equal(raw.inputs["B05-VV-VH"][1:], file["s1"][70])
        assert np.array_equal(raw.inputs["B05-VV-VH"][0], file["s2"][70, 4])
