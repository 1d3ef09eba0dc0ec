"""A model of transformers from a directory or the user's cache: config.json and plain tensors; no network, no foreign code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone import weights as files
from multimodal_lab.backbone.masked import where_valid
from multimodal_lab.files import read_json
from multimodal_lab.pretrained.hub import CONFIG, directory
from multimodal_lab.types import Features

Begin = Literal["pretrained", "random"]
# of a configuration, what a model of two kinds calls one half of it, its module of that half and the projection behind
HALVES = {
    "text": ("text_config", "text_model", "text_projection"),
    "vision": ("vision_config", "vision_model", "visual_projection"),
    "audio": ("audio_config", "audio_model", "audio_projection"),
}
# how a configuration names a dropout: hidden_dropout_prob, dropout_rate, resid_pdrop, …; layerdrop and drop_path are none
DROPOUT = re.compile(r"dropout|pdrop")


@dataclass
class Half:
    """The text, vision or audio half of a model. dual: it is half of one of two kinds, all others are whole.

    projection: what such a one has behind the pooled vector, None for SigLIP. scalars: what its loss has learnt, by the names
    that losses have here: `scale` of the cosines, `temperature`, 1 / scale, and `bias` (SigLIP's).
    """

    model: Any
    dual: bool
    projection: nn.Module | None
    scalars: dict[str, float]


def config_of(weights: str, half: str) -> Any:
    """The configuration of the text, vision or audio half of the model in a directory; `ValueError` in one sentence."""
    config = whole_config(weights)
    return getattr(config, HALVES[half][0], None) or config


def require_tensors(weights: str, begin: Begin) -> None:
    """`FileNotFoundError` where a directory to begin with has no safetensors."""
    if begin == "pretrained":
        files.in_directory(directory(weights, "backbone.weights"), f"backbone.weights={weights}")


def whole_config(weights: str) -> Any:
    """The configuration of the model in a directory; `ValueError` in one sentence."""
    folder = directory(weights, "backbone.weights")
    from transformers import AutoConfig

    try:
        read_json(folder / CONFIG)  # of a sane size and depth
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of many types, by what is wrong
        raise ValueError(
            f"backbone.weights={weights}: {CONFIG} is of no model that transformers knows: {_first(error)}"
        ) from error


def require_dropout(weights: str, dropout: float | None) -> None:
    """`ValueError` where a dropout is asked of a model that has none."""
    if dropout is not None and not any(_dropouts(config := whole_config(weights))):
        raise ValueError(
            f"backbone.dropout={dropout:g}: the {config.model_type} in {weights} has no dropout; set backbone.dropout=null"
        )


def _dropouts(config: Any) -> Iterator[tuple[Any, str]]:
    """(configuration, field) of every dropout of a model, those of its halves too; a field without a number is of no use."""
    for name, value in vars(config).items():
        if hasattr(value, "model_type"):
            yield from _dropouts(value)
        elif DROPOUT.search(name) and isinstance(value, int | float) and not isinstance(value, bool):
            yield config, name


def load(
    weights: str,
    half: str,
    begin: Begin = "pretrained",
    optional: tuple[str, ...] = (),
    projects: bool = False,
    dropout: float | None = None,
) -> Half:
    """The text, vision or audio half of the model in a directory, in fp32; tensors that are missing are a `ValueError`.

    begin: "random", built by config.json alone. optional: parts that may be missing, as they are not used. projects: its
    projection is used, so that it must be there; a whole model, which has none, is a `ValueError`. Only safetensors are read.
    dropout: of every dropout in training, in place of what config.json says; see `require_dropout`.
    """
    config, folder = whole_config(weights), directory(weights, "backbone.weights")
    require_tensors(weights, begin)
    require_dropout(weights, dropout)
    if dropout is not None:
        for part, name in list(_dropouts(config)):
            setattr(part, name, dropout)
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    info: dict[str, Any] = {"missing_keys": (), "mismatched_keys": ()}
    try:
        if begin == "random":
            model = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
        else:
            model, info = AutoModel.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # of many types, by what is wrong
        raise ValueError(f"backbone.weights={weights}: can't be loaded: {_first(error)}") from error
    _, name, projection = HALVES[half]
    own = getattr(model, name, None)
    inside = (f"{name}.", f"{projection}." if projects else f"{name}.") if own is not None else ("",)
    lost = [k for k in sorted(info["missing_keys"]) if k.startswith(inside) and not set(k.split(".")) & {*optional}]
    lost += [str(k[0] if isinstance(k, tuple) else k) for k in info["mismatched_keys"]]
    if lost:
        raise ValueError(
            f"backbone.weights={weights}: {len(lost)} tensors of {type(model).__name__} are not in its files, or of another "
            f"shape (first: {', '.join(lost[:3])})"
        )
    if own is not None:
        return Half(own, True, getattr(model, projection, None), _scalars(model, info["missing_keys"]))
    if projects:
        raise ValueError(
            f"backbone.projection=true: the {config.model_type} in {weights} is no model of two kinds, such as images and texts, "
            "and has no projection of its own; set backbone.projection=false"
        )
    encodes = half in ("text", "audio") and getattr(model.config, "is_encoder_decoder", False)
    return Half(model.get_encoder() if encodes else model, False, None, {})


def _scalars(model: Any, missing: Collection[str]) -> dict[str, float]:
    """What a loss of two kinds has learnt; {} of a model whose files say nothing. Of CLAP's two scales that of sounds."""
    names = ("logit_scale_a" if hasattr(model, "logit_scale_a") else "logit_scale", "logit_bias")
    scale, bias = (None if n in missing else getattr(model, n, None) for n in names)
    if not isinstance(scale, Tensor):
        return {}
    found = float(scale.detach().double().exp())
    return {"scale": found, "temperature": 1 / found} | (
        {"bias": float(bias.detach())} if isinstance(bias, Tensor) else {}
    )


def checkpointed(model: Any, weights: str) -> None:
    """Recompute activations in the backward pass."""
    if not getattr(model, "supports_gradient_checkpointing", False):
        raise ValueError(f"backbone.checkpointing: the model in {weights} can't; set backbone.checkpointing=false")
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def require_own_pooling(pool: str, projection: bool) -> None:
    """`ValueError` where a projection is to be given another vector than the one that it was trained on."""
    if projection and pool != "pooler":
        raise ValueError(
            f"backbone.projection=true with backbone.pool={pool}: the model's own projection was trained on its own pooled "
            "vector; set backbone.pool=pooler, or backbone.projection=false"
        )


def width(hidden: int, projection: nn.Module | None) -> int:
    """What comes out of a projection of a pooled vector, itself where there is none."""
    return hidden if projection is None else int(projection(torch.zeros(1, hidden)).shape[1])


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


def normalisation(weights: str, pretrained_bands: list[str]) -> dict[str, Any]:
    """What the weights of a directory were trained to be normalised by, as a backbone's `normalisation` says it; `ValueError`
    where nothing there tells."""
    mean, std = files.statistics(str(directory(weights, "backbone.weights"))) or (None, None)
    if mean is None or std is None:
        raise ValueError(
            f"normalise=backbone: {weights} has no preprocessor_config.json with image_mean and image_std; give {{mean, std}}"
        )
    return {"mean": mean, "std": std, "bands": list(pretrained_bands), "of": weights}
