"""A folder of images and captions of one's own, and one short command."""

import json

import numpy as np
import pytest
from PIL import Image

from multimodal_lab.config import schema
from multimodal_lab.experiment import run

SMALL = ["data.size=16", "data.batch_size=8", "backbone.widths=[8,16]", "log=none", "figures=[]", "train.max_steps=2"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "img").mkdir()
    for i in range(40):
        x = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(x).save(tmp_path / "img" / f"{i}.png")
    return tmp_path


@pytest.mark.parametrize("table", ["captions.csv", "metadata.jsonl"])
def test_a_table_of_images_and_captions_trains_clip(composed, folder, table):
    if table == "captions.csv":
        rows = [f"img/{i}.png,picture {i}" for i in range(40)]
        (folder / table).write_text("\n".join(["image,caption", *rows]))
    else:
        rows = [json.dumps({"file_name": f"img/{i}.png", "text": f"picture {i}"}) for i in range(40)]
        (folder / table).write_text("\n".join(rows))
    cfg = composed("experiment=clip", "data=pairs", f"data.root={folder}", *SMALL, small=False)
    assert schema.check(cfg) == []
    run.run(cfg, folder / "run")
    found = json.loads((folder / "run/summary.json").read_text())
    assert "retrieval/image->text/R@1" in found
    notes = json.loads((folder / "run/data.json").read_text())["notes"]
    column = "image; of texts: caption" if table == "captions.csv" else "file_name; of texts: text"
    assert f"{table}: columns of images: {column}" in notes
