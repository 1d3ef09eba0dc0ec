"""A tower of transformers has the dropout that `dropout` says while it is trained, and none where it is frozen or judged."""

import pytest
import torch
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel, GPT2Config, ResNetConfig, T5Config

from multimodal_lab.backbone.transformers_model import load, require_dropout
from multimodal_lab.backbone.transformers_text import TransformersText
from multimodal_lab.types import Stream

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
IDS = torch.tensor([[2, 5, 6, 3, 0], [2, 7, 3, 0, 0]])
STREAM = Stream("text", "text", vocab=20, length=5, pad=0, bos=2, eos=3)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """Of a dropout of .1."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=20, max_position_embeddings=8, **SIZE)).save_pretrained(folder)
    return str(folder)


@torch.no_grad()
def seen(weights, training=True, freeze=False, **given):
    tower = TransformersText(STREAM, weights=weights, freeze=freeze, **given)
    torch.manual_seed(1)
    return tower.train(training)(IDS).pooled


def test_the_number_is_that_of_training_and_nothing_else_changes(bert):
    own, judged = seen(bert), seen(bert, training=False)
    assert torch.equal(seen(bert, dropout=None), own)
    assert torch.equal(seen(bert, dropout=0.1), own)
    assert not torch.equal(seen(bert, dropout=0.3), own)
    torch.testing.assert_close(seen(bert, dropout=0.0), judged)  # not one layer drops
    assert not torch.allclose(own, judged)
    for dropout in (0.0, 0.3):
        assert torch.equal(seen(bert, training=False, dropout=dropout), judged)
        assert torch.equal(seen(bert, freeze=True, dropout=dropout), judged)


def test_both_of_a_layers_dropouts_are_set(bert):
    model = load(bert, "text", dropout=0.25).model
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.25}
    assert model.config.attention_probs_dropout_prob == model.config.hidden_dropout_prob == 0.25


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        (T5Config(d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, vocab_size=20), ["dropout_rate"]),
        (
            GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=20, n_positions=8),
            ["attn_pdrop", "embd_pdrop", "resid_pdrop"],
        ),
    ],
)
def test_every_family_by_the_fields_of_its_configuration(tmp_path, config, fields):
    config.save_pretrained(tmp_path)
    found = load(str(tmp_path), "text", "random", dropout=0.25).model
    assert [getattr(found.config, name) for name in fields] == [0.25] * len(fields)
    assert {m.p for m in found.modules() if isinstance(m, torch.nn.Dropout)} == {0.25}


def test_halves_are_set_too_in_what_they_compute(tmp_path):
    config = CLIPConfig(
        text_config={**SIZE, "vocab_size": 20, "max_position_embeddings": 8, "bos_token_id": 2, "eos_token_id": 3},
        vision_config={**SIZE, "image_size": 16, "patch_size": 8},
    )
    CLIPModel(config).save_pretrained(tmp_path)
    images = torch.randn(2, 3, 16, 16)

    def pooled(half, **given):
        torch.manual_seed(1)
        return load(str(tmp_path), half, dropout=0.5).model.train()(**given).pooler_output

    def own(half, **given):
        return load(str(tmp_path), half).model.train()(**given).pooler_output  # CLIP's own is 0

    with torch.no_grad():
        for half, given in (("text", {"input_ids": IDS}), ("vision", {"pixel_values": images})):
            assert not torch.allclose(pooled(half, **given), own(half, **given))


def test_a_model_without_one_is_refused(tmp_path):
    ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1]).save_pretrained(tmp_path)
    require_dropout(str(tmp_path), None)
    for dropout in (0.0, 0.1):
        with pytest.raises(ValueError, match=r"backbone\.dropout=0.*: the resnet in .* has no dropout; set .*=null"):
            require_dropout(str(tmp_path), dropout)
