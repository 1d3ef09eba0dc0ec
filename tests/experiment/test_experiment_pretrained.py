"""Models of images and texts from a directory give, through our own data, what transformers gives of the same files."""

import json
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from omegaconf import OmegaConf
from PIL import Image
from towers_made import PLACES, clip, dinov3, siglip
from transformers import AutoImageProcessor, AutoTokenizer

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.embed import opened
from multimodal_lab.evaluate import __main__ as evaluate
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.build import build_system, modality, require_backbones
from multimodal_lab.experiment.reload import trained

SAID = ["a red bird on a branch", "two blue moths", "the red moth and the blue bird", "A BIRD", "a bird " * 20]
SIZES = [(40, 52), (61, 33), (32, 32), (20, 70), (90, 90)]


@pytest.fixture
def pairs(tmp_path):
    """Images of any size with a text each."""
    folder, rng = tmp_path / "pairs", np.random.default_rng(0)
    folder.mkdir()
    lines = []
    for i in range(20):
        x = rng.integers(0, 256, (*SIZES[i % 5], 3), dtype=np.uint8)
        Image.fromarray(x).save(folder / f"{i}.png")
        lines.append(json.dumps({"id": f"{i:02d}", "image": f"{i}.png", "caption": SAID[(i + i // 5) % 5]}))
    (folder / "index.jsonl").write_text("\n".join(lines))
    return folder


def built(composed, pairs, tower, *words):
    """The system and the data of a config."""
    cfg = composed(f"data.root={pairs}", f"backbone.weights={tower}", "log=none", *words, small=False)
    require_backbones(cfg)
    data = safe_instantiate(cfg.data).prepare(modality(cfg), 0)
    return build_system(cfg, data).eval(), data


def given(pairs, tower, **settings):
    """What transformers makes of the same files."""
    rows = [json.loads(line) for line in (pairs / "index.jsonl").read_text().splitlines()]
    images = [Image.open(pairs / row["image"]) for row in rows]
    pixels = AutoImageProcessor.from_pretrained(tower)(images=images, return_tensors="pt")
    tokens = AutoTokenizer.from_pretrained(tower)(
        [row["caption"] for row in rows], padding="max_length", truncation=True, max_length=PLACES, return_tensors="pt"
    )
    return {**pixels, **{k: v for k, v in tokens.items() if k != "token_type_ids"}}


KINDS = {
    "clip": ("clip_pretrained", clip, {}),
    "siglip": ("siglip_pretrained", siglip, {}),
    "siglip2": ("siglip_pretrained", siglip, {"resample": 2}),
}


@torch.no_grad()
@pytest.mark.parametrize("name", KINDS)
def test_embeddings_and_logits_are_those_of_transformers_on_the_same_files(composed, pairs, tmp_path, name):
    experiment, make, own = KINDS[name]
    tower = tmp_path / "tower"
    peer = make(tower, **own)
    system, data = built(composed, pairs, tower, f"experiment={experiment}", f"modality.text.length={PLACES}")
    want = peer(**given(pairs, tower))
    batch = data.batch(np.arange(20))
    features, out = system.encode(batch)
    for stream, theirs in (("image", want.image_embeds), ("text", want.text_embeds)):
        unit = torch.nn.functional.normalize(features[stream].pooled, dim=1)
        torch.testing.assert_close(unit, theirs, rtol=0, atol=1e-5)
        assert torch.equal(out["projection"][stream], features[stream].pooled)
    image, text = (torch.nn.functional.normalize(out["projection"][s], dim=1) for s in ("image", "text"))
    says = system.loss_scalars(0.0)
    logits = image @ text.T * says["scale"] + says["bias"] if "bias" in says else image @ text.T / says["temperature"]
    torch.testing.assert_close(logits, want.logits_per_image, rtol=1e-5, atol=1e-4)


@torch.no_grad()
def test_dinov3_in_transformers_layout_gives_its_own_features_of_the_same_files(composed, pairs, tmp_path):
    peer = dinov3(tmp_path / "tower")
    words = ["experiment=clip", "backbone=transformers_image", "+modality.image.normalise=backbone"]
    system, data = built(composed, pairs, tmp_path / "tower", *words, "+modality.image.resize=backbone")
    rows = [Image.open(pairs / f"{i}.png") for i in range(20)]
    want = peer(**AutoImageProcessor.from_pretrained(tmp_path / "tower")(images=rows, return_tensors="pt"))
    found = system.features(data.batch(np.arange(20)))["image"]
    torch.testing.assert_close(found.pooled, want.pooler_output, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.tokens, want.last_hidden_state[:, 5:], rtol=0, atol=1e-5)
    assert found.grid == (2, 2)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command line of the evaluation, in this process: the summary, or the sentence that it ended with."""

    def call(*words, out=tmp_path / "out"):
        small = ["figures=[]", "data.batch_size=8", f"modality.text.length={PLACES}"]
        monkeypatch.setattr(sys, "argv", ["evaluate", f"out={out}", *words, *small])
        try:
            evaluate.main()
        except SystemExit as end:
            return str(end.code)
        return json.loads((out / "summary.json").read_text())

    return call


def test_published_weights_are_judged_with_nothing_trained_and_the_run_serves(command, pairs, tmp_path):
    peer, tower, out = clip(tmp_path / "tower"), tmp_path / "tower", tmp_path / "out"
    words = ["system=clip_pretrained", f"model={tower}", "data=pairs", f"data.root={pairs}"]
    found = command(*words, "split=test")
    assert (found["cost/steps"], found["data/test"]) == (0, 20)
    with torch.no_grad():
        want = peer(**given(pairs, tower)).logits_per_image
    # what is like the right one counts against the model: texts that were cut are alike
    ranks = (want >= want.diag()[:, None] - 1e-4).sum(1)
    assert found["retrieval/image->text/R@10"] == pytest.approx((ranks <= 10).float().mean().item())
    assert found["retrieval/image->text/projected"] == 1
    config = OmegaConf.load(out / "config.yaml")
    assert config.modality.image == {
        "kind": "image", "bands": ["R", "G", "B"], "field": None, "resize": "bicubic", "normalise": "backbone", "size": 32,
        "resize_mode": "crop_floor", "crop_pct": 1.0, "resize_stored": True,
    }  # fmt: skip
    assert (
        sum(p.stat().st_size for p in (out / "checkpoints").rglob("*.safetensors")) < 10_000
    )  # weights are not copied
    with torch.no_grad():
        embeds = peer(**given(pairs, tower)).image_embeds
    cfg = opened(out, [])
    system, data, _ = trained(cfg, out, torch.device("cpu"))
    features = system.eval().features(data.batch(np.arange(20)))["image"].pooled
    torch.testing.assert_close(torch.nn.functional.normalize(features, dim=1), embeds, rtol=0, atol=1e-5)


def test_a_split_of_ones_own_is_kept_without_split_test(command, pairs, tmp_path):
    siglip(tmp_path / "tower")
    found = command(
        "system=siglip_pretrained", f"model={tmp_path / 'tower'}", f"data.root={pairs}", "data.split.seed=1"
    )
    assert 0 < found["data/test"] < 20
    assert "val/siglip" not in found
    assert np.isfinite(found["test/siglip"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["system=clip_pretraind", "model=x"], "error: system=clip_pretraind: no such choice of conf/experiment; "),
        (["system=clip_pretrained", "run=x"], "error: run=x: goes with a trained run"),
        (["system=clip_pretrained", "model=x", "split=val"], "error: split=val: expected one of test"),
        (["system=clip_pretrained", "model=some/one"], "`hf download some/one`"),
        (["system=clip_pretrained"], "backbone.weights"),
        (["system=clip_pretrained", "model=x", "dir=there"], "error: dir=there: the directory of a system"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(command, pairs, words, said):
    assert said in command(*words, f"data.root={pairs}")


def test_sizes_beside_those_of_the_weights_must_agree(composed, pairs, tmp_path):
    clip(tmp_path / "tower")
    words = ["experiment=clip_pretrained", f"modality.text.length={PLACES}", "+modality.image.size=48"]
    with pytest.raises(
        ValueError, match=r"modality\.image\.size=48: modality\.image\.resize=backbone beside it.* has 32"
    ):
        built(composed, pairs, tmp_path / "tower", *words)


def test_lit_trains_the_text_alone_in_the_space_of_a_locked_image_tower(composed, pairs, tmp_path):
    clip(tmp_path / "tower")
    small = ["backbones.text.width=16", "train.epochs=2", "data.batch_size=8", "figures=[]"]
    cfg = composed(
        "experiment=lit",
        f"data.root={pairs}",
        f"backbone.weights={tmp_path / 'tower'}",
        "log=none",
        *small,
        small=False,
    )
    experiment.run(cfg, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["retrieval/image->text/projected"] == 1
    held = safetensors.torch.load_file(next((tmp_path / "run" / "checkpoints").rglob("model.safetensors")))
    assert not [name for name in held if name.startswith("backbones.each.image.")]
    assert any(name.startswith("heads.projection.own.text.") for name in held)
    assert not [name for name in held if "own.image" in name]


def test_heads_on_two_frozen_towers_are_trained_on_what_these_say_once(composed, pairs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clip(tmp_path / "tower")
    words = [
        "experiment=clip_frozen", f"data.root={pairs}", "backbone=transformers_image", f"modality.text.length={PLACES}",
        f"backbone.weights={tmp_path / 'tower'}", f"backbones.text.weights={tmp_path / 'tower'}", "+modality.image.size=32",
        "train.epochs=2", "data.batch_size=8", "log=none", "figures=[]",
    ]  # fmt: skip
    experiment.run(composed(*words, small=False), tmp_path / "run")
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert {k: v for k, v in found.items() if k.startswith("retrieval/") and k.endswith("/n")}
    held = safetensors.torch.load_file(next((tmp_path / "run" / "checkpoints").rglob("model.safetensors")))
    assert held
    assert not [name for name in held if name.startswith("backbones.")]
    assert len([*(tmp_path / "cache").rglob("tensors.safetensors")]) == 2


def test_a_tower_of_its_own_is_told_of_by_its_own_key(composed):
    words = ["backbone@backbones.text=transformers_text", "backbones.text.weights=someone/other"]
    cfg = composed("experiment=clip", *words, "modality.text.tokens=/dir", "data.root=/pairs", small=False)
    with pytest.raises(ValueError, match=r"^backbones\.text\.weights=someone/other: no such directory"):
        require_backbones(cfg)
