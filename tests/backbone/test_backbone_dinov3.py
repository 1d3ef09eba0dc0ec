"""DINOv3 as Meta publishes it, in transformers' layout: its outputs from timm's model, on tiny random ones."""

import functools
import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from transformers import DINOv3ConvNextConfig, DINOv3ConvNextModel, DINOv3ViTConfig, DINOv3ViTModel

from multimodal_lab.backbone import dinov3, image, weights
from multimodal_lab.types import Band, Stream

MAKE = timm.create_model
RGB = ["R|B04", "G|B03", "B|B02"]
STREAM = Stream("s", bands=tuple(Band(n) for n in "RGB"), size=64)
VIT = {"embed_dim": 24, "depth": 2, "num_heads": 2}
CONVNEXT = {"dims": (8, 16, 24, 32), "depths": (1, 1, 2, 1)}


@pytest.fixture
def tiny(monkeypatch):
    """Make timm's models as small as the files."""

    def small(**kwargs):
        monkeypatch.setattr(image.timm, "create_model", functools.partial(MAKE, **kwargs))

    return small


def vit(folder, bias=True, **more):
    torch.manual_seed(0)
    config = DINOv3ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96, num_register_tokens=4, **more
    )
    return _saved(DINOv3ViTModel(config), folder, bias)


def convnext(folder):
    torch.manual_seed(0)
    config = DINOv3ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1])
    return _saved(DINOv3ConvNextModel(config), folder)


def _saved(model, folder, bias=True):
    with torch.no_grad():
        for name, p in model.named_parameters():  # constants at first, which would hide what is laid elsewhere
            p.add_(0.1 * torch.randn_like(p))
            if not bias and name.endswith(("q_proj.bias", "v_proj.bias")):
                p.zero_()
    model.save_pretrained(folder)
    return model.eval()


def build(name, weights, **more):
    net = image.Image(STREAM, model=name, weights=str(weights), pretrained_bands=RGB, **more).eval()
    return net, torch.randn(2, 3, 64, 64)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "bias", "more"),
    [
        ("vit_small_patch16_dinov3", False, {}),
        ("vit_small_patch16_dinov3_qkvb", True, {}),
        ("vit_huge_plus_patch16_dinov3_qkvb", True, {"use_gated_mlp": True, "hidden_act": "silu"}),
    ],
)
def test_a_vit_of_transformers_layout_gives_transformers_outputs(tmp_path, tiny, name, bias, more):
    peer = vit(tmp_path, bias, **more)
    tiny(**VIT)
    for file in (tmp_path, tmp_path / "model.safetensors"):
        net, x = build(name, file, pool="cls")
        f, want = net(x), peer(x)
        torch.testing.assert_close(f.pooled, want.pooler_output, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(f.tokens, want.last_hidden_state[:, 5:], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_convnext_of_transformers_layout_gives_transformers_outputs(tmp_path, tiny):
    peer = convnext(tmp_path)
    tiny(**CONVNEXT)
    net, x = build("convnext_tiny.dinov3_lvd1689m", tmp_path)
    f, want = net(x), peer(x)
    torch.testing.assert_close(f.pooled, want.pooler_output, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(f.tokens, want.last_hidden_state[:, 1:], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_both_layouts_and_an_index_of_parts_give_the_same(tmp_path, tiny):
    vit(tmp_path, bias=False)
    tiny(**VIT)
    net, x = build("vit_small_patch16_dinov3", tmp_path)
    save_file(net.model.state_dict(), tmp_path / "timm.safetensors")
    again, _ = build("vit_small_patch16_dinov3", tmp_path / "timm.safetensors")
    assert torch.equal(again(x).tokens, net(x).tokens)
    state = load_file(tmp_path / "model.safetensors")
    parts = tmp_path / "parts"
    parts.mkdir()
    names = sorted(state)
    weight_map = {k: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, k in enumerate(names)}
    for part in set(weight_map.values()):
        save_file({k: state[k] for k in names if weight_map[k] == part}, parts / part)
    (parts / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    again, _ = build("vit_small_patch16_dinov3", parts)
    assert torch.equal(again(x).tokens, net(x).tokens)
    (parts / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"index\.json: names 'model-00002-of-00002\.safetensors', .*complete\?$"):
        build("vit_small_patch16_dinov3", parts)


def test_what_does_not_fit_is_one_sentence(tmp_path, tiny):
    vit(tmp_path)
    tiny(**VIT)
    with pytest.raises(
        ValueError, match=r"blocks\.0\.attn\..*bias is not zero.* choose the model whose name has _qkvb"
    ):
        build("vit_small_patch16_dinov3", tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors: not a readable safetensors file, or cut short"):
        build("vit_small_patch16_dinov3_qkvb", tmp_path)
    convnext(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing .*not in the model"):
        build("vit_small_patch16_dinov3_qkvb", tmp_path)
    del state["stages.2.layers.1.gamma"]
    save_file(state, tmp_path / "less.safetensors")
    tiny(**CONVNEXT)
    with pytest.raises(ValueError, match=r"1 missing \(first: stages\.2\.blocks\.1\.gamma\)"):
        build("convnext_tiny.dinov3_lvd1689m", tmp_path / "less.safetensors")
    with pytest.raises(FileNotFoundError, match=r"expected model\.safetensors or model"):
        build("convnext_tiny.dinov3_lvd1689m", tmp_path.parent)


def test_metas_own_layout_does_not_lose_biases_that_are_not_zero(tmp_path, tiny):
    tiny(**VIT)
    model = timm.create_model("vit_small_patch16_dinov3_qkvb", num_classes=0, **VIT)
    state = {
        k.replace("reg_token", "storage_tokens").replace(".gamma_", ".ls"): v for k, v in model.state_dict().items()
    }
    state = {
        f"{k}.gamma" if k.endswith((".ls1", ".ls2")) else k: v for k, v in state.items() if not k.endswith("_bias")
    }
    own = {
        f"blocks.{i}.attn.qkv.bias": torch.cat([torch.zeros(24), torch.full((24,), float("nan")), torch.zeros(24)])
        for i in (0, 1)
    }
    save_file(state | own, tmp_path / "m.safetensors")
    build("vit_small_patch16_dinov3", tmp_path / "m.safetensors")
    own["blocks.1.attn.qkv.bias"][0] = 0.5
    save_file(state | own, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"m\.safetensors: its blocks\.1\.attn\.qkv\.bias is not zero"):
        build("vit_small_patch16_dinov3", tmp_path / "m.safetensors")


def test_metas_own_repositories_are_found_in_the_cache(tmp_path, monkeypatch):
    names = {
        "vit_small_plus_patch16_dinov3.lvd1689m": "dinov3-vits16plus-pretrain-lvd1689m",
        "vit_7b_patch16_dinov3.sat493m": "dinov3-vit7b16-pretrain-sat493m",
        "convnext_tiny.dinov3_lvd1689m": "dinov3-convnext-tiny-pretrain-lvd1689m",
    }
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for model, name in names.items():
        snapshot = tmp_path / f"models--facebook--{name}"
        (snapshot / "snapshots" / "abc").mkdir(parents=True)
        (snapshot / "refs").mkdir()
        (snapshot / "refs" / "main").write_text("abc")
        (snapshot / "snapshots" / "abc" / "model.safetensors").touch()
        cfg = timm.get_pretrained_cfg(model).to_dict()
        assert weights.locate("cache", cfg, model).parts[-4] == f"models--facebook--{name}"
    assert dinov3.repository("resnet18.a1_in1k") == ""
