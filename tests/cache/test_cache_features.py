"""A run on kept features gives the numbers of the run that encodes at every step, bit for bit, and reads no sample."""

import pytest
import torch
from torch import nn

from multimodal_lab.backbone.freeze import freeze
from multimodal_lab.cache.features import moves
from multimodal_lab.config import schema
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.rules.cache import cached, could_be_cached
from multimodal_lab.data.synthetic.specimens import Specimens
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.experiment.reload import embed_files
from multimodal_lab.experiment.run import begins

BASE = [
    "head=classifier", "loss=cross_entropy", "augment=none", "evaluate=[probe]", "train.epochs=2", "train.log_every=1",
    "backbone.freeze=true",
]  # fmt: skip
ARMS = {
    "attention, dropped modalities, every subset": ["fusion=attention", "augment.modality_dropout=0.3", "modality_subsets=true"],
    "shuffled, some missing": ["fusion=concat", "data.shuffle={stream: uv}", "data.source.missing=0.2"],
    "duplicate": ["modality=rgb_rgb", "fusion=weighted", "augment.views=2", "head.dropout=0.5"],
    "some bands shuffled": [
        "modality=rgb_uv_stacked", "fusion=separate", "data.shuffle={stream: stacked, bands: ['UV*']}",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(trained):
    """A function of overrides to what `trained` gives of them and BASE."""
    return lambda *overrides: trained(*BASE, *overrides)


@pytest.mark.parametrize("arm", ARMS)
def test_the_same_numbers_with_and_without_and_no_sample_is_read_again(ran, require_alike, tmp_path, monkeypatch, arm):
    cached = ["cache=features", f"cache.root={tmp_path}"]
    plain = ran(*ARMS[arm])
    first = ran(*ARMS[arm], *cached)

    def never(*_):
        raise AssertionError("a sample was read though all is kept")

    monkeypatch.setattr(Specimens, "draw", never)
    for again in (first, ran(*ARMS[arm], *cached)):
        require_alike(again, plain)


def test_another_fusion_head_and_control_use_what_is_kept_and_its_checkpoint_embeds_images(
    ran, composed, tmp_path, monkeypatch
):
    cached = ["cache=features", f"cache.root={tmp_path / 'cache'}", "evaluate=[collapse]"]
    folder, _, _ = ran(*cached, "fusion=concat")
    encodings = sorted(p.parent.name for p in tmp_path.rglob("tensors.safetensors"))
    assert len(encodings) == 2
    draw = Specimens.draw
    monkeypatch.setattr(Specimens, "draw", None)
    for arm in (
        ["fusion=attention"],
        ["fusion=concat", "data.shuffle={stream: rgb}"],
        ["modality=rgb", "fusion=separate"],
    ):
        ran(*cached, *arm)
    assert sorted(p.parent.name for p in tmp_path.rglob("tensors.safetensors")) == encodings
    monkeypatch.setattr(Specimens, "draw", draw)
    embed_files(composed(*BASE, *cached, "fusion=concat"), folder, tmp_path / "embedded")
    new, old = Embeddings.load(tmp_path / "embedded"), Embeddings.load(folder / "embeddings")
    at = {name: i for i, name in enumerate(new.ids)}
    places = [at[name] for name in old.ids]
    assert torch.allclose(torch.tensor(new.vectors["fused"][places]), torch.tensor(old.vectors["fused"]), atol=1e-6)


REFUSED = {
    "a backbone that trains": (
        ["backbone.freeze=false"],
        "backbone.freeze=false: this backbone trains",
        "adapt=freeze",
    ),
    "an augmentation": (
        ["augment=classify"],
        "changes inputs of rgb, uv (random_resized_crop, ",
        "nearest: augment=none",
    ),
    "a shared backbone": (["backbone=shared", "backbone.freeze=true"], "reads several streams", "backbone=convnet"),
    "half precision": (
        ["train.precision=bf16"],
        "train.precision=bf16: cache=features stores features in fp32",
        "fp32",
    ),
    "text that trains beside images that do": (
        ["modality=image_text", "data=pairs", "data.root=x", "+backbone@backbones.text=text", "backbone.freeze=false"],
        "backbones.text.freeze=false: this backbone trains",
        "backbones.text.freeze=true",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_no_kept_features_is_refused_before_anything_is_built(composed, what):
    overrides, *words = REFUSED[what]
    small = "text" not in what and what != "a shared backbone"
    said = "\n".join(
        map(str, schema.check(composed("cache=features", *(BASE if small else BASE[:5]), *overrides, small=small)))
    )
    for word in words:
        assert word in said, said
    assert not [p for p in schema.check(composed(*BASE, "cache=features", "fusion=concat")) if "cache" in str(p)]


@pytest.mark.parametrize(
    ("path", "refused"),
    [("batch.inputs", True), ("batch.inputs.rgb", True), ("batch.mask", True), ("batch.inputs.rgb_2", False)],
)
def test_a_loss_that_reads_a_kept_input_is_refused_and_no_other(composed, path, refused):
    tree = as_plain(composed(*BASE, "cache=features", "fusion=concat"))
    tree["loss"]["logits"] = path
    assert any(p.key == "loss.logits" for p in cached(tree)) is refused


def test_what_only_the_built_system_shows_is_refused_too(ran, tmp_path):
    cached = ["cache=features", f"cache.root={tmp_path}", "fusion=concat"]
    with pytest.raises(ValueError, match=r"backbone of stream rgb trains \(stages\.0\.0\.weight\)"):
        ran(*cached, "backbone.freeze=false")


def test_frozen_is_without_gradient_and_in_evaluation_mode_for_good():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert moves(net) == "trains (0.weight)"
    net.requires_grad_(False).eval()
    assert moves(net).startswith("leaves evaluation mode")
    assert not net.training
    assert moves(freeze(net)) == ""


LIT = ["experiment=lit", "backbone.weights=/image"]
LORA = ["experiment=clip_lora", "backbone.weights=/image", "backbones.text.weights=/text"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (LIT, ["image"]),
        (LORA, ["image"]),  # not the text tower, which LoRA changes
        ([*LORA, "adapt=freeze"], ["image", "text"]),
        ([*LIT, "cache=features"], []),
        ([*LIT, "train.epochs=1"], []),
        ([*LIT, "train.max_steps=0"], []),
        ([*LIT, "augment=flips"], []),
        ([*LIT, "train.precision=bf16"], []),
        (["experiment=clip"], []),
    ],
)
def test_a_run_is_told_what_it_encodes_anew_to_the_same_features(composed, words, told):
    plain = as_plain(composed("data.root=/pairs", *words, small=False))
    assert could_be_cached(plain) == told
    assert any("cache=features encodes each sample once" in line for line in begins(plain)) is bool(told)
