"""Any timm image model, with any number of input bands."""

from __future__ import annotations

from typing import Any, Literal

import timm
from torch import Tensor, nn

from multimodal_lab.backbone import weights as pretrained
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.inflate import inflate
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Fraction
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Features, Stream


class Image(nn.Module):
    """A timm model without its classifier: `model` by name, its first convolution widened to the bands of the stream.

    weights: "random" (asked for by name: it never happens because a file is missing); "cache" (what this machine's
    Hugging Face or torch cache holds; the network is never asked); or a path to .safetensors, .pt, .pth or .bin.
    Pretrained kernels are laid by band name, see `inflate`; with random weights there is nothing to lay.
    pool: "cls" the class token, "mean" the mean of the grid, "auto" the class token where the model has one.
    Models with batch norm see absent rows (as zeros) in their training statistics; layer and group norm don't.
    """

    kinds = ("image",)

    model: Any  # a timm model: its forward_features and its facts are known to no type

    def __init__(
        self,
        stream: Stream,
        *,
        model: str,
        weights: str = "random",
        pretrained_bands: list[str],
        new_bands: Literal["mean", "nearest", "zero", "random"] = "mean",
        band_correlation: Fraction = 0.0,
        pool: Literal["auto", "cls", "mean"] = "auto",
        drop_path: Fraction = 0.0,
        checkpointing: bool = False,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        self.model = create(model, stream, drop_path)
        if weights != "random":
            self._load(model, weights, stream, pretrained_bands, new_bands, band_correlation)
        self.dim = int(self.model.num_features)
        self.prefix = int(getattr(self.model, "num_prefix_tokens", 0) or 0)
        self.pool = _pool(pool, self.model, model)
        self.norm = _take_norm(self.model)
        if checkpointing:
            self.model.set_grad_checkpointing(True)
        if freeze:
            freeze_module(self)

    def _load(self, name: str, weights: str, stream: Stream, names: list[str], rule: Any, correlation: float) -> None:
        cfg = self.model.pretrained_cfg
        path = pretrained.locate(weights, cfg, name)
        state = pretrained.translate(pretrained.read(path), self.model, cfg)
        first = cfg["first_conv"]
        for stem in [first] if isinstance(first, str) else first:
            if (key := f"{stem}.weight") in state:
                state[key] = inflate(state[key], stream, names, rule, correlation)
        pretrained.load(self.model, state, path)

    def forward(self, x: Tensor) -> Features:
        """x (N, C, H, W) to grid tokens (N, L, D) in row order, no class or register token, and pooled (N, D)."""
        found = self.model.forward_features(x)
        if found.ndim == 3:
            tokens = self.norm(found)
            pooled = tokens[:, 0] if self.pool == "cls" else tokens[:, self.prefix :].mean(1)
            return Features.from_tokens(tokens[:, self.prefix :], pooled)
        if str(getattr(self.model, "output_fmt", "NCHW")).endswith("NHWC"):
            return Features.from_tokens(self.norm(found).flatten(1, 2), self.norm(found.mean((1, 2))))
        pooled = self.norm(found.mean((2, 3), keepdim=True)).flatten(1)
        return Features.from_tokens(self.norm(found).flatten(2).transpose(1, 2), pooled)


def create(name: str, stream: Stream, drop_path: float) -> Any:
    """The timm model `name` for `stream`, random weights, no classifier.

    An unknown name, or a patch that doesn't divide the image, is a ValueError that names what would do.
    """
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if name not in known:
        raise ValueError(f"backbone.model={name}: timm has no such model; {expected_one_of(name, sorted(known))}")
    if stream.size is None:
        raise ValueError(f"backbone.model={name}: stream {stream.name!r} has no image size; set the size of the data")
    extra: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if timm.get_pretrained_cfg(name).fixed_input_size:  # a position table, windows: made for one size
        extra["img_size"] = stream.size
    model = timm.create_model(name, pretrained=False, num_classes=0, in_chans=stream.channels, **extra)
    _check_size(model, name, stream.name, stream.size)
    return model


def _check_size(model: Any, name: str, stream: str, size: int) -> None:
    patch = _patch(model)
    if size % patch:
        below = size // patch * patch
        fit = f"{below} or {below + patch}" if below else str(patch)
        raise ValueError(
            f"backbone.model={name}: its patch of {patch} doesn't divide the {size} px images of stream {stream!r}, "
            f"so that the last rows and columns would be ignored; sizes that do: {fit}"
        )


def _patch(model: Any) -> int:
    """The side of the patches that the first convolution cuts; 1 where they overlap, as in a ResNet."""
    first = model.pretrained_cfg["first_conv"]
    stem = model.get_submodule(first if isinstance(first, str) else first[0])
    side, step, pad = (getattr(stem, what, (1, 1)) for what in ("kernel_size", "stride", "padding"))
    return int(step[0]) if side == step and pad in {(0, 0), 0} else 1


def _pool(pool: str, model: Any, name: str) -> str:
    has_cls = getattr(model, "cls_token", None) is not None
    if pool == "cls" and not has_cls:
        raise ValueError(f"backbone.pool=cls: {name} has no class token; choose mean")
    return pool if pool != "auto" else "cls" if has_cls else "mean"


def _take_norm(model: Any) -> nn.Module:
    """Take the norm out of the model's head, to put it on tokens and pooled alike, and drop the rest of the head.

    What only one of the two passed through would get no gradient from a fusion that reads the other.
    """
    norm = getattr(getattr(model, "head", None), "norm", None) or getattr(model, "fc_norm", None) or nn.Identity()
    unused = ["head", "fc_norm", "attn_pool"]
    if model.head_hidden_size != model.num_features:
        unused += ["conv_head", "norm_head"]  # MobileNetV3's, behind the pooling
    for part in unused:
        if isinstance(getattr(model, part, None), nn.Module):
            setattr(model, part, nn.Identity())
    return norm if isinstance(norm, nn.Module) else nn.Identity()
