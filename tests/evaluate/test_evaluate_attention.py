"""Attention as transformers, timm and slow numpy have it, and what is made of it: rollout, Grad-CAM, words over patches."""

from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    SiglipConfig,
    SiglipModel,
)

from multimodal_lab.backbone.convnet import ConvNet
from multimodal_lab.backbone.image import Image
from multimodal_lab.backbone.text import Text
from multimodal_lab.data.streams.tokenizer import Tokens
from multimodal_lab.evaluate.attention import Recorder
from multimodal_lab.evaluate.looked import gradcam, looked
from multimodal_lab.evaluate.pieces import pieces
from multimodal_lab.evaluate.rollout import Rollout
from multimodal_lab.evaluate.token_patch import similarity
from multimodal_lab.head.projection import Projection
from multimodal_lab.report.overlay import overlay
from multimodal_lab.types import Band, Batch, Features, Stream

SIZE = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
EYES = {**SIZE, "image_size": 32, "patch_size": 8}
IMAGE = Stream("image", bands=tuple(Band(n) for n in ("R", "G", "B")), size=32, mean=(0.5,) * 3, std=(0.2,) * 3)
WORDS = Stream("text", kind="text", vocab=40, length=10, bos=1, eos=2)


def ids():
    x = torch.tensor([[1, 5, 6, 7, 8, 2, 0, 0, 0, 0], [1, 9, 2, 0, 0, 0, 0, 0, 0, 0]])
    return x, (x != 0).long()


def stub(name, module, stream, x):
    """What `looked` asks of a system, of one stream."""
    return SimpleNamespace(
        backbones=SimpleNamespace(
            each={name: module}, one=lambda n, x, valid: module(x), by_stream=lambda: {name: module}
        ),
        input=lambda n, batch: batch.inputs[n], valid=lambda n, batch: None, streams={name: stream},
    ), Batch.of({name: x})  # fmt: skip


def squared(f):
    return f.pooled.square().sum(1)


@pytest.mark.parametrize("way", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["clip_text", "clip_vision", "siglip_vision", "siglip_text", "bert"])
def test_what_is_recorded_are_the_attentions_of_transformers(name, way):
    torch.manual_seed(0)
    x, mask = ids()
    pixels = {"pixel_values": torch.randn(2, 3, 32, 32)}
    said = {"input_ids": x, "attention_mask": mask}
    text = {**SIZE, "vocab_size": 40, "max_position_embeddings": 12, "bos_token_id": 1, "eos_token_id": 2}
    whole = {"bert": lambda: BertModel(BertConfig(**{**text, "max_position_embeddings": 16})),
             "clip": lambda: CLIPModel(CLIPConfig(text_config=text, vision_config=EYES)),
             "siglip": lambda: SiglipModel(SiglipConfig(text_config=text, vision_config=EYES))}[name.split("_")[0]]()  # fmt: skip
    whole.set_attn_implementation(way)
    part = getattr(whole.eval(), f"{name.split('_')[1]}_model") if "_" in name else whole.eval()
    given = pixels if "vision" in name else said
    with Recorder() as seen:
        got = part(**given)
    whole.set_attn_implementation("eager")
    want = part(**given, output_attentions=True)
    assert len(seen.layers) == len(want.attentions) == 3
    for mine, theirs in zip(seen.layers, want.attentions, strict=True):
        rows = mask.bool() if "vision" not in name else torch.ones(2, mine.shape[-1], dtype=torch.bool)
        torch.testing.assert_close(mine.transpose(1, 2)[rows], theirs.transpose(1, 2)[rows], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got.last_hidden_state[mask.bool()] if "vision" not in name else got.last_hidden_state,
                               want.last_hidden_state[mask.bool()] if "vision" not in name else want.last_hidden_state,
                               rtol=1e-4, atol=1e-5)  # fmt: skip
    assert len(seen.pools) == (name == "siglip_vision")
    for pool in seen.pools:
        assert pool.shape == (2, 2, 1, 16)
        torch.testing.assert_close(pool.sum(-1), torch.ones(2, 2, 1))


@pytest.mark.parametrize("fused", [True, False])
def test_what_is_recorded_of_timm_and_of_our_own_text_is_computed_by_hand(fused):
    torch.manual_seed(0)
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, depth=2).eval()
    for block in net.blocks:
        block.attn.fused_attn = fused
    inputs = []
    for block in net.blocks:
        block.attn.register_forward_pre_hook(lambda m, args: inputs.append(args[0]))
    plain = net(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    inputs.clear()
    with Recorder() as seen:
        watched = net(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(watched, plain, rtol=1e-4, atol=1e-5)
    for attention, block, x in zip(seen.layers, net.blocks, inputs, strict=True):
        q, k, _ = block.attn.qkv(x).reshape(2, -1, 3, 3, 64).permute(2, 0, 3, 1, 4)
        torch.testing.assert_close(attention, (q @ k.transpose(-2, -1) / 8).softmax(-1), rtol=1e-4, atol=1e-6)
    own = Text(WORDS, width=8, layers=1, heads=2).eval()
    x, mask = ids()
    with Recorder() as seen:
        own(x)
    layer = own.layers[0]
    q, k, _ = layer.qkv(layer.norm_attend(own.words(x) + own.places)).reshape(2, 10, 3, 2, 4).permute(2, 0, 3, 1, 4)
    scores = (q @ k.transpose(-2, -1) / 2).masked_fill(mask[:, None, None] == 0, -torch.inf)
    torch.testing.assert_close(seen.layers[0], scores.softmax(-1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("heads", ["mean", "max", "min", 1])
@pytest.mark.parametrize("layers", [None, [2, 0]])
def test_rollout_is_that_of_slow_numpy(heads, layers):
    attention = [torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(i)).softmax(-1) for i in range(3)]
    found = Rollout(layers=layers, heads=heads, residual=0.4)(attention).numpy()
    for n in range(2):
        want = np.eye(5)
        for i in sorted(layers or range(3)):
            a = attention[i][n].numpy().astype(float)
            one = a[heads] if isinstance(heads, int) else getattr(np, heads)(a, axis=0)
            mixed = 0.6 * one + 0.4 * np.eye(5)
            rows = [[mixed[r, c] / sum(mixed[r]) for c in range(5)] for r in range(5)]
            want = [[sum(rows[r][k] * want[k][c] for k in range(5)) for c in range(5)] for r in range(5)]
        np.testing.assert_allclose(found[n], want, atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)


def test_a_layer_or_head_that_is_not_there_is_one_sentence():
    attention = [torch.ones(1, 2, 3, 3) / 3] * 4
    with pytest.raises(
        ValueError, match=r"attention.layers: no layer 6 in the tower of image, which has 4, 0 to 3; nearest: 3"
    ):
        Rollout(layers=[0, 6])(attention, "image")
    with pytest.raises(
        ValueError, match=r"attention.heads: no head 8 in a layer of the tower of image, which has 2, 0 to 1"
    ):
        Rollout(heads=8)(attention, "image")
    with pytest.raises(ValueError, match="layers is empty"):
        Rollout(layers=[])


def test_the_embedding_has_read_what_its_pooling_reads():
    torch.manual_seed(0)
    x, mask = ids()
    own = Text(WORDS, width=8, layers=2, heads=2).eval()
    system, batch = stub("text", own, WORDS, x)
    found = looked(system, "text", batch, Rollout(), squared)
    with Recorder() as seen:
        own(x)
    read = Rollout()([a.detach() for a in seen.layers])
    mean = (read * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(found.map, mean)
    assert (found.how, found.layers, found.heads) == ("rollout", 2, 2)
    assert not found.map[mask == 0].any()
    vit = Image(IMAGE, model="vit_tiny_patch16_224", pretrained_bands=["R", "G", "B"]).eval()
    pixels = torch.randn(2, 3, 32, 32)
    system, batch = stub("image", vit, IMAGE, pixels)
    found = looked(system, "image", batch, Rollout(), squared)
    with Recorder() as seen:
        vit(pixels)
    read = Rollout()([a.detach() for a in seen.layers])
    torch.testing.assert_close(found.map, read[:, 0, 1:].unflatten(1, (2, 2)))  # of the class token


def test_siglips_embedding_has_read_what_the_query_of_its_head_attends_to():
    torch.manual_seed(0)
    text = {**SIZE, "vocab_size": 40, "max_position_embeddings": 12}
    vision = SiglipModel(SiglipConfig(text_config=text, vision_config=EYES)).eval().vision_model

    class Tower(nn.Module):
        def forward(self, x):
            out = vision(pixel_values=x)
            return Features.from_tokens(out.last_hidden_state, out.pooler_output, (4, 4))

    pixels = torch.randn(2, 3, 32, 32)
    system, batch = stub("image", Tower(), IMAGE, pixels)
    found = looked(system, "image", batch, Rollout(), squared)
    with Recorder() as seen:
        vision(pixel_values=pixels)
    read = Rollout()([a.detach() for a in seen.layers])
    want = torch.einsum("nl,nlk->nk", seen.pools[0].mean((1, 2)), read)
    torch.testing.assert_close(found.map, want.unflatten(1, (4, 4)))


class Bright(nn.Module):
    """A tower of 4 x 4 patches whose class token attends to the bright ones."""

    def forward(self, x):
        patches = nn.functional.avg_pool2d(x.mean(1, keepdim=True), 8).flatten(2).transpose(1, 2)  # (N, 16, 1)
        tokens = torch.cat([torch.ones_like(patches[:, :1]), patches], 1)[:, None]
        query = torch.cat([tokens[..., :1, :], 0 * tokens[..., 1:, :]], -2)
        tokens = nn.functional.scaled_dot_product_attention(query * 8, tokens, tokens, scale=1.0)[:, 0]
        return Features.from_tokens(tokens[:, 1:], tokens[:, 0], (4, 4))


@pytest.mark.parametrize("place", [(0, 3), (3, 0), (1, 2)])
def test_a_planted_patch_is_where_the_map_is_hottest(place):
    x = torch.zeros(2, 3, 32, 32)
    x[:, :, 8 * place[0] : 8 * place[0] + 8, 8 * place[1] : 8 * place[1] + 8] = 3
    system, batch = stub("image", Bright(), IMAGE, x)
    found = looked(system, "image", batch, Rollout(), squared).map
    assert np.unravel_index(int(found[0].argmax()), (4, 4)) == place
    picture = np.full((64, 64, 3), 90, np.uint8)
    over = overlay(picture, found[0].numpy()).astype(int)
    y, xs = np.unravel_index(int(over.sum(-1).argmax()), (64, 64))
    assert abs(y - (16 * place[0] + 8)) <= 8
    assert abs(xs - (16 * place[1] + 8)) <= 8
    assert over[..., 0].max() > 180  # yellow is hot
    assert over[(16 * place[0] + 40) % 64, (16 * place[1] + 40) % 64].sum() < over[y, xs].sum() / 2


def test_gradcam_of_a_mean_and_a_line_is_the_class_activation_map():
    """Zhou et al. 2016: there the gradient is the weight of the line."""
    torch.manual_seed(0)
    conv, weight = nn.Conv2d(3, 5, 3, padding=1), torch.randn(5)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = conv, nn.ReLU()

        def forward(self, x):
            y = self.relu(self.conv(x))
            return Features.from_tokens(y.flatten(2).transpose(1, 2), y.mean((2, 3)), (6, 6))

    net, x = Net(), torch.randn(2, 3, 6, 6)
    for p in net.parameters():
        p.requires_grad_(False)  # frozen ones are explained too
    found = gradcam(lambda: net(x), net, lambda f: f.pooled @ weight)
    want = (conv(x).relu() * weight[:, None, None] / 36).sum(1).clamp(min=0)
    torch.testing.assert_close(found, want)


def test_a_tower_that_does_not_attend_is_explained_by_gradcam():
    net = ConvNet(IMAGE, widths=[4, 8]).eval()
    system, batch = stub("image", net, IMAGE, torch.randn(2, 3, 32, 32))
    found = looked(system, "image", batch, Rollout(layers=[99]), squared)
    assert found.how == "gradcam"
    assert found.map.shape[1:] == net(batch.inputs["image"]).grid
    assert found.map.amax() > 0


def test_words_over_patches_are_cosines_of_projected_tokens():
    torch.manual_seed(0)
    head = Projection({"image": 6, "text": 4}, dim=5, hidden=None).eval()
    system = SimpleNamespace(heads={"projection": head}, listening=set())
    features = {
        "image": Features.from_tokens(torch.randn(2, 6, 6), grid=(2, 3)),
        "text": Features.from_tokens(torch.randn(2, 3, 4)),
    }
    batch = Batch.of({"image": torch.zeros(2, 1), "text": torch.zeros(2, 1)})
    found = similarity(system, "projection", features, batch, "image", "text").detach()
    assert found.shape == (2, 3, 2, 3)
    for n, word, y, x in np.ndindex(2, 3, 2, 3):
        a = head.own["image"].last(features["image"].tokens[n, 3 * y + x])
        b = head.own["text"].last(features["text"].tokens[n, word])
        assert float(found[n, word, y, x]) == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=1e-5)
    assert (
        similarity(
            system, "projection", {**features, "image": Features.from_vector(torch.randn(2, 6))}, batch, "image", "text"
        )
        is None
    )


def test_tokens_are_put_together_to_the_words_that_they_spell():
    tokens = Tokens.train(["red bird", "redder birds", "bird"] * 3, 14, 9, "bpe")
    found = pieces(tokens, "Redder  BIRDS")
    assert [word for word, _ in found] == ["[begin]", "Redder", "BIRDS", "[end]"]
    places = [i for _, own in found for i in own]
    assert places == [*range(len(places))]
    encoded = tokens.encode("Redder  BIRDS")
    assert len(places) == int((encoded != 0).sum())
    bare = Tokenizer(models.WordLevel({"[UNK]": 3, "a": 4}, unk_token="[UNK]"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    assert pieces(Tokens(bare, 4), "a b c d") == [("[begin]", [0]), ("a", [1]), ("b", [2]), ("[end]", [3])]
