"""Low-rank updates merged into the layers of a run: it says the same, and its backbones begin others."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from tokenizers_made import make
from transformers import CLIPConfig, CLIPModel

from multimodal_lab.adapt import trained
from multimodal_lab.backbone.image import Image
from multimodal_lab.backbone.transformers_text import TransformersText
from multimodal_lab.checkpoint import store
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.files import read_json
from multimodal_lab.merge import _backbone, merge
from multimodal_lab.predict import load

WORDS = ["red bird", "blue moth", "red moth", "two birds"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    lines = []
    for i in range(32):
        Picture.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        lines.append(json.dumps({"id": str(i), "image": f"{i}.png", "caption": f"a {WORDS[i % 4]} on a branch"}))
    (folder / "index.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tower")
    own = make("clip", folder)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text = {**size, "bos_token_id": own.bos_token_id, "eos_token_id": own.eos_token_id, "vocab_size": len(own)}
    config = CLIPConfig(
        text_config={**text, "max_position_embeddings": 24}, vision_config={**size, "image_size": 16, "patch_size": 8}
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()  # as sentence-transformers says it
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "lasttoken"}')
    return folder


@pytest.fixture(scope="module")
def runs(cli, pairs, tower, tmp_path_factory):
    """A run with updates in both towers, it merged, and what was said of each."""
    run, out = tmp_path_factory.mktemp("runs") / "lora", tmp_path_factory.mktemp("runs") / "merged"
    words = [
        "experiment=clip_lora", f"data.root={pairs}", "data.batch_size=8", "data.size=16", "log=none", "figures=[]",
        "evaluate=[retrieval]", "head.dim=8", "head.hidden=16", f"backbones.text.weights={tower}", "train.max_steps=4",
        "optim.lr=0.01", "backbone=vit_small", "backbone.model=test_vit", "backbone.freeze=false",
        "backbones.text.dropout=0.25", "adapt.modules=[backbones.each.text,backbones.each.image]", "train.validate_every=0",
        f"dir={run}",
    ]  # fmt: skip
    told = cli(*words, small=False).stdout
    return SimpleNamespace(
        run=run, out=out, told=told, said=cli(f"run={run}", f"out={out}", module="merge", small=False).stdout
    )


def test_the_merged_run_says_what_the_run_said(runs):
    assert " of them trained (" in runs.told
    a, b = load(runs.run, "cpu"), load(runs.out, "cpu")
    assert [k for k in a.system.state_dict() if "lora_" in k]
    assert not [k for k in b.system.state_dict() if "lora_" in k or "base_layer" in k]
    pictures, texts = np.random.default_rng(1).integers(0, 256, (6, 3, 16, 16), np.uint8), [*WORDS, "a red bird", "two"]
    before, after = (p.embed(image=pictures, text=texts).vectors for p in (a, b))
    for name in ("image", "text"):
        assert np.abs(before[name] - after[name]).max() <= 2e-6 * np.abs(before[name]).max()
    assert read_json(runs.out / "summary.json")["provenance/merged"] == str(runs.run)


def test_its_backbones_begin_others(runs):
    assert f"backbone of text: weights={runs.out}/weights/text\n" in runs.said
    assert f"backbone of image: weights={runs.out}/weights/image.safetensors pretrained_bands=[R,G,B]" in runs.said
    merged = load(runs.out, "cpu")
    rgb = {"pretrained_bands": ["R", "G", "B"]}
    again = {
        "text": TransformersText(merged.streams["text"], weights=str(runs.out / "weights/text")),
        "image": Image(
            merged.streams["image"], model="test_vit", weights=str(runs.out / "weights/image.safetensors"), **rgb
        ),
    }
    assert again["text"].pool == merged.system.backbones.each["text"].pool == "last"
    for name, module in again.items():
        own, expected = module.state_dict(), merged.system.backbones.each[name].state_dict()
        assert own.keys() == expected.keys()
        assert all(torch.equal(x, own[k]) for k, x in expected.items())


def test_the_dropout_that_a_tower_was_trained_with_goes_along(runs, tower):
    """config.json of the merged weights says it, and a backbone of them has it unless told otherwise; the tower keeps its own."""
    own, merged = (read_json(folder / "config.json") for folder in (tower, runs.out / "weights/text"))
    assert own["text_config"]["attention_dropout"] == 0
    assert merged.get("text_config", merged)["attention_dropout"] == 0.25
    stream = load(runs.out, "cpu").streams["text"]
    for asked, found in ((None, 0.25), (0.0, 0.0), (0.5, 0.5)):
        text = TransformersText(stream, weights=str(runs.out / "weights/text"), dropout=asked)
        assert text.model.config.attention_dropout == found
        assert {m.dropout for m in text.model.modules() if isinstance(getattr(m, "dropout", None), float)} == {found}


def test_it_is_a_source_of_encoders_and_the_run_before_is_not(runs):
    found = trained.load(str(runs.out))
    assert found.stream(["R", "G", "B"], "image", "image") == "image"
    assert found.stream([], "text", "text") == "text"
    with pytest.raises(
        trained.TrainedRunError, match=rf"merge them first: python -m multimodal_lab\.merge run={runs.run} out="
    ):
        trained.load(str(runs.run))


def test_what_can_not_be_merged_is_told(runs, cli, tmp_path):
    with pytest.raises(ConfigError, match="is there already; expected a new directory"):
        merge(runs.run, runs.out)
    with pytest.raises(
        ConfigError, match="has no low-rank updates to merge; expected a run with adapt=lora or adapt=adalora"
    ):
        merge(runs.out, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    found = cli(f"run={runs.run}", module="merge", small=False, check=False)
    assert found.returncode == 1
    assert "error: out=DIR is missing" in found.stderr + found.stdout
    parts = dict.fromkeys(("model", "optimizer", "scaler", "ema", "meters", "state"))
    with pytest.raises(ValueError, match="the part 'optimizer' is missing"):
        store.load(store.CheckpointStore(runs.out / "checkpoints", 1).newest(), parts)


def test_of_a_backbone_with_a_projection_no_half_is_written(tmp_path):
    own = SimpleNamespace(projection=torch.nn.Linear(2, 2), model=None)
    run = SimpleNamespace(
        system=SimpleNamespace(backbones=SimpleNamespace(each={"text": own})),
        streams={"text": SimpleNamespace(bands=[])},
    )
    assert "adapt=encoders" in _backbone("text", run, {"weights": "/tower"}, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()
