"""Many rows of vectors read at once are the rows read one by one, to the last bit."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.hdf5 import Hdf5
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


def prepared(source: Hdf5, policy: Any, modality: dict[str, Any] = TWO, **changes: Any) -> Prepared:
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
