"""Every backbone of conf/: shape, width, gradients, independence of rows. A new file there tests itself."""

import tempfile
from functools import cache, partial
from pathlib import Path

import pytest
import sounds_made
import timm
import torch
import torchvision
from contract import backbone
from contract.owed import CONF, called, factory
from torch import nn

from multimodal_lab.backbone.kind import require
from multimodal_lab.config.facts import fact
from multimodal_lab.config.signature import signature
from multimodal_lab.config.suggest import nodes
from multimodal_lab.types import Features

NAMES = sorted(p.stem for p in (CONF / "backbone").glob("[!_]*.yaml"))
TINY = ("test_vit", "test_resnet", "test_convnext")  # of timm: a class token, batch norm, neither
VIDEO = ("s3d",)  # of torchvision, the smallest


@cache
def tiny(kind):
    """A directory with a tiny random model of a kind, for the streams of the contract: 7 words below 11, images of 32 px."""
    folder = Path(tempfile.mkdtemp()) / kind
    if kind == "vector":
        sounds_made.ast(folder)
        return folder
    from transformers import BertConfig, BertModel, VideoMAEConfig, VideoMAEModel, ViTConfig, ViTModel

    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    make = {
        "text": lambda: BertModel(BertConfig(vocab_size=11, max_position_embeddings=9, **size, **still)),
        "image": lambda: ViTModel(ViTConfig(image_size=32, patch_size=8, **size, **still)),
        "video": lambda: VideoMAEModel(VideoMAEConfig(image_size=32, patch_size=8, num_frames=4, **size, **still)),
    }
    model = make[kind]()
    model.save_pretrained(folder)
    return folder


def cases():
    """Each file that says what it builds; one that builds any timm model, with some of its tiny ones."""
    for name, node in nodes("backbone").items():
        takes = signature(node["_target_"]).parameters
        still = {"dropout": 0.0} if "dropout" in takes else {}
        models = VIDEO if "video" in name else TINY
        yield from ((name, {**still, **m}) for m in ([{"model": t} for t in models] if "model" in takes else [{}]))


CASES = list(cases())
IDS = [called(*case) for case in CASES]


def made(name, knobs):
    node = nodes("backbone")[name]
    several = "streams" in signature(node["_target_"]).parameters
    kind = fact(node["_target_"], "kinds")[0]
    steps = backbone.STEPS if fact(node["_target_"], "steps") else None
    if node.get("weights") == "???":  # a directory of transformers
        knobs = {**knobs, "weights": str(tiny("video" if steps and kind == "image" else kind))}
    return backbone.made(name, factory("backbone", name, **knobs), kind, several=several, steps=steps)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_composes_and_names_a_model_that_is_there(name):
    found = factory("backbone", name).keywords
    assert found
    if "model" in found:
        assert found["model"] in {
            *timm.list_models(),
            *timm.list_models(pretrained=True),
            *torchvision.models.list_models(),
        }
        own = "." in found["model"]  # a tag of weights: the model is its weights
        assert found["weights"] == ("cache" if own else "random")


@pytest.mark.parametrize(
    "check", [*backbone.CHECKS, backbone.other_kinds, backbone.other_axis], ids=lambda c: c.__name__
)
@pytest.mark.parametrize(("name", "knobs"), CASES, ids=IDS)
def test_it_gives_what_it_owes(name, knobs, check):
    check(made(name, knobs))


class Mean(nn.Module):
    """The plainest backbone of a time axis."""

    kinds = ("vector",)
    steps = True

    def __init__(self, stream):
        super().__init__()
        require(self, stream)
        self.dim, self.layer, self.norm = 6, nn.Linear(stream.channels, 6), nn.LayerNorm(6)

    def forward(self, x, valid):
        tokens = self.norm(self.layer(x.mT)) * valid[..., None]
        return Features(tokens, tokens.sum(1) / valid.sum(1, keepdim=True).clamp_min(1), valid)


TIMED = [case for case in CASES if fact(nodes("backbone")[case[0]]["_target_"], "steps")]


@pytest.mark.parametrize("check", [*backbone.CHECKS, backbone.timed, backbone.other_axis], ids=lambda c: c.__name__)
def test_the_contract_of_a_time_axis_can_be_kept(check):
    check(backbone.made("mean", partial(Mean), "vector", steps=backbone.STEPS))


@pytest.mark.parametrize("case", TIMED, ids=[called(*case) for case in TIMED])
def test_padding_has_no_part(case):
    backbone.timed(made(*case))


def test_a_backbone_that_reads_padding_is_told_so():
    class Careless(Mean):
        def forward(self, x, valid):
            return Features.from_tokens(self.layer(x.mT))

    with pytest.raises(AssertionError, match="pooled changes with the zeros that a recording is padded with"):
        backbone.timed(backbone.made("careless", partial(Careless), "vector", steps=backbone.STEPS))


@pytest.mark.parametrize(("name", "knobs"), CASES, ids=IDS)
def test_freeze_freezes(name, knobs):
    backbone.freezes(made(name, knobs), made(name, {**knobs, "freeze": True}))
