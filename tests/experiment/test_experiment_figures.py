"""A run on images and words: the figures of what was found, what was said and what was looked at."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from multimodal_lab.config import schema
from multimodal_lab.experiment import run
from multimodal_lab.runs.guarded_arrays import read_npz

FIGURES = ["neighbours", "attention", "token_patch", "modality_gap", "tsne", "explorer"]
SMALL = ["data.size=32", "data.batch_size=8", "log=none", "train.max_steps=2", "backbones.text.width=16"]
VIT = ["backbone=vit_small", "backbone.model=test_vit"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "img").mkdir()
    lines = []
    for i in range(40):
        x = np.random.default_rng(i).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(x).save(tmp_path / "img" / f"{i}.png")
        said = [f"picture {i}", f"another <b>$x$</b> of {i}"][: 1 + i % 2]
        lines.append(json.dumps({"id": f"p{i}", "image": f"img/{i}.png", "caption": said}))
    (tmp_path / "index.jsonl").write_text("\n".join(lines))
    return tmp_path


def made(composed, folder, *more):
    words = ["experiment=clip", "data=pairs", f"data.root={folder}", *SMALL, f"figures=[{','.join(FIGURES)}]", *more]
    return composed(*words, small=False)


def test_a_run_on_images_and_words_draws_what_was_said_and_looked_at(composed, folder):
    cfg = made(composed, folder, *VIT, "report.attention.layers=[0,1]")
    assert schema.check(cfg) == []
    run.run(cfg, folder / "run")
    drawn = sorted(p.name for p in (folder / "run/figures").iterdir())
    pairs = [f"neighbours_{a}_to_{b}.png" for a, b in (("image", "text"), ("text", "image"))]
    assert drawn == sorted(["attention.png", "explorer.html", "modality_gap_image_text.png", "token_patch_image_text.png",
                            "tsne.png", *pairs])  # fmt: skip
    told = pq.read_table(folder / "run/texts.parquet").to_pylist()
    assert len(told) == 60  # of 40 samples, every second has two
    page = (folder / "run/figures/explorer.html").read_text()
    assert "another \\u003cb\\u003e$x$\\u003c/b\\u003e of 39" in page
    found = read_npz(folder / "run/attention.npz")
    facts = json.loads(found["facts"].tobytes())
    assert facts["how"] == {"image": "rollout", "text": "rollout"}
    n = len(facts["ids"])
    assert found["image.map"].shape == (n, 2, 2)
    assert found["image-text.cosine"].shape[:1] + found["image-text.cosine"].shape[2:] == (n, 2, 2)
    assert [word for word, _ in facts["words"]["text"][0]] == ["[begin]", "picture", facts["ids"][0][1:], "[end]"]
    np.testing.assert_allclose(found["text.map"].sum(1), 1, atol=1e-5)
    summary = json.loads((folder / "run/summary.json").read_text())
    assert 0 <= summary["collapse/image-text/modality_gap_chance"] < 2
    assert 0 <= summary["collapse/image-text/modality_gap"] <= 2


def test_a_layer_that_no_tower_has_is_refused_before_the_training(composed, folder):
    cfg = made(composed, folder, *VIT, "report.attention.layers=[40]")
    with pytest.raises(
        ValueError, match=r"report.attention.layers: no layer 40 in the tower of image, which has \d+, 0 to"
    ):
        run.run(cfg, folder / "run")
    assert not (folder / "run/checkpoints").exists()
    assert "report.attention.heads" in str(schema.check(made(composed, folder, "report.attention.heads=most"))[0])


def test_a_convolutional_tower_is_explained_by_gradcam(composed, folder):
    run.run(made(composed, folder, "backbone.widths=[8,16]", "figures=[attention]"), folder / "run")
    facts = json.loads(read_npz(folder / "run/attention.npz")["facts"].tobytes())
    assert facts["how"] == {"image": "gradcam", "text": "rollout"}
    assert [p.name for p in (folder / "run/figures").iterdir()] == ["attention.png"]
