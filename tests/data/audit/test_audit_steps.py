"""The audit of recordings: padding is no likeness, copies and stuck sensors are found."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from made_series import Series

from multimodal_lab.data.audit.audit import audit
from multimodal_lab.data.audit.view import view
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import NoScaling


def prepared(source):
    split = Split(by="group", train=0.5, val=0.25, test=0.25)
    made = Data(source, scaling=NoScaling(), split=split, labels=["kind"])
    return made.prepare({"s": {"kind": source.kind, "bands": "all", "steps": 60, "rate": 50}}, seed=0)


def short(side=0, n=160):
    """Recordings of 6 to 20 steps, padded to 60, in bands of very different means."""
    source = Series(n, 60, side)
    for i, x in enumerate(source.arrays):
        keep = x[:, : 6 + i % 15]
        shift = np.array([-40, 0, 90]).reshape(3, *[1] * (x.ndim - 1))
        source.arrays[i] = (np.random.default_rng(i).normal(size=keep.shape) + shift).astype(np.float32)
    return source


def kinds_of(source):
    return {(f.kind, f.where) for f in audit(prepared(source)).findings}


@pytest.mark.parametrize("side", [0, 16])
def test_short_recordings_are_no_copies_of_each_other(side):
    source = short(side, 160 if not side else 60)
    assert not {k for k, _ in kinds_of(source)} & {"near duplicate", "exact duplicate"}


@pytest.mark.parametrize("side", [0, 16])
def test_a_copy_in_another_split_is_found(side):
    source = short(side, 160 if not side else 60)
    made = prepared(source)
    train, test = made.rows("train")[0], made.rows("test")[0]
    source.arrays[test] = source.arrays[train] * np.float32(1.0001)
    assert any("near duplicate" in kind or "exact" in kind for kind, _ in kinds_of(source))


def test_a_stuck_sensor_is_blank_though_padded():
    source = short()
    source.arrays[7][:] = 5
    seen = view(prepared(source)).streams["s"]
    assert np.flatnonzero(seen.blank).tolist() == [7]
