"""A run on pretrained towers: both halves of a tiny CLIP, read by its own tokenizer and normalised as it was trained."""

import json

import numpy as np
import pytest
from PIL import Image
from tokenizers_made import make
from transformers import CLIPConfig, CLIPModel

from multimodal_lab.files import read_json

WORDS = ["red bird", "blue moth", "red moth", "two birds"]


@pytest.fixture
def tower(tmp_path):
    own = make("clip", tmp_path / "tower")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    marks = {"bos_token_id": own.bos_token_id, "eos_token_id": own.eos_token_id}
    text = {**size, **marks, "vocab_size": len(own), "max_position_embeddings": 16}
    vision = {**size, "image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(tmp_path / "tower")
    says = {"image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.26, 0.27], "rescale_factor": 1 / 255}
    (tmp_path / "tower" / "preprocessor_config.json").write_text(json.dumps(says))
    return tmp_path / "tower"


@pytest.fixture
def pairs(tmp_path):
    folder, rng = tmp_path / "pairs", np.random.default_rng(0)
    folder.mkdir()
    lines = []
    for i in range(32):
        Image.fromarray(rng.integers(0, 256, (40, 52, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        lines.append(json.dumps({"id": str(i), "image": f"{i}.png", "caption": f"a {WORDS[i % 4]} on a branch"}))
    (folder / "index.jsonl").write_text("\n".join(lines))
    return folder


def test_a_run_on_both_halves_of_clip(cli, tower, pairs, tmp_path):
    words = [
        "experiment=clip", f"data.root={pairs}", "data.batch_size=8", "log=none", "figures=[]", "train.epochs=1",
        "backbone=transformers_image", f"backbone.weights={tower}", "+modality.image.normalise=backbone",
        "+modality.image.size=32", "+modality.image.resize=bicubic", "+modality.image.resize_mode=crop",
        "backbone@backbones.text=transformers_text", f"backbones.text.weights={tower}", "backbones.text.pool=pooler",
        f"modality.text.tokens={tower}", "modality.text.length=12", f"dir={tmp_path / 'run'}",
    ]  # fmt: skip
    done = cli(*words, small=False)
    assert "normalise: image by the mean and std of " in done.stdout
    assert "text text: tokenizer " in done.stdout
    record = read_json(tmp_path / "run" / "data.json")["streams"]
    assert record["image"]["mean"] == pytest.approx([0.48, 0.45, 0.4], abs=1e-6)
    assert record["image"]["size"] == 32
    assert record["text"]["marks"]["pad"] == record["text"]["marks"]["end"][0]
