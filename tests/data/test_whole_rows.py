"""Many rows of vectors read at once are the rows read one by one, to the last bit."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, probe, writer
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.joined import Joined
from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams import scaling, whole_rows

A, B = [f"a{i}" for i in range(5)], [f"b{i}" for i in range(3)]
TWO = {"a": {"kind": "vector", "bands": "a*"}, "b": {"kind": "vector", "bands": ["b2", "b0"]}}


def stored_again(folder: Path, **changes: Any) -> Hdf5:
    return Hdf5(str(folder), datasets={"a": A, "b": B}, axes="nc", card=card([*A, *B], **changes))


def stored(folder: Path, rows: int = 90, dtype: str = "float32") -> Hdf5:
    rng = np.random.default_rng(0)
    with h5py.File(folder / "x.h5", "w") as file:
        for name, bands in (("a", A), ("b", B)):
            file[name] = (rng.normal(size=(rows, len(bands))) * 100).astype(dtype)
    return stored_again(folder)


def prepared(source: Any, policy: Any, modality: dict[str, Any] = TWO, **changes: Any) -> Prepared:
    return Data(source, scaling=policy, split=Split(), labels=[], **changes).prepare(modality, 0)


def one_by_one(source: Hdf5) -> Hdf5:
    source.read_rows = lambda *_: None  # type: ignore[method-assign]
    return source


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint16"])
@pytest.mark.parametrize(
    "policy", [scaling.NoScaling(), scaling.DtypeMax(), scaling.FixedRange(low=-3.0), scaling.Percentile(),
               scaling.DatasetStats(), scaling.PerImageMinMax()]
)  # fmt: skip
def test_to_the_bits_of_each_row_alone(tmp_path: Path, dtype: str, policy: Any) -> None:
    source = stored(tmp_path, dtype=dtype)
    at_once = prepared(source, policy)
    rows = np.array([7, 3, 4, 89, 5, 3])
    assert whole_rows.possible(at_once.reader) == (not isinstance(policy, scaling.PerImageMinMax))
    found, all_found = at_once.batch(rows), list(at_once.batches("all", epoch=1, shuffle=True))
    single = prepared(one_by_one(source), policy)
    assert at_once.record()["streams"] == single.record()["streams"]
    for one, other in [(found, single.batch(rows)), *zip(all_found, single.batches("all", epoch=1, shuffle=True))]:
        for name in TWO:
            assert torch.equal(one.inputs[name], other.inputs[name])
            assert one.present[name].all()


def test_in_any_order_from_runs_or_from_one_span(tmp_path: Path) -> None:
    source = stored(tmp_path)
    streams = [p.stored for p in prepared(source, scaling.NoScaling()).reader.plans.values()]
    for rows in ([0, 1, 2], [2, 0, 1], [80, 3, 4, 50, 4], [9], [1, 3, 5, 7]):
        found = source.read_rows(np.array(rows), streams)
        assert found is not None
        for i, row in enumerate(rows):
            alone = source.read(row, streams)
            assert all(np.array_equal(found.inputs[n][i], alone.inputs[n]) for n in TWO)
            assert all(found.full_scale[n] == alone.scale(n) for n in TWO)


def tabled(folder: Path, rows: int = 40) -> Table:
    rng = np.random.default_rng(1)
    made = pd.DataFrame(rng.normal(size=(rows, 5)), columns=[f"c{i}" for i in range(5)]).assign(
        name=[f"r{i}" for i in range(rows)]
    )
    made.to_parquet(folder / "x.parquet")
    return Table(str(folder), file="x.parquet", pattern=r"c\d", id="name")


def packed(source: Any, folder: Path) -> Packed:
    plan = writer.begin(source, probe.probe(source), folder, {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "2:mark", {}, {}, "report")
    return Packed(str(folder))


@pytest.mark.parametrize("kind", ["table", "packed", "packed of two types", "joined"])
def test_other_sources_give_many_rows_as_they_give_each(tmp_path: Path, kind: str) -> None:
    modality: dict[str, Any] = {
        "x": {"kind": "vector", "bands": ["c3", "c1"]},
        "y": {"kind": "vector", "bands": ["c0", "c1"]},
    }
    if kind == "packed of two types":
        with h5py.File(tmp_path / "x.h5", "w") as file:
            for name, dtype in (("a", "float32"), ("b", "uint16")):
                file[name] = np.arange(40 * len({"a": A, "b": B}[name])).reshape(40, -1).astype(dtype)
        source: Any = packed(stored_again(tmp_path), tmp_path / "store")
        modality = TWO
    else:
        source = tabled(tmp_path)
        source = packed(source, tmp_path / "store") if kind == "packed" else source
    if kind == "joined":
        (tmp_path / "other").mkdir()
        fewer = tabled(tmp_path / "other", 30)
        source = Joined({"one": source, "two": fewer}, root=str(tmp_path))
        modality = {"x": {**modality["x"], "field": "one"}, "y": {**modality["y"], "field": "two"}}
    rows = np.array([7, 3, 4, 29, 5, 3])
    streams = [p.stored for p in prepared(source, scaling.NoScaling(), modality).reader.plans.values()]
    found = source.read_rows(rows, streams)
    assert found is not None
    for i, row in enumerate(rows):
        alone = source.read(row, streams)
        for name in modality:
            assert np.array_equal(found.inputs[name][i], alone.inputs[name])
            assert found.inputs[name].dtype == alone.inputs[name].dtype
            assert found.full_scale[name] == alone.scale(name)
    if kind == "joined":
        assert source.read_rows(np.array([3, 35]), streams) is None  # the second has no such row


def test_a_damaged_record_is_named_as_when_it_is_read_alone(tmp_path: Path) -> None:
    source = packed(tabled(tmp_path), tmp_path / "store")
    at = int(source.index["offset"][9])
    with source._file(9)[1].open("r+b") as file:
        file.seek(at)
        file.write(b"\xff")
    with pytest.raises(DataError, match=r"sample 'r9'.*damaged"):
        prepared(Packed(str(tmp_path / "store")), scaling.NoScaling(), {"x": {"kind": "vector", "bands": "all"}})


def test_a_bad_row_is_named_as_when_it_is_read_alone(tmp_path: Path) -> None:
    source = stored(tmp_path)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["b"][int(prepared(source, scaling.NoScaling(), verify="headers").splits["test"][3]), 2] = np.nan
    with pytest.raises(DataError, match=r"sample '\d+'.*NaN or infinite values in band b2 of stream b"):
        prepared(stored_again(tmp_path), scaling.NoScaling())
    held = prepared(stored_again(tmp_path), scaling.NoScaling(), verify="headers")
    with pytest.raises(DataError, match="band b2 of stream b"):
        list(held.batches("test"))


def test_what_needs_a_look_of_its_own_is_read_one_by_one(tmp_path: Path) -> None:
    stored(tmp_path)
    declared = stored_again(tmp_path, nodata=-1e9)
    assert declared.read_rows(np.arange(3), []) is None
    across = {"both": {"kind": "vector", "bands": ["a1", "b0"]}}
    batch = prepared(stored_again(tmp_path), scaling.NoScaling(), across).batch(np.arange(3))
    assert batch.inputs["both"].shape == (3, 2)
    components = {"a": {"kind": "vector", "bands": "a*", "pca": 2}}
    assert not whole_rows.possible(prepared(stored_again(tmp_path), scaling.NoScaling(), components).reader)
