"""Of a run some of whose backbones train, the streams of the others alone are kept, and its numbers stay what they are."""

import json

import pytest
from PIL import Image

from multimodal_lab.backbone.text import Text
from multimodal_lab.config import schema
from multimodal_lab.data.readers.pairs import Pairs

FROZEN, OWN = "backbone.freeze=true", ["+backbone@backbones.uv=convnet", "backbones.uv.widths=[8]"]
BASE = ["evaluate=[probe]", "head=classifier", "loss=cross_entropy", "fusion=concat", "augment=none", "train.epochs=2",
        "train.log_every=1", FROZEN, *OWN, "data.source.individuals=32"]  # fmt: skip
PAIRS = [
    "data=pairs", "backbone=convnet", "backbone.widths=[8,16]", "fusion=separate", "log=none", "figures=[]", "data.batch_size=8",
    "data.size=16", "data.labels=[]", "data.split.by=null", "train.epochs=2", "train.log_every=1", "data.source.missing=keep",
]  # fmt: skip
CLIP = [
    "modality=image_text", "+backbone@backbones.text=text", "backbones.text.width=16", "backbones.text.layers=1",
    "head=projection", "loss=clip", "evaluate=[retrieval,collapse]",
]  # fmt: skip
BLUR = "{_target_: multimodal_lab.augment.texture.RandomGaussianBlur, kernel_size: 3, sigma: [0.1, 2.0], p: 0.5, streams: [uv]}"
RUNS = {
    "a shuffled image, read by processes": ["data.workers=1", "data.cache=false", "data.shuffle={stream: rgb}"],
    "one that trains is missing and changed, and blank outside what is seen in both": [
        "data.source.missing=0.2", "data.shuffle={stream: rgb}", "augment.modality_dropout=0.3", f"+augment.ops.blur={BLUR}",
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", RUNS)
def test_the_same_numbers_where_another_backbone_trains(trained, require_alike, tmp_path, what):
    plain = trained(*BASE, *RUNS[what])
    require_alike(trained(*BASE, *RUNS[what], "cache=features", f"cache.root={tmp_path}"), plain)
    assert len(list(tmp_path.rglob("tensors.safetensors"))) == 1


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A folder of 40 pictures with no, one or several captions, some of which are another's too."""
    folder = tmp_path_factory.mktemp("pairs")
    rows = []
    for i in range(40):
        Image.new("RGB", (16, 16), (6 * i, 255 - 6 * i, 40 * (i % 5))).save(folder / f"{i}.png")
        texts = [f"a shape of colour {i % 7}", f"number {i}", "the same to all"][: 1 + i % 3]
        rows.append({"image": f"{i}.png", "text": texts if i % 9 else []})
    (folder / "index.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return f"data.root={folder}"


TEXTS = {
    "image": ["augment=none", FROZEN],
    "image beside masked words": ["augment=mask_words", FROZEN],
    "text": ["augment=none", "backbones.text.freeze=true", "augment.modality_dropout=0.3"],
    "text of others": ["augment=none", "backbones.text.freeze=true", "data.shuffle={stream: text}"],
    "image text": ["augment=none", "adapt=freeze"],
}


@pytest.mark.parametrize("what", TEXTS)
def test_the_same_numbers_of_images_and_texts_and_what_is_kept_is_not_encoded_again(
    trained, require_alike, pairs, tmp_path, capsys, monkeypatch, what
):
    words = [*PAIRS, *CLIP, pairs, *TEXTS[what]]
    plain = trained(*words, small=False)
    capsys.readouterr()
    require_alike(trained(*words, "cache=features", f"cache.root={tmp_path}", small=False), plain)
    said = capsys.readouterr().out
    assert ("features: image, 40 samples, " in said) == ("image" in what)
    assert ("features: text, 40 samples, 28 texts, " in said) == ("text" in what)
    assert ("features: text is encoded at every step: its backbone trains (places)" in said) == ("text" not in what)
    if what in ("image", "image text"):
        monkeypatch.setattr(Pairs, "_decoded", None)
        if "text" in what:
            monkeypatch.setattr(Text, "forward", lambda self, x: pytest.fail("a text was encoded though all are kept"))
        require_alike(trained(*words, "cache=features", f"cache.root={tmp_path}", small=False), plain)


def test_the_same_captions_of_images_that_are_kept(trained, require_alike, pairs, tmp_path):
    own = [
        "modality=image_caption",
        "head=caption_lstm",
        "head.width=8",
        "loss=caption",
        "augment=none",
        FROZEN,
        "evaluate=[collapse]",
    ]
    cached = ["cache=features", f"cache.root={tmp_path}"]
    require_alike(*(trained(*PAIRS, *own, pairs, *how, small=False) for how in (cached, [])))


def test_an_augmentation_of_what_is_kept_is_refused(composed, trained, tmp_path):
    words = [*BASE, "cache=features", f"cache.root={tmp_path}"]
    assert not list(schema.check(composed(*words, f"+augment.ops.blur={BLUR}")))
    both = f"+augment.ops.blur={BLUR.replace('[uv]', 'null')}"
    assert "augment" in {p.key for p in schema.check(composed(*words, both))}
    with pytest.raises(ValueError, match=r"augment\.ops\.blur changes stream rgb, and features are kept of what never"):
        trained(*words, both)
