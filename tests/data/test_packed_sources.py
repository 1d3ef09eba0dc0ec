"""A packed store of joined, mixed or many-file sources is the same data: rows, streams, labels, scaling, fingerprint."""

import made_files
import numpy as np
import pytest

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, probe, reader, writer
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.own_scaling import OwnScaling
from multimodal_lab.data.streams.scaling import DatasetStats, DtypeMax

VECTOR = {"kind": "vector", "bands": ["nm310", "nm300"]}
CASES = {
    "joined": ({"image": {"kind": "image", "bands": "all"}, "spectrum": VECTOR}, ["species"]),
    "band_files": ({"rgb": {"kind": "image", "bands": ["NIR", "R"]}, "b": {"kind": "image", "bands": ["B"]}}, []),
    "mixed": ({"rgb": {"kind": "image", "bands": ["B", "R"]}, "spectrum": VECTOR}, ["source", "species"]),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_same(name, tmp_path):
    source, (modality, labels) = getattr(made_files, name)(tmp_path), CASES[name]
    mark = fingerprint(source, str(tmp_path))
    plan = writer.begin(source, probe.probe(source), tmp_path / "store", {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, mark, {}, {}, "report")
    packed = reader.Packed(str(tmp_path / "store"))
    own = OwnScaling({"image": DtypeMax(), "spectrum": DatasetStats()}) if name == "joined" else DtypeMax()
    split = Split(train=0.7, val=0, test=0.3, seed=1)
    made = [
        Data(one, scaling=own, split=split, labels=labels, batch_size=4, size=6, root=str(tmp_path)).prepare(
            modality, 0
        )
        for one in (source, packed)
    ]
    assert made[0].fingerprint == made[1].fingerprint
    assert made[0].notes == made[1].notes
    rows = np.arange(len(made[0].samples))
    a, b = (one.batch(rows).named() for one in made)
    assert a.keys() == b.keys()
    for key, x in a.items():
        np.testing.assert_array_equal(x, b[key], err_msg=key)
