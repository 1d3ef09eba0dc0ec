"""A model of transformers from a local directory: config.json and safetensors; no network, no pickle, no foreign code."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.masked import where_valid
from multimodal_lab.files import read_json
from multimodal_lab.types import Features

CONFIG = "config.json"
# of a configuration, what a model of images and texts calls one half of it, and its module of that half
Begin = Literal["pretrained", "random"]
HALVES = {"text": ("text_config", "text_model"), "vision": ("vision_config", "vision_model")}


def config_of(weights: str, half: str) -> Any:
    """The configuration of the text or vision half of the model in a directory; `ValueError` in one sentence."""
    config = _config(weights)
    return getattr(config, HALVES[half][0], None) or config


def _config(weights: str) -> Any:
    folder = Path(weights).expanduser()
    if not (folder / CONFIG).is_file():
        raise ValueError(
            f"backbone.weights={weights}: expected a directory with {CONFIG} and model.safetensors, as save_pretrained of "
            f"transformers writes it; found {'no ' + CONFIG + ' in it' if folder.is_dir() else 'no such directory'}"
        )
    from transformers import AutoConfig

    try:
        read_json(folder / CONFIG)  # of a sane size and depth
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of many types, by what is wrong
        raise ValueError(
            f"backbone.weights={weights}: {CONFIG} is of no model that transformers knows: {_first(error)}"
        ) from error


def load(weights: str, half: str, begin: Begin = "pretrained", optional: tuple[str, ...] = ()) -> Any:
    """The text or vision half of the model in a directory, in fp32; tensors that are missing are a `ValueError`.

    begin: "random", built by config.json alone. optional: parts that may be missing, as they are not used.
    """
    config = _config(weights)
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    info: dict[str, Any] = {"missing_keys": (), "mismatched_keys": ()}
    try:
        if begin == "random":
            model = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
        else:
            model, info = AutoModel.from_pretrained(
                Path(weights).expanduser(), local_files_only=True, trust_remote_code=False, use_safetensors=True,
                dtype=torch.float32, output_loading_info=True,
            )  # fmt: skip
    except Exception as error:  # of many types, by what is wrong
        raise ValueError(f"backbone.weights={weights}: can't be loaded: {_first(error)}") from error
    name = HALVES[half][1]
    own = getattr(model, name, None)
    inside = f"{name}." if own is not None else ""
    lost = [k for k in sorted(info["missing_keys"]) if k.startswith(inside) and not set(k.split(".")) & {*optional}]
    lost += [str(k[0] if isinstance(k, tuple) else k) for k in info["mismatched_keys"]]
    if lost:
        raise ValueError(
            f"backbone.weights={weights}: {len(lost)} tensors of {type(model).__name__} are not in its files, or of another "
            f"shape (first: {', '.join(lost[:3])})"
        )
    if own is None and half == "text" and getattr(model.config, "is_encoder_decoder", False):
        return model.get_encoder()
    return model if own is None else own


def checkpointed(model: Any, weights: str) -> None:
    """Recompute activations in the backward pass."""
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise ValueError(f"backbone.checkpointing: the model in {weights} can't; set backbone.checkpointing=false")
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def takes(model: nn.Module, argument: str) -> bool:
    """Whether the model's forward has an argument."""
    return argument in inspect.signature(model.forward).parameters


def features(tokens: Tensor, pooled: Tensor, mask: Tensor) -> Features:
    """tokens (N, L, D), zero where not real; pooled (N, D)."""
    tokens = where_valid(tokens, mask)
    if pooled.requires_grad:
        # what pooled alone passes gets a gradient of 0 from a reader of tokens: none at all would be an unused part
        tokens = tokens + 0 * pooled[:, None, :1]
    return Features(tokens, pooled, mask)


def _first(error: Exception) -> str:
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {said[:200]}"
