"""A packed store of recordings gives what their source gave: lengths, gaps, rates and videos."""

import numpy as np
import pandas as pd
import pytest
import torch
from made_series import Series
from test_packed import pack

from multimodal_lab.data.packed import format as store
from multimodal_lab.data.readers.long_table import LongTable
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.scaling import NoScaling
from multimodal_lab.types import Stream


def gappy(side=0):
    source = Series(side=side)
    source.rates = dict.fromkeys(range(16), 50.0)
    source.arrays[1][:, 2] = np.nan
    source.missing[0] = np.zeros(source.arrays[0].shape, dtype=bool)
    source.missing[0][0, 3] = source.missing[0][1, 3] = True
    return source


@pytest.mark.parametrize("side", [0, 5])
def test_batches_are_those_of_the_source(side, data, tmp_path):
    source = gappy(side)
    packed = pack(source, tmp_path / "store")
    facts = {"s": {"kind": source.kind, "bands": ["y", "x"], "steps": None, "longer": "cut"}}
    plain, again = (data(s, scaling=NoScaling()).prepare(facts, seed=0) for s in (source, packed))
    assert plain.streams == again.streams
    assert again.streams["s"].rate == 50
    a, b = plain.batch(np.arange(16)).named(), again.batch(np.arange(16)).named()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert a["valid.s"][1].tolist()[:6] == [True, True, False, True, True, False]


def test_a_record_tells_its_own_length_and_rate(tmp_path):
    source = gappy()
    source.rates[2] = 25.0
    packed = pack(source, tmp_path / "store")
    stream = Stream("s", "vector", source.bands[1:])
    for i, x in enumerate(source.arrays):
        raw = packed.read(i, [stream])
        np.testing.assert_array_equal(raw.inputs["s"], x[1:])
        assert raw.rates == {"s": source.rates[i]}
    assert packed.read(0, [stream]).missing["s"].tolist() == [[False] * 3 + [True], [False] * 4]


def test_two_rates_in_a_store_are_told_as_in_its_source(data, tmp_path):
    source = gappy()
    source.rates[3] = 25.0
    packed = pack(source, tmp_path / "store")
    with pytest.raises(
        DataError, match=r"'s03': stream s is recorded at 25 Hz, expected 50 Hz as the samples before it"
    ):
        data(packed, scaling=NoScaling()).prepare({"s": {"kind": "vector", "bands": "all", "steps": None}}, seed=0)


@pytest.fixture
def irregular(tmp_path):
    """Two recordings, by two sensors each whose times are irregular."""
    draw = np.random.default_rng(0)
    for name in ("wrist", "chest"):
        parts = []
        for one in "ab":
            t = np.sort(draw.uniform(0, 2, 50))
            more = {"recording": one} | ({"act": f"do {one}"} if name == "wrist" else {})
            parts.append(pd.DataFrame({"time": t, "acc_x": draw.normal(size=50), "acc_y": t, **more}))
        pd.concat(parts).to_csv(tmp_path / f"{name}.csv", index=False)
    files = {name: f"{name}.csv" for name in ("wrist", "chest")}
    return LongTable(str(tmp_path), file=files, pattern="acc_.*", recording=["recording"])


def test_recordings_of_irregular_times_are_packed_at_a_rate(irregular, tmp_path):
    with pytest.raises(DataError, match=r"irregular times; expected one rate .*scripts/pack\.py: rate="):
        pack(irregular, tmp_path / "none")
    packed = pack(irregular, tmp_path / "store", rate=20.0)
    assert packed.samples.act.tolist() == ["do a", "do b"]
    assert packed.field_bands == irregular.field_bands
    for name, bands in irregular.field_bands.items():
        stream = Stream(name, "vector", bands[1:], rate=20.0)
        for i in range(2):
            own, again = irregular.read(i, [stream]), packed.read(i, [stream])
            np.testing.assert_array_equal(again.inputs[name], own.inputs[name])
            assert again.rates == own.rates == {name: 20.0}


def test_a_rate_that_a_reader_does_not_bring_its_files_to_is_refused(tmp_path):
    with pytest.raises(DataError, match="sample 's00': recorded at 50 Hz, which its reader does not bring to rate=20"):
        pack(gappy(), tmp_path / "store", rate=20.0)


def test_a_store_without_steps_is_written_as_before(made):
    parts = [store.Part("image", "", (0, 1, 2), "<u2", 65535.0), store.Part("mask", "", (), "|b1", 1.0)]
    assert "steps" not in store.plain_part(parts[0])
    assert store.index_dtype(parts)["p0"].names == ("height", "width", "present")
