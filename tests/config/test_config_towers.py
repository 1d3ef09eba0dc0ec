"""What a stream asks of a pretrained tower is checked before torch is imported."""

import pytest

from multimodal_lab.config import schema

TEXT = ["modality=image_text", "data=pairs", "data.root=/x", "backbone=convnet", "+backbone@backbones.text=text"]
IMAGE = ["modality=rgb", "fusion=separate"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*TEXT, "modality.text.tokens=bqe"], "modality.text.tokens=bqe: no tokenizer there; expected word, bpe"),
        ([*TEXT, "modality.text.tokens=/nowhere"], "modality.text.tokens=/nowhere: no tokenizer there"),
        ([*TEXT, "modality.text.tokens=3"], "modality.text.tokens=3: expected text"),
        ([*IMAGE, "+modality.rgb.resize=cubic"], "nearest: modality.rgb.resize=bicubic"),
        ([*IMAGE, "+modality.rgb.resize_mode=centre"], "expected one of pad, stretch, crop, crop_floor"),
        ([*IMAGE, "+modality.rgb.crop_pct=1.2"], "modality.rgb.crop_pct=1.2: expected a number in (0, 1]"),
        ([*IMAGE, "+modality.rgb.size=0"], "modality.rgb.size=0: expected an integer >= 1"),
        ([*IMAGE, "+modality.rgb.normalise=imagnet"], "nearest: modality.rgb.normalise=imagenet"),
        ([*IMAGE, "+modality.rgb.normalise={mean: 1}"], "modality.rgb.normalise.std=null: missing"),
        ([*IMAGE, "+modality.rgb.normalise={mean: 1, std: [1, 0]}"], "modality.rgb.normalise.std"),
        ([*IMAGE, "+modality.rgb.normalise=backbone"], "backbone=convnet has no weights with a mean and std of their own"),
        ([*IMAGE, "+modality.rgb.normalise=backbone", "backbone=resnet18"], "backbone.weights=random have no mean and std"),
        (["data.resize=lanczos"], "expected one of area, bicubic, none"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_what_can(composed, words, said):
    found = [str(p) for p in schema.check(composed(*words, small=False))]
    assert [p for p in found if said in p], found


@pytest.mark.parametrize("choice", ["dinov3_small", "transformers_image", "shared_image"])
def test_a_backbone_with_weights_may_tell_how_it_was_normalised(composed, choice):
    words = [*IMAGE, "+modality.rgb.normalise=backbone", f"backbone={choice}", "backbone.weights=/x"]
    assert not [p for p in schema.check(composed(*words, small=False)) if p.key.startswith("modality")]


def test_what_can_be_passes(composed, tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    own = {"size": 224, "resize": "bicubic", "resize_mode": "crop", "crop_pct": 0.875}
    words = [
        *(f"+modality.image.{k}={v}" for k, v in own.items()),
        "+modality.image.normalise={mean: [1, 2, 3], std: 1}",
    ]
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        cfg = composed(*TEXT, *words, f"modality.text.tokens={path}", small=False)
        assert not [p for p in schema.check(cfg) if p.key.startswith("modality")]


@pytest.mark.parametrize("older", ["vocab.json", "vocab.txt", "spiece.model"])
def test_a_directory_of_an_older_tokenizer_is_told_how_to_make_the_new_one(composed, tmp_path, older):
    (tmp_path / older).write_text("{}")
    (said,) = (
        str(p)
        for p in schema.check(composed(*TEXT, f"modality.text.tokens={tmp_path}", small=False))
        if "tokens" in p.key
    )
    assert f"it has {older} and no tokenizer.json, which `python -c " in said
    assert f".save_pretrained('{tmp_path}')" in said
