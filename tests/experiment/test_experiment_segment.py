"""Maps through whole runs: packed, in micro-batches, over two ranks, with cached features the same numbers as plainly."""

import json

import forked
import pytest

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.plain import as_plain
from multimodal_lab.data.packed import finalize, probe, reader, writer
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.experiment import run as experiment

SOURCE = {"patches": 40, "size": 8, "tiles": 20}
BASE = ["experiment=segment", *(f"data.source.{k}={v}" for k, v in SOURCE.items()), "backbone.widths=[4,8]", "head.width=8",
        "train.epochs=2", "data.batch_size=10", "log=none", "figures=[]", "optim=sgd", "optim.lr=0.05"]  # fmt: skip
PACKED = [word for word in BASE if "source" not in word]


@pytest.fixture(scope="module")
def ran(composed, tmp_path_factory):
    known = {}

    def run(*words):
        if words not in known:
            known[words] = tmp_path_factory.mktemp("run")
            experiment.run(composed(*words, small=False), known[words])
        return known[words]

    return run


def told(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    scores = json.loads((folder / "summary.json").read_text())
    losses = [row["train/total"] for row in rows if "train/total" in row]
    assert losses
    return losses, {k: v for k, v in scores.items() if k.startswith("head/segment/cover")}


def test_micro_batches_are_the_batch(ran):
    whole, parts = told(ran(*BASE)), told(ran(*BASE, "train.micro_batch=3"))
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    assert parts[1] == pytest.approx(whole[1], abs=1e-3)  # a pixel on the line between two classes


def test_two_ranks_are_one(ran, tmp_path):
    for rank in forked.ranks("multimodal_lab.run", [*BASE, f"dir={tmp_path}"], 2):
        assert rank.returncode == 0, rank.stderr[-3000:]
    assert told(tmp_path)[0] == pytest.approx(told(ran(*BASE))[0], rel=1e-5)


def test_a_packed_store_holds_the_maps(composed, ran, tmp_path):
    node = as_plain(composed(*BASE, small=False))["data"]
    data = safe_instantiate(node)
    plan = writer.begin(data.source, probe.probe(data.source), tmp_path / "store", {})
    writer.write(plan, 1, lambda done, total: None)
    choices = {k: node[k] for k in ("labels", "size", "resize", "resize_mode", "background", "nodata", "batch_size")}
    choices |= {"scaling": node["scaling"], "split": {k: v for k, v in node["split"].items() if k != "_target_"}}
    splits = finalize.split_of(plan, data.split, data.labels)
    finalize.finish(plan, fingerprint(data.source, None), choices, splits, "report")
    packed = reader.Packed(str(tmp_path / "store"))
    assert packed.bands == data.source.bands  # what `bands: all` of an image is: without the map
    assert packed.field_bands["cover"] == data.source.field_bands["cover"]
    assert told(ran(*PACKED, "data=packed", f"data.root={tmp_path / 'store'}")) == told(ran(*BASE))
