"""Heads in order: what earlier heads said, the built backbones, and weights that are one though two modules hold them."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from multimodal_lab.adapt.freeze import freeze
from multimodal_lab.checkpoint import store
from multimodal_lab.checkpoint.state import State
from multimodal_lab.checkpoint.store import CheckpointStore
from multimodal_lab.config.check import check_command
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.optim.optimizers import adamw
from multimodal_lab.train.ema import Average
from multimodal_lab.train.gradcache import backward
from multimodal_lab.types import Band, Batch, Stream

WORDS = ["modality=image_text", "backbone.widths=[8,16]", "+backbone@backbones.text=text", "backbones.text.width=16",
         "backbones.text.layers=1", "backbones.text.dropout=0", "fusion=separate", "head.hidden=null", "head.dim=8",
         "loss=clip"]  # fmt: skip
MATCH = [*WORDS, "+head@heads.match=match", "heads.match.width=16", "heads.match.layers=1", "+loss@losses.match=match"]
TIED = [*WORDS, "+head@heads.tokens=tokens", "+loss@losses.words=masked_tokens"]
STREAMS = {
    "image": Stream("image", bands=tuple(Band(c) for c in "RGB"), size=8, mean=(0.4,) * 3, std=(0.2,) * 3),
    "text": Stream("text", "text", vocab=11, length=6),
}


def system(composed, *words, seed=0):
    torch.manual_seed(seed)
    return safe_instantiate(composed(*words).system)(STREAMS, {})


def batch(n=6):
    g = torch.Generator().manual_seed(0)
    words = torch.randint(4, 11, (n, 6), generator=g)
    words[1, 4:] = 0
    ids, here = torch.arange(n), torch.ones(n, dtype=torch.bool)
    asked = torch.where(torch.rand(n, 6, generator=g) < 0.4, words, -1)
    inputs = {"image": torch.rand(n, 3, 8, 8, generator=g), "text": words}
    return Batch(inputs, {"masked_words": asked}, {"image": here, "text": here}, ids, ids)


def test_a_head_hears_those_before_it(composed):
    one = system(composed, *MATCH)
    _, out = one.encode(batch())
    assert list(out) == ["projection", "match"]
    assert {k: tuple(x.shape) for k, x in out["match"].items()} == {"logits": (6, 3), "known": (6, 3)}
    terms = one(batch())
    assert set(terms) == {"clip", "match", "total"}
    terms["total"].backward()
    assert not one.unused()


def test_what_is_not_said_yet_is_refused_by_name(composed):
    one = system(composed, *MATCH)
    one.heads["match"].by = "match"
    with pytest.raises(KeyError, match=r"head match asks for out\.match, which is said after it; .* projection, match"):
        one.encode(batch())
    one.heads["match"].by = "projction"
    with pytest.raises(KeyError, match=r"head match asks for out\.projction; .*projection"):
        one.encode(batch())


BARE = ["modality=image_text", "+backbone@backbones.text=text", "fusion=separate"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*MATCH, "heads.match.by=projction"], r"heads\.match\.by=projction: .*nearest: heads\.match\.by=projection"),
        ([*BARE, "head=match", "loss=match", "head.by=late", "+head@heads.late=projection"],
         r"head\.by=late: asks for what is said by head late, which comes after it; expected an earlier head, and the main"),
        ([*MATCH, "heads.match.by=late", "+head@heads.late=projection"],
         r"heads\.match\.by=late: asks for what is said by head late, which comes after it; expected one of projection"),
        ([*MATCH, "heads.match.by=match"], r"heads\.match\.by=match: asks for what is said by itself"),
        ([*MATCH, "losses.match.logits=out.match.logit"], r"no stage gives out\.match\.logit; there is out\.match\.logits, "),
        ([*TIED, "cache=features"], r"heads\.tokens=tokens: asks for the backbones, and cache=features"),
    ],
)  # fmt: skip
def test_the_order_is_checked_before_anything_is_read(words, said):
    with pytest.raises(ConfigError, match=said):
        check_command([*words, "data=emoji", "data.root=/tmp", "augment=none", "label=group"])


def test_tied_weights_are_one(composed, tmp_path):
    one = system(composed, *TIED)
    vectors = one.backbones.each["text"].words.weight
    assert one.heads["tokens"].words.weight is vectors
    assert sum(p is vectors for p in one.parameters()) == 1
    optimizer = adamw(one, lr=1e-2, lr_scale={"heads.tokens": 3.0})
    groups = [g["name"] for g in optimizer.param_groups if any(p is vectors for p in g["params"])]
    assert groups == ["rest"]  # the backbone's rate, not the head's
    assert "heads.tokens.words.weight" not in one.state_dict()
    average = Average(one, 0.5)
    assert "heads.tokens.words.weight" not in average.kept

    one(batch())["total"].backward()
    assert not one.unused()
    optimizer.step()
    average.update()
    parts = {"model": one, "optimizer": optimizer, "scaler": torch.amp.GradScaler("cpu", enabled=False), "ema": average,
             "meters": State(), "state": State()}  # fmt: skip
    path = CheckpointStore(tmp_path, 1).save(parts)
    saved = load_file(path / "model.safetensors")
    assert saved["backbones.each.text.words.weight"].equal(vectors)
    assert "heads.tokens.words.weight" not in saved

    other = system(composed, *TIED, seed=1)
    store.load(path, {**parts, "model": other, "optimizer": adamw(other, lr=1e-2, lr_scale={"heads.tokens": 3.0}),
                      "ema": Average(other, 0.5)})  # fmt: skip
    assert other.heads["tokens"].words.weight is other.backbones.each["text"].words.weight
    assert all(torch.equal(x, one.state_dict()[k]) for k, x in other.state_dict().items())
    again = copy.deepcopy(one)
    assert again.heads["tokens"].words.weight is again.backbones.each["text"].words.weight
    store.load_weights(path, again)
    with average.applied():
        assert torch.equal(again.heads["tokens"].words.weight, vectors)


def test_the_gradient_of_tied_weights_is_the_sum_of_both_uses(composed):
    one, apart = system(composed, *TIED), system(composed, *TIED, "heads.tokens.tied=false")
    apart.load_state_dict({**one.state_dict(), "heads.tokens.words.weight": one.heads["tokens"].words.weight})
    one(batch())["total"].backward()
    apart(batch())["total"].backward()
    both = apart.backbones.each["text"].words.weight.grad + apart.heads["tokens"].words.weight.grad
    torch.testing.assert_close(one.backbones.each["text"].words.weight.grad, both)
    parts = system(composed, *TIED)
    backward(parts, batch(), 0.0, rows=4, scaled=lambda x: x)
    torch.testing.assert_close(parts.backbones.each["text"].words.weight.grad, both, rtol=1e-4, atol=1e-6)


def test_freezing_a_head_does_not_freeze_a_backbone_unasked(composed):
    one = system(composed, *TIED)
    with pytest.raises(ValueError, match=r"heads\.tokens holds backbones\.each\.text\.words\.weight, which it shares; freeze "
                                         r"backbones\.each\.text\.words too"):  # fmt: skip
        freeze(one, modules=["heads.tokens"])
    freeze(one, modules=["heads.tokens", "backbones.each.text"])
    assert not one.heads["tokens"].words.weight.requires_grad


def test_a_head_without_word_vectors_to_tie_is_refused(composed):
    with pytest.raises(
        ValueError, match=r"head=tokens needs a backbone with word vectors .* found none among those of image"
    ):
        safe_instantiate(composed("modality=rgb", "fusion=separate", "head=tokens", "loss=masked_tokens").system)(
            {"image": STREAMS["image"]}, {}
        )


def test_a_whole_backbone_in_a_head_is_saved_once(composed):
    class Twice(nn.Module):
        def __init__(self, dims, backbones):
            super().__init__()
            self.text = backbones["text"]

        def forward(self, features, batch):
            return self.text(batch.inputs["text"]).pooled

    one = system(composed, *WORDS)
    count, names = sum(p.numel() for p in one.parameters()), list(one.state_dict())
    one.heads["twice"] = Twice(one.dims, one.backbones.by_stream())
    assert sum(p.numel() for p in one.parameters()) == count
    assert list(one.state_dict()) == names
    one.load_state_dict(system(composed, *WORDS, seed=1).state_dict())
    features, out = one.eval().encode(batch())
    assert torch.equal(out["twice"], features["text"].pooled)
