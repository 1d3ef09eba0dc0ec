"""The last pass of a large run: all rows are saved, evaluators see some, heads are scored on all."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.evaluate import judged, parquet
from multimodal_lab.evaluate.embed_config import EmbedConfig
from multimodal_lab.evaluate.embeddings import Embeddings, embed
from multimodal_lab.evaluate.head import Head
from multimodal_lab.evaluate.knn import KNN
from multimodal_lab.evaluate.probe import Probe
from multimodal_lab.experiment.evaluate import evaluate
from multimodal_lab.types import Batch, Features

SIZES = {"train": 90, "val": 7, "test": 40}
CPU = torch.device("cpu")


class Data:
    """137 rows of two streams, b missing in every fifth row, in batches of 16."""

    streams: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        total = sum(SIZES.values())
        rng = np.random.default_rng(0)
        self.label = rng.integers(0, 3, total)
        self.x = {n: torch.tensor(rng.normal(size=(total, 4)) + self.label[:, None], dtype=torch.float32) for n in "ab"}
        self.ids = np.arange(total) * 7
        self.samples = pd.DataFrame({"id": [f"s{i}" for i in range(total)]})
        rows = np.random.default_rng(1).permutation(total)
        ends = np.cumsum([0, *SIZES.values()])
        self.splits = {n: np.sort(rows[a:b]) for n, a, b in zip(SIZES, ends, ends[1:])}
        self.classes = {"label": ["x", "y", "z"]}

    def batches(self, split: str, **_: Any) -> Any:
        for rows in np.split(self.splits[split], range(16, len(self.splits[split]), 16)):
            present = {"a": torch.ones(len(rows), dtype=torch.bool), "b": torch.tensor(rows % 5 > 0)}
            yield Batch(
                inputs={n: x[rows] for n, x in self.x.items()}, targets={"label": torch.tensor(self.label[rows])},
                present=present, ids=torch.tensor(self.ids[rows]), groups=torch.tensor(rows),
            )  # fmt: skip


class System:
    """Says what it is given, and by its head the label of its first stream."""

    labels: ClassVar = {"classifier": "label"}
    heads: ClassVar = {"classifier": SimpleNamespace(input="a")}

    def encode(self, batch: Batch) -> tuple[dict[str, Features], dict[str, Any]]:
        features = {
            n: Features(x[:, None], torch.where(batch.present[n][:, None], x, 0), batch.present[n][:, None])
            for n, x in batch.inputs.items()
        }
        return features, {
            "projection": {n: 2 * f.pooled for n, f in features.items()},
            "classifier": batch.inputs["a"][:, :3],
        }


def saved(folder: Path, **changes: Any) -> judged.Judged:
    return judged.embed_and_save(System(), Data(), CPU, list(SIZES), folder, EmbedConfig(**changes), heads=())  # type: ignore[arg-type]


def same(one: Embeddings, two: Embeddings) -> bool:
    arrays = [(e.vectors, e.present, e.targets, e.projected) for e in (one, two)]
    equal = all(np.array_equal(a[n], b[n]) for a, b in zip(*arrays, strict=True) for n in a)
    return equal and one.ids == two.ids and one.split.tolist() == two.split.tolist()


@pytest.mark.parametrize("chunk", [1, 40, 1000])
def test_all_rows_are_saved_and_some_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(judged, "CHUNK", chunk)
    whole, some = saved(tmp_path / "whole"), saved(tmp_path / "some", limit=20)
    assert same(Embeddings.load(tmp_path / "whole"), Embeddings.load(tmp_path / "some"))
    assert {n: len(some.seen.select(n)) for n in SIZES} == {"train": 20, "val": 7, "test": 20}
    evenly = np.linspace(0, 89, 20).round().astype(int)
    assert some.seen.select("train").ids == [whole.seen.select("train").ids[i] for i in evenly]
    at = np.concatenate([evenly, 90 + np.arange(7), 97 + np.linspace(0, 39, 20).round().astype(int)])
    assert same(some.seen, whole.seen.rows(at))
    assert not some.whole.vectors
    assert np.array_equal(some.whole.said["classifier"].values, whole.whole.said["classifier"].values)
    assert some.counts() == {
        "embed/train/n": 90, "embed/train/n_seen": 20, "embed/test/n": 40, "embed/test/n_seen": 20
    }  # fmt: skip
    assert whole.counts() == {}
    assert whole.seen is whole.whole


def test_what_is_saved_at_once_has_the_bytes_of_what_is_saved_as_it_comes(tmp_path: Path) -> None:
    saved(tmp_path / "whole")
    saved(tmp_path / "some", limit=20)
    names = sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert names == sorted(f"{n}.{f}" for n in ("a", "b", "a.projection", "b.projection") for f in ("csv", "parquet"))
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "some" / name).read_bytes()


def test_some_rows_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged, "CHUNK", 30)
    saved(tmp_path, limit=20)
    at = np.array([0, 29, 40, 136])
    assert same(Embeddings.load(tmp_path, at), Embeddings.load(tmp_path).rows(at))
    assert len(parquet.read(tmp_path / "a.parquet", np.zeros(0, dtype=np.int64)).ids) == 0


def test_arrays_with_their_rows_beside_them(tmp_path: Path) -> None:
    found = saved(tmp_path, formats=["npy"], limit=20)
    whole = embed(System(), Data(), CPU, list(SIZES))  # type: ignore[arg-type]
    assert np.array_equal(np.load(tmp_path / "b.npy", mmap_mode="r"), whole.vectors["b"])
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert rows.id.tolist() == whole.ids == found.whole.ids
    assert rows.split.tolist() == whole.split.tolist()
    assert not list(tmp_path.glob("*.parquet"))


def test_an_error_on_the_way_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged, "CHUNK", 16)
    data = Data()
    data.x["b"][data.splits["test"][30]] = torch.nan
    data.x["b"][data.splits["test"][30] // 5 * 5 + 1] = torch.nan
    with pytest.raises(ValueError, match="embeddings of b are not finite"):
        judged.embed_and_save(System(), data, CPU, list(SIZES), tmp_path, EmbedConfig(limit=20))  # type: ignore[arg-type]
    assert not [*tmp_path.iterdir()]


def test_predictions_name_the_rows_that_were_seen(tmp_path: Path) -> None:
    probe, scores = Probe(), {}
    data = Data()
    for name, limit in (("some", 20), ("all", None)):
        found = evaluate(System(), data, {"head": Head(), "probe": probe, "knn": KNN()}, CPU, tmp_path / name,
                         pictures=False, config=EmbedConfig(limit=limit))  # type: ignore[arg-type]  # fmt: skip
        table = pd.read_parquet(tmp_path / name / "predictions.parquet")
        scores[name] = (
            found,
            {
                e: own.set_index("id")
                for e, own in table[table.stream.isin(["a", "classifier"])].groupby("evaluator", observed=True)
            },
        )
    some, every = scores["some"][1], scores["all"][1]
    assert len(some["head"]) == len(every["head"]) == 40
    assert len(some["probe"]) == 20
    assert (some["probe"].truth.astype(str) == every["probe"].truth.astype(str)[some["probe"].index]).all()
    first, second = (scores[k][0] for k in ("some", "all"))
    assert first["head/classifier/label/accuracy"] == second["head/classifier/label/accuracy"]
    assert (first["knn/a/label/n"], first["knn/a/label/n_train"]) == (20, 20)
    assert (first["embed/test/n"], first["embed/test/n_seen"]) == (40, 20)
    assert not [k for k in second if k.startswith("embed/")]


def test_without_train_what_is_fitted_to_it_is_skipped(tmp_path: Path) -> None:
    found = evaluate(
        System(), Data(), {"knn": KNN()}, CPU, tmp_path, pictures=False, config=EmbedConfig(splits=["test"])
    )  # type: ignore[arg-type]
    assert found["knn/a/label/skipped/fewer_than_two_training_classes"] == 1
    assert set(parquet.splits(tmp_path / "embeddings/a.parquet")) == {"test"}


def test_what_is_left_out_is_said() -> None:
    sizes = {"train": 400_000, "val": 40_000, "test": 110_000}
    one, two = EmbedConfig().notes(sizes, "test")
    assert one == (
        "embed.limit: evaluators see 50000 of 400000 train, 50000 of 110000 test samples, evenly spaced; heads are scored on all"
    )
    assert two == "embed.formats: no CSV of 550000 rows, more than 50000; embed.formats=[parquet,csv] writes it"
    assert EmbedConfig().notes({"train": 300, "test": 100}, "test") == []
    assert EmbedConfig().written(50_000) == ["parquet", "csv"]
    assert EmbedConfig().written(50_001) == ["parquet"]
    assert EmbedConfig(splits=["test"]).notes(sizes, "test")[-1].startswith("embed.splits: without train")
    assert EmbedConfig().embedded(sizes, "val") == ["train", "val"]
    with pytest.raises(
        ValueError, match=r"embed\.splits: there is no split 'tset' to embed; there are train, val, test"
    ):
        EmbedConfig(splits=["tset"]).embedded(sizes, "test")
    with pytest.raises(ValueError, match=r"embed\.splits: test is not among them, which is to be scored"):
        EmbedConfig(splits=["train"]).embedded(sizes, "test")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("embed.formats=[npy]", r"figures pca, similarity read embeddings as parquet"),
        ("embed.formats=[parqet]", r"expected one of parquet, csv, npy .*parquet"),
        ("embed.limit=0", r"embed\.limit=0: expected an integer"),
        ("embed.split=[test]", r"no such key.*splits"),
    ],
)
def test_a_wrong_key_is_refused(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_command([word])
