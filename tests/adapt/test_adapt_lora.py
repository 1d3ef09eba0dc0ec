"""LoRA and DoRA of parts of a system: the formula, peft's own wrapping, what is frozen, and what is refused."""

import copy

import pytest
import timm
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import BertConfig, BertModel

from multimodal_lab.adapt.lora import lora
from multimodal_lab.adapt.low_rank import merge

BERT = BertConfig(
    vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0, max_position_embeddings=16,
)  # fmt: skip
WORDS = {"input_ids": torch.arange(12).reshape(2, 6)}
MODELS = {
    "vit": (lambda: timm.create_model("test_vit", num_classes=0), ["qkv", "fc1"], torch.randn(2, 3, 160, 160)),
    "resnet": (
        lambda: timm.create_model("test_resnet", num_classes=0, zero_init_last=False),
        ["conv2"],
        torch.randn(2, 3, 64, 64),
    ),
    "bert": (lambda: BertModel(BERT, add_pooling_layer=False), ["query", "value"], WORDS),
}


def system(part, **more):
    """A part as a stage of a system, beside a head that is trained."""
    return nn.ModuleDict({"backbones": nn.ModuleDict({"a": part, **more}), "head": nn.Linear(3, 2)})


def out(model, x):
    return model(**x).last_hidden_state if isinstance(x, dict) else model(x)


def moved(model, seed=1):
    """Give updates weights other than 0."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name or "magnitude" in name:
                p.add_(0.1 * torch.randn(p.shape, generator=g))


def test_the_formula():
    made = system(nn.Linear(5, 4))
    w, bias = made.backbones.a.weight.clone(), made.backbones.a.bias.clone()
    lora(made, modules=["backbones.a"], r=2, lora_alpha=6, lora_dropout=0.0)
    x = torch.randn(7, 5)
    assert torch.equal(made.backbones.a(x), nn.functional.linear(x, w, bias))
    moved(made)
    a, b = made.backbones.a.lora_A["default"].weight, made.backbones.a.lora_B["default"].weight
    assert (a.shape, b.shape) == ((2, 5), (4, 2))
    expected = [[sum(w[o, i] * row[i] for i in range(5)) + bias[o]
                 + 6 / 2 * sum(b[o, k] * sum(a[k, i] * row[i] for i in range(5)) for k in range(2)) for o in range(4)]
                for row in x]  # fmt: skip
    torch.testing.assert_close(
        made.backbones.a(x), torch.stack([torch.stack(row) for row in expected]), atol=1e-6, rtol=1e-5
    )


def test_the_formula_of_dora():
    """m (W + s B A) / ‖W + s B A‖ by rows of (out, in), Liu et al. 2024, eq. 5, with s = alpha / √r."""
    made = system(nn.Linear(5, 4, bias=False))
    w = made.backbones.a.weight.clone()
    lora(made, modules=["backbones.a"], r=4, lora_alpha=6, use_dora=True, use_rslora=True, lora_dropout=0.0)
    x = torch.randn(7, 5)
    torch.testing.assert_close(made.backbones.a(x), x @ w.T)
    moved(made)
    own = made.backbones.a
    v = w + 6 / 4**0.5 * own.lora_B["default"].weight @ own.lora_A["default"].weight
    m = own.lora_magnitude_vector["default"].weight
    torch.testing.assert_close(own(x), x @ (m[:, None] * v / v.norm(dim=1, keepdim=True)).T, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("name", MODELS)
def test_it_is_what_peft_makes_of_the_same_model_and_seed_and_merges_to_the_same(name, dora):
    make, targets, x = MODELS[name]
    knobs = {"r": 3, "lora_alpha": 5, "lora_dropout": 0.0, "use_dora": dora, "target_modules": targets}
    torch.manual_seed(0)
    plain = make().eval()
    made = system(copy.deepcopy(plain)).eval()
    torch.manual_seed(1)
    lora(made, modules=["backbones.a"], **knobs)
    torch.manual_seed(1)
    theirs = get_peft_model(copy.deepcopy(plain), LoraConfig(**knobs)).eval()
    moved(made)
    moved(theirs)
    ours = dict(made.backbones.a.named_parameters())
    known = {k.removeprefix("base_model.model."): p for k, p in theirs.named_parameters()}
    assert ours.keys() == known.keys()
    assert all(torch.equal(p, known[k]) for k, p in ours.items())
    a, b = out(made.backbones.a, x), out(theirs, x)
    torch.testing.assert_close(a, b, atol=0, rtol=0)
    assert not torch.allclose(a, out(plain, x), atol=1e-3)
    a.square().sum().backward()
    b.square().sum().backward()
    trained = [k for k, p in ours.items() if p.requires_grad]
    assert trained == [k for k, p in known.items() if p.requires_grad]
    assert all(torch.equal(ours[k].grad, known[k].grad) for k in trained)

    count = merge(made)
    assert count == sum("lora_A" in k for k in ours)
    assert made.backbones.a.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(out(made.backbones.a, x), a, atol=1e-5, rtol=1e-5)
    plain.load_state_dict(made.backbones.a.state_dict())
    torch.testing.assert_close(out(plain, x), a, atol=1e-5, rtol=1e-5)


def test_the_named_parts_are_frozen_with_their_statistics_and_the_rest_is_trained_as_before():
    part = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    made = system(part, b=nn.Linear(3, 3), locked=nn.Linear(3, 3).requires_grad_(False))
    lora(made, modules=["backbones.a"], target_modules=["0"], lora_dropout=0.5)
    made.train()
    assert [k for k, p in made.named_parameters() if p.requires_grad] == [
        "backbones.a.0.lora_A.default.weight", "backbones.a.0.lora_B.default.weight", "backbones.b.weight",
        "backbones.b.bias", "head.weight", "head.bias",
    ]  # fmt: skip
    before = made.backbones.a[1].running_mean.clone()
    made.backbones.a(torch.randn(5, 2, 6, 6))
    assert torch.equal(before, made.backbones.a[1].running_mean)
    assert made.backbones.a[2].training
    assert made.backbones.a[0].lora_dropout["default"].training
    assert not vars(made).get("peft_config")


def test_which_layers():
    def adapted(**knobs):
        made = system(BertModel(BERT, add_pooling_layer=False), b=nn.Sequential(nn.Linear(3, 3), nn.Conv1d(2, 2, 1)))
        lora(made, **knobs)
        return [k.removesuffix(".lora_A") for k, _ in made.named_modules() if k.endswith(".lora_A")]

    every = adapted(modules=["backbones"])
    assert len(every) == 13  # six linear layers in each of two, and one
    assert "backbones.b.0" in every
    pattern = adapted(modules=["backbones.a"], target_modules=r"encoder\.layer\.1\..*\.(query|value)")
    assert pattern == [f"backbones.a.encoder.layer.1.attention.self.{k}" for k in ("query", "value")]
    assert len(adapted(modules=["backbones.a"], exclude_modules=["dense"])) == 6
    assert adapted(modules=["backbones.b"], target_modules=["1"]) == ["backbones.b.1"]
    assert adapted(modules=["backbones.b.0", "backbones"], target_modules=["b.0"]) == ["backbones.b.0"]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.layer, self.out = nn.Embedding(5, 3), nn.Linear(3, 3), nn.Linear(3, 5, bias=False)
        self.out.weight = self.words.weight


class Own(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


A = {"modules": ["backbones.a"]}
REFUSED = {
    "no such part": ({"modules": ["backbone.a"]}, r"adapt.modules: no module named 'backbone.a'.*nearest: backbones.a"),
    "no part": ({"modules": []}, "adapt.modules: an empty list adapts nothing; expected one name or more"),
    "no such layer": (
        {**A, "target_modules": ["quary", "value"]},
        "adapt.target_modules: no layer named 'quary' in backbones.a; expected one of .*nearest: query",
    ),
    "none to leave out": (
        {**A, "exclude_modules": ["valu"]},
        "adapt.exclude_modules: no layer named 'valu'.*nearest: value",
    ),
    "none that fits": (
        {**A, "target_modules": ".*q_proj"},
        "adapt.target_modules=.*q_proj: fits no layer of backbones.a",
    ),
    "no pattern": (
        {**A, "target_modules": "(query"},
        "adapt.target_modules: '.query' is not a regular expression: missing",
    ),
    "all left out": ({**A, "target_modules": ["query"], "exclude_modules": ["query"]}, "fits no layer of backbones.a"),
    "a part without": (
        {"modules": ["backbones.a", "backbones.b"]},
        "adapt.target_modules=all-linear: fits no layer of backbones.b",
    ),
    "no weights": (
        {**A, "target_modules": ["LayerNorm"]},
        "embeddings.LayerNorm is a LayerNorm, and a low-rank update is for Linear",
    ),
    "attention of torch": (
        {"modules": ["backbones.c"], "target_modules": ["out_proj"]},
        "backbones.c.out_proj is of an attention of torch, which reads its weight past any update",
    ),
    "of its own": (
        {"modules": ["backbones.own"], "target_modules": ["0"]},
        "own.0 is a Own, which computes in its own way what a Linear does by its weight",
    ),
    "tied": (
        {"modules": ["backbones.tied"], "target_modules": ["words"]},
        "words shares its weight with backbones.tied.out.weight, .*exclude_modules",
    ),
    "frozen": ({"modules": ["backbones.frozen"]}, "backbones.frozen is frozen already, by its own freeze=true"),
    "groups": (
        {"modules": ["backbones.groups"], "target_modules": ["0"], "r": 3},
        "adapt: peft can't adapt one of 1 layers such as backbones.groups.0: .*groups",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_is_told_in_one_sentence_and_nothing_is_changed(case):
    from multimodal_lab.backbone.freeze import freeze

    made = system(
        BertModel(BERT, add_pooling_layer=False),
        b=nn.LayerNorm(3),
        c=nn.MultiheadAttention(4, 2),
        own=nn.Sequential(Own(3, 3)),
        tied=Tied(),
        frozen=freeze(nn.Sequential(nn.Linear(3, 3))),
        groups=nn.Sequential(nn.Conv2d(4, 4, 3, groups=4)),
    )
    before = [(k, p.requires_grad) for k, p in made.named_parameters()]
    knobs, said = REFUSED[case]
    with pytest.raises(ValueError, match=said) as caught:
        lora(made, **knobs)
    assert "\n" not in str(caught.value)
    assert [(k, p.requires_grad) for k, p in made.named_parameters()] == before


def test_a_layer_in_two_places_and_weights_of_another_part_are_refused():
    made = system(Tied())
    made["head"] = nn.Sequential(made.backbones.a.layer)
    with pytest.raises(
        ValueError, match=r"backbones\.a\.layer is head\.0, too, which would not see its update; leave it out"
    ):
        lora(made, modules=["backbones"], target_modules=["layer"])
    with pytest.raises(
        ValueError, match=r"adapt\.modules: head holds backbones\.a\.layer\.weight, which it shares; adapt "
    ):
        lora(made, modules=["head"])
    made["head"] = nn.Sequential(made.backbones.a)  # the part as a whole: its layers are in one place
    lora(made, modules=["backbones"], target_modules=["layer"])
    assert made.head[0].layer is made.backbones.a.layer
