"""The losses that conf/ sets are those of transformers' own CLIP and SigLIP: the value, and every gradient of the model."""

import pytest
import torch
from contract import loss as contract
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

N = 6
TOWER = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = {
    **TOWER,
    "vocab_size": 32,
    "max_position_embeddings": 8,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
IMAGE = {**TOWER, "image_size": 8, "patch_size": 4}


def inputs():
    make = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, 32, (N, 8), generator=make)
    tokens[:, -1] = 1
    return {"input_ids": tokens, "pixel_values": torch.randn(N, 3, 8, 8, generator=make, dtype=torch.float64)}


def scope(image, text):
    here = torch.ones(N, dtype=torch.bool)
    found, _ = contract.scope(N, views=1)
    found["out"] = {"projection": {"image": image, "text": text}}
    return {**found, "present": {"image": here, "text": here}}


def gradients(model, value):
    model.zero_grad()
    value.backward()
    return {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}


def assert_same(ours, theirs, but):
    assert ours.keys() == theirs.keys() - but
    for name, g in ours.items():
        torch.testing.assert_close(g, theirs[name], rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("logit_scale", [2.6592, 4.6])  # ln(1 / 0.07), and near the published limit, ln 100
def test_clip_is_transformers(logit_scale):
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=IMAGE, projection_dim=12)).double()
    with torch.no_grad():
        model.logit_scale.fill_(logit_scale)
    theirs = model(**inputs(), return_loss=True).loss
    expected = gradients(model, theirs)
    term = contract.made("clip").build().double()
    assert term.knobs["temperature"](0.0).item() == pytest.approx(0.07)
    with torch.no_grad():
        term.knobs["temperature"].log.fill_(-logit_scale)
    said = model(**inputs())
    ours = term(scope(said.image_embeds, said.text_embeds))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)
    assert_same(gradients(model, ours), expected, {"logit_scale"})
    (slope,) = (p.grad for p in term.parameters())
    torch.testing.assert_close(-slope, expected["logit_scale"], rtol=1e-9, atol=1e-12)  # log τ is minus their log scale


def test_siglip_is_transformers():
    torch.manual_seed(0)
    model = SiglipModel(SiglipConfig(text_config=TEXT, vision_config=IMAGE)).double()
    with torch.no_grad():
        model.logit_scale.fill_(torch.tensor(10.0).log())
        model.logit_bias.fill_(-10.0)
    theirs = model(**inputs(), return_loss=True).loss
    expected = gradients(model, theirs)
    term = contract.made("siglip").build().double()  # begins with scale 10 and bias -10
    said = model(**inputs())
    ours = term(scope(said.image_embeds, said.text_embeds))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)  # ln 10 of the scale is float32's
    with torch.no_grad():
        term.knobs["scale"].log.copy_(model.logit_scale.squeeze())
    ours = term(scope(said.image_embeds, said.text_embeds))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)
    term.zero_grad()
    assert_same(gradients(model, ours), expected, {"logit_scale", "logit_bias"})
    for ours_, theirs_ in (("scale.log", "logit_scale"), ("bias.value", "logit_bias")):
        found = dict(term.knobs.named_parameters())[ours_].grad
        torch.testing.assert_close(found, expected[theirs_].squeeze(), rtol=1e-9, atol=1e-12)
