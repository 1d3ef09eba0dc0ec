"""Several tasks of images and texts: learned weights, and two data sets of which one has no labels and one no texts."""

import json

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.config import schema
from multimodal_lab.experiment import run

SMALL = ["data.size=16", "data.batch_size=8", "backbone.widths=[8,16]", "log=none", "figures=[]", "train.max_steps=4",
         "train.log_every=1", "evaluate=[head,retrieval]"]  # fmt: skip


@pytest.fixture
def folders(tmp_path):
    """40 captioned pictures without a class, and 40 pictures of three classes without a caption."""
    for i in range(40):
        x = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        for place in (tmp_path / "pairs/img", tmp_path / "classes" / "abc"[i % 3]):
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x if place.name == "img" else 255 - x).save(place / f"{i}.png")
    rows = [f"img/{i}.png,picture number {i}" for i in range(40)]
    (tmp_path / "pairs/captions.csv").write_text("\n".join(["image,caption", *rows]))
    return tmp_path


@pytest.mark.parametrize("weights", ["fixed", "uncertainty"])
def test_mixed_data_sets_train_contrast_and_class_at_once(composed, folders, weights):
    cfg = composed(
        "experiment=multitask", "data=mixed", "data@data.source.sources.a=pairs", f"data.source.sources.a.root={folders}/pairs",
        f"data.source.sources.b.root={folders}/classes", "label=folder", f"system.task_weights={weights}", *SMALL, small=False,
    )  # fmt: skip
    assert schema.check(cfg) == []
    run.run(cfg, folders / "run")
    found = json.loads((folders / "run/summary.json").read_text())
    assert found["retrieval/image->text/queries"] > 0
    assert "head/late_fusion/folder/accuracy" in found
    rows = [json.loads(line) for line in (folders / "run/metrics.jsonl").read_text().splitlines()]
    terms = [row for row in rows if "train/total" in row]
    assert len(terms) == 4
    for row in terms:
        assert row["train/total"] == pytest.approx(row["train/clip"] + row["train/label"], rel=1e-5)
        assert row["train/label"] != 0
        assert ("train/label/log_variance" in row) == (weights == "uncertainty")
    if weights == "uncertainty":
        assert terms[-1]["train/clip/log_variance"] != terms[-1]["train/label/log_variance"]
        assert terms[0]["train/label"] == pytest.approx(terms[0]["train/label/unweighted"])  # s begins at 0
        assert terms[-1]["train/label"] != terms[-1]["train/label/unweighted"]
