import random
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from multimodal_lab.evaluate import thumbnails
from multimodal_lab.evaluate.embeddings import Embeddings, embed, embed_batches
from multimodal_lab.types import Band, Batch, Features, Stream

N = 10


class Toy(nn.Module):
    """Pools pixels, draws random numbers as a careless module would, and projects rgb alone."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.frozen = nn.BatchNorm1d(4).eval()

    def encode(self, batch):
        torch.rand(1), np.random.rand(), random.random()
        assert not self.training
        assert not torch.is_grad_enabled()
        features = {}
        for name, x in batch.inputs.items():
            pooled = self.frozen(self.layer(x.mean((2, 3))[:, [0, 1, -1]]))
            features[name] = Features.from_vector(pooled).keep(batch.present[name])
        return features, {"label": torch.zeros(1), "space": {"rgb": features["rgb"].pooled[:, :2] + 1}}


class Data:
    ids = np.arange(N) * 1000 - 7
    samples = pd.DataFrame({"id": [f"bird/{i}.tif" for i in range(N)]})
    splits: ClassVar = {"train": np.arange(6), "test": np.arange(6, N)}

    def __init__(self):
        rgb, uv = (tuple(Band(b) for b in names) for names in (("B", "X", "G", "R"), ("u1", "u2")))
        self.streams = {"rgb": Stream("rgb", bands=rgb), "uv": Stream("uv", bands=uv)}
        self.classes = {"species": ["robin", "wren", "lark"]}
        g = torch.Generator().manual_seed(0)
        self.rgb, self.uv = torch.rand(N, 4, 60, 60, generator=g), torch.rand(N, 2, 60, 60, generator=g)
        self.seen = torch.rand(N, generator=g) > 0.3
        self.targets = {
            "species": torch.tensor([0, 1, 2, -1, 0, 1, 2, 0, 1, 2]),
            "mass": torch.rand(N, generator=g).masked_fill(torch.arange(N) == 2, torch.nan),
            "traits": torch.randint(2, (N, 3), generator=g),
        }

    def batches(self, split, *, epoch, shuffle, drop_last):
        assert (epoch, shuffle, drop_last) == (0, False, False)
        for rows in {"train": [[0, 1, 2, 3], [4, 5]], "test": [[6, 7, 8], [9]]}[split]:
            yield Batch(
                {"rgb": self.rgb[rows], "uv": self.uv[rows]},
                {k: v[rows] for k, v in self.targets.items()},
                {"rgb": torch.ones(len(rows), dtype=torch.bool), "uv": self.seen[rows]},
                torch.as_tensor(self.ids[rows]),
                torch.tensor(rows) // 2,
            )


@pytest.fixture
def data():
    return Data()


def test_rows_names_truth_and_spaces(data):
    e = embed(Toy(), data, "cpu", ("train", "test"))
    assert e.ids == [f"bird/{i}.tif" for i in range(N)]
    assert e.split.tolist() == ["train"] * 6 + ["test"] * 4
    assert {k: v.shape for k, v in e.vectors.items()} == {"rgb": (N, 4), "uv": (N, 4)}
    assert e.vectors["rgb"].dtype == np.float32
    np.testing.assert_array_equal(e.present["uv"], data.seen)
    np.testing.assert_array_equal(e.vectors["uv"][~e.present["uv"]], 0)
    np.testing.assert_array_equal(e.groups, np.arange(N) // 2)
    np.testing.assert_allclose(e.projected["rgb"], e.vectors["rgb"][:, :2] + 1)
    assert e.space("uv", projection=True) is e.vectors["uv"]
    test = e.select("test")
    assert test.ids == e.ids[6:]
    np.testing.assert_array_equal(test.targets["species"], [2, 0, 1, 2])
    with pytest.raises(ValueError, match="no sample is in split 'val'; there are test, train"):
        e.select("val")


def test_unit_vectors_if_asked_but_missing_stays_zero(data):
    e = embed(Toy(), data, "cpu", ("train",), normalise=True)
    np.testing.assert_allclose(np.linalg.norm(e.vectors["uv"], axis=1), e.present["uv"], atol=1e-6)


def test_leaves_modes_gradients_and_random_state_as_found(data):
    system = Toy().train()
    system.frozen.eval()
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    embed(system, data, "cpu", ("train",))
    assert system.training
    assert not system.frozen.training
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_modes_come_back_after_an_error(data):
    system = Toy()
    pairs = (("train", batch) for batch in data.batches("train", epoch=0, shuffle=False, drop_last=False))
    with pytest.raises(KeyError):
        embed_batches(system, pairs, names={}, classes={})
    assert system.training


def test_not_finite_names_stream_and_sample(data):
    data.rgb[7] = torch.inf
    with pytest.raises(ValueError, match=r"1 of 10 embeddings of rgb are not finite \(first: bird/7.tif\)"):
        embed(Toy(), data, "cpu", ("train", "test"))


def test_nothing_to_embed():
    with pytest.raises(ValueError, match="no batch"):
        embed_batches(SimpleNamespace(), [], names={}, classes={})


def test_saved_and_loaded_are_equal(data, tmp_path):
    e = embed(Toy(), data, "cpu", ("train", "test"))
    paths = e.save(tmp_path)
    assert {p.name for p in paths} == {f"{n}.{x}" for n in ("rgb", "uv", "rgb.projection") for x in ("csv", "parquet")}
    back = Embeddings.load(tmp_path)
    assert (back.ids, back.classes, list(back.vectors)) == (e.ids, e.classes, list(e.vectors))
    for field in ("vectors", "present", "targets", "projected"):
        ours, theirs = getattr(e, field), getattr(back, field)
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            np.testing.assert_array_equal(theirs[key], value)
            assert theirs[key].dtype == value.dtype
    np.testing.assert_array_equal(back.groups, e.groups)
    np.testing.assert_array_equal(back.split, e.split)


def test_files_speak_plainly(data, tmp_path):
    e = embed(Toy(), data, "cpu", ("train", "test"))
    e.save(tmp_path)
    table = pd.read_parquet(tmp_path / "uv.parquet")
    assert list(table.columns) == [
        "id", "split", "group", "present", "label.species", "label.mass", "label.traits", "x1", "x2", "x3", "x4",
    ]  # fmt: skip
    assert table["label.species"].tolist()[:3] == ["robin", "wren", "lark"]
    assert pd.isna(table["label.species"][3])
    assert table["x1"].isna().tolist() == (~e.present["uv"]).tolist()
    csv = pd.read_csv(tmp_path / "uv.csv")
    assert list(csv.columns) == ["filename", "x1", "x2", "x3", "x4"]
    values = csv.filter(like="x").to_numpy(np.float32)
    np.testing.assert_array_equal(values[e.present["uv"]], e.vectors["uv"][e.present["uv"]])
    assert np.isnan(values[~e.present["uv"]]).all()


def test_foreign_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no embeddings"):
        Embeddings.load(tmp_path)
    pd.DataFrame({"x1": [1.0]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a.parquet was not written by this project"):
        Embeddings.load(tmp_path)


def test_thumbnails_take_bands_by_name_and_keep_rows(data, tmp_path):
    data.rgb[:] = 0
    data.rgb[:, 3] = torch.linspace(0, 1, N)[:, None, None]  # R stands last
    embed(Toy(), data, "cpu", ("train", "test"), thumbnails=tmp_path / "t.npz")
    rows, pictures = thumbnails.load(tmp_path / "t.npz")
    assert rows.tolist() == list(range(N))
    assert pictures["rgb"].shape == (N, 48, 48, 3)
    assert pictures["rgb"].dtype == np.uint8
    assert (np.diff(pictures["rgb"][:, 0, 0, 0].astype(int)) > 0).all()
    assert pictures["rgb"][..., 1:].max() == 0
    uv = pictures["uv"]
    np.testing.assert_array_equal(uv[..., 1], uv[..., 2])  # two bands: the second is green and blue
    assert (uv[~data.seen.numpy()] == 0).all()


def test_thumbnails_are_bounded_per_split(data, tmp_path):
    small = thumbnails.Thumbnails(data.streams, size=8, limit=3)
    for split in ("train", "test"):
        for batch in data.batches(split, epoch=0, shuffle=False, drop_last=False):
            small.add(split, batch)
    small.save(tmp_path / "t.npz")
    rows, pictures = thumbnails.load(tmp_path / "t.npz")
    assert rows.tolist() == [0, 1, 2, 6, 7, 8]
    assert len(pictures["uv"]) == 6


def test_a_recording_is_shown_as_lines_and_a_video_by_four_frames(tmp_path):
    bands = tuple(Band(b) for b in "RGB")
    facts = {"mean": (1.0, 1.0, 1.0), "std": (1.0, 1.0, 1.0), "steps": 6}
    streams = {"acc": Stream("acc", "vector", bands, **facts), "clip": Stream("clip", "image", bands, 8, **facts)}
    valid = torch.arange(6) < torch.tensor([[6], [3]])
    clip = torch.arange(6.0).view(1, 1, 6, 1, 1).expand(2, 3, 6, 8, 8).contiguous()
    inputs = {"acc": torch.stack([torch.linspace(-1, 3, 6).expand(3, 6)] * 2), "clip": clip}
    there, ids = torch.tensor([True, True]), torch.arange(2)
    small = thumbnails.Thumbnails(streams, size=64, limit=2)
    small.add("test", Batch(inputs, {}, dict.fromkeys(streams, there), ids, ids, valid=dict.fromkeys(streams, valid)))
    small.save(tmp_path / "t.npz")
    _, pictures = thumbnails.load(tmp_path / "t.npz")
    drawn = pictures["acc"].any(3)
    assert drawn[0].any(0).all()  # a value in every column
    assert drawn[1, :, :30].any(0).all()
    assert not drawn[1, :, 36:].any()  # nothing was recorded there
    rise = drawn[0].argmax(0)
    assert (np.diff(rise.astype(int)) <= 0).all()
    assert rise[0] > 40 > 20 > rise[-1]
    assert pictures["clip"].shape == (2, 128, 128, 3)
    corners = (
        pictures["clip"][:, ::127, ::127, 0].reshape(2, 4).astype(float)
    )  # of six frames 0, 2, 3, 5; of three 0, 1, 1, 2
    np.testing.assert_allclose(corners, np.array([[0, 2, 3, 5], [0, 1, 1, 2]]) * 255 / 5, atol=2)
