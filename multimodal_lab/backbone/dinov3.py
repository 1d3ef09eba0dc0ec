"""The names of DINOv3's weights in transformers' layout, in timm's.

Meta publishes the models (Siméoni et al. 2025) as `facebook/dinov3-…`, files of transformers' DINOv3ViTModel and
DINOv3ConvNextModel; timm has the same weights under other names, with queries, keys and values in one matrix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

UNUSED = "embeddings.mask_token"  # of the training alone
VIT = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.patch_embeddings\.", "patch_embed.proj."),
    (r"^layer\.(\d+)\.layer_scale([12])\.lambda1$", r"blocks.\1.gamma_\2"),
    (r"^layer\.(\d+)\.norm([12])\.", r"blocks.\1.norm\2."),
    (r"^layer\.(\d+)\.attention\.o_proj\.", r"blocks.\1.attn.proj."),
    (r"^layer\.(\d+)\.mlp\.down_proj\.", r"blocks.\1.mlp.fc2."),
    (r"^norm\.", "norm."),
)
PLAIN = ((r"^layer\.(\d+)\.mlp\.up_proj\.", r"blocks.\1.mlp.fc1."),)
GATED = (
    (r"^layer\.(\d+)\.mlp\.gate_proj\.", r"blocks.\1.mlp.fc1_g."),
    (r"^layer\.(\d+)\.mlp\.up_proj\.", r"blocks.\1.mlp.fc1_x."),
)
CONVNEXT = (
    (r"^stages\.0\.downsample_layers\.", "stem."),
    (r"^stages\.(\d+)\.downsample_layers\.", r"stages.\1.downsample."),
    (r"^stages\.(\d+)\.layers\.(\d+)\.depthwise_conv\.", r"stages.\1.blocks.\2.conv_dw."),
    (r"^stages\.(\d+)\.layers\.(\d+)\.layer_norm\.", r"stages.\1.blocks.\2.norm."),
    (r"^stages\.(\d+)\.layers\.(\d+)\.pointwise_conv([12])\.", r"stages.\1.blocks.\2.mlp.fc\3."),
    (r"^stages\.(\d+)\.layers\.(\d+)\.gamma$", r"stages.\1.blocks.\2.gamma"),
    (r"^layer_norm\.", "head.norm."),
)
ATTENTION = re.compile(r"^layer\.(\d+)\.attention\.([qkv])_proj\.(weight|bias)$")
BIASES = re.compile(r"\.attn\.(qkv\.bias|[qv]_bias)$")


def repository(model: str) -> str:
    """Where Meta publishes a timm model of DINOv3 on the Hugging Face hub; "" for any other."""
    if found := re.fullmatch(
        r"vit_(small|base|large|huge|7b)(_plus)?_patch16_dinov3(?:_qkvb)?\.(lvd1689m|sat493m)", model
    ):
        size, plus, images = found.groups()
        letter = size if size == "7b" else size[0]
        return f"facebook/dinov3-vit{letter}16{'plus' if plus else ''}-pretrain-{images}"
    if found := re.fullmatch(r"convnext_(tiny|small|base|large)\.dinov3_lvd1689m", model):
        return f"facebook/dinov3-convnext-{found[1]}-pretrain-lvd1689m"
    return ""


def translate(state: Mapping[str, Tensor], model: Any) -> dict[str, Tensor]:
    """`state` with timm's names where its own are transformers'; else as it is.

    `ValueError` where `model` has no biases of queries and values and those of the file are not zero: they would be lost.
    """
    bare = {k.removeprefix("model."): v for k, v in state.items()}
    if any(ATTENTION.match(k) for k in bare) and "embeddings.register_tokens" in bare:
        gated = any(".mlp.gate_proj." in k for k in bare)
        made = _renamed(bare, (*VIT, *(GATED if gated else PLAIN))) | _attention(bare)
    elif any(".depthwise_conv." in k for k in bare):
        return _renamed(bare, CONVNEXT)
    elif "storage_tokens" in state:  # Meta's own layout, which timm translates, but drops biases without a look at them
        made = dict(state)
    else:
        return dict(state)
    if not any(name.endswith("q_bias") for name, _ in model.named_parameters()):
        for name in [k for k in made if BIASES.search(k)]:
            q_and_v = made[name] if name.endswith("_bias") else torch.cat(made[name].chunk(3)[::2])
            if q_and_v.any():
                raise ValueError(
                    f"its {name} is not zero, and this model has no biases of queries and values; choose the model whose name "
                    "has _qkvb (backbone.model=…_dinov3_qkvb)"
                )
            if name.endswith("_bias"):
                del made[name]
    return made


def _renamed(state: Mapping[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    found = {}
    for name, x in state.items():
        if name == UNUSED or ATTENTION.match(name):
            continue
        for pattern, new in rules:
            renamed, count = re.subn(pattern, new, name)
            if count:
                name = renamed
                break
        found[name] = x  # one that no rule knows keeps its name, which `weights.load` then tells
    return found


def _attention(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{blocks.i.attn.qkv.weight: (3 D, D)} and the biases of queries and values; keys have none."""
    found: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, x in state.items():
        if match := ATTENTION.match(name):
            block, which, what = match.groups()
            if what == "bias":
                found[f"blocks.{block}.attn.{which}_bias"] = x
            else:
                parts.setdefault(block, {})[which] = x
    for block, own in parts.items():
        if len(own) == 3:
            found[f"blocks.{block}.attn.qkv.weight"] = torch.cat([own[which] for which in "qkv"])
    return found
