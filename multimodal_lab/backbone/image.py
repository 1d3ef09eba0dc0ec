"""Any timm image model, with any number of input bands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import timm
import torch
from torch import Tensor, nn

from multimodal_lab.backbone import weights as pretrained
from multimodal_lab.backbone.first_scale import Correlation, FirstConvolution, laid
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.head_of_places import head_of, pools_plainly, running_statistics_kept
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.levels import finer, grid_of
from multimodal_lab.bounds import Fraction
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Features, Stream

USUAL = 224  # pixels a side, of most published weights


class Image(nn.Module):
    """A timm model without its classifier: `model` by name, its first convolution widened to the bands of the stream.

    weights: "random" (asked for by name: it never happens because a file is missing); "cache" (what this machine's
    Hugging Face or torch cache holds; the network is never asked); or a path to .safetensors, .pt, .pth or .bin.
    Pretrained kernels are laid by band name, see `inflate`; with random weights there is nothing to lay. band_correlation: its
    `correlation`, or "measured": the scale comes from the training split, see `experiment.first_scale`.
    pool: "auto" the model's own embedding, `forward_head(forward_features(x), pre_logits=True)`: a class token, a mean,
    attention (SigLIP), whatever its family takes; "cls" the class token, "mean" the mean of the grid.
    Tokens are the grid, with all of the head that a single place can pass: its norm, its last layer. A model whose features
    are no grid of the embedding's width (CrossViT, PiT, CLIP's ResNets) gives one token, its embedding.
    dynamic_img_size: the positions of a ViT, which are of the stream's size, are resampled to that of the images that come.
    Models with batch norm see absent rows (as zeros) in their training statistics; layer and group norm don't.
    """

    kinds = ("image",)
    initial: ClassVar[dict[str, str]] = {"weights": "random"}
    steps = False
    grid = True

    model: Any  # a timm model: its forward_features and its facts are known to no type

    def __init__(
        self,
        stream: Stream,
        *,
        model: str,
        weights: str = "random",
        pretrained_bands: list[str],
        new_bands: Literal["mean", "nearest", "zero", "random"] = "mean",
        band_correlation: Correlation = 0.0,
        pool: Literal["auto", "cls", "mean"] = "auto",
        drop_path: Fraction = 0.0,
        dynamic_img_size: bool = False,
        checkpointing: bool = False,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        self.model = create(model, stream, drop_path, dynamic_img_size)
        self.unscaled: dict[str, list[FirstConvolution]] = {stream.name: []}  # those whose scale is to be measured
        if weights != "random":
            self._load(model, weights, stream, pretrained_bands, new_bands, band_correlation)
        has_cls = getattr(self.model, "cls_token", None) is not None
        if pool == "cls" and not has_cls:
            raise ValueError(f"backbone.pool=cls: {model} has no class token; choose auto or mean")
        self.prefix = int(getattr(self.model, "num_prefix_tokens", has_cls) or 0)
        self.pool = pool
        if pool != "auto" and getattr(self.model, "attn_pool", None) is not None:
            self.model.attn_pool = None  # the embedding's own pooling, which nothing would train
        self.dim = int(self.model.head_hidden_size)
        self.levels, self.give_levels = finer(self.model), False
        if checkpointing:
            self.model.set_grad_checkpointing(True)
        if freeze:
            freeze_module(self)

    def _load(
        self, name: str, weights: str, stream: Stream, names: list[str], rule: Any, correlation: Correlation
    ) -> None:
        cfg = self.model.pretrained_cfg
        path = pretrained.locate(weights, cfg, name)
        state = pretrained.translate(pretrained.read(path), self.model, cfg, path)
        first = cfg["first_conv"]
        for stem in [first] if isinstance(first, str) else first:
            if (key := f"{stem}.weight") in state:
                state[key], waiting = laid(self.model.get_submodule(stem), state[key], stream, names, rule, correlation)
                self.unscaled[stream.name] += waiting
        pretrained.load(self.model, state, path)

    def forward(self, x: Tensor) -> Features:
        """x (N, C, H, W) to grid tokens (N, L, D) in row order, no class or register token, and pooled (N, D)."""
        if self.give_levels and self.levels:
            found, maps = self.model.forward_intermediates(x, output_fmt="NCHW")
            return replace(self._features(found), levels=tuple(maps[:-1]))
        return self._features(self.model.forward_features(x))

    def _features(self, found: Any) -> Features:
        tokens = self._tokens(found)
        grid = None if tokens is None else grid_of(found, tokens.shape[1], self._last())
        if self.pool != "auto":
            if tokens is None:
                raise ValueError(f"backbone.pool={self.pool}: the features of this model are no grid; choose auto")
            own = tokens.mean(1) if self.pool == "mean" else self._norm(found[:, 0])
            return Features.from_tokens(tokens, own, grid)
        own = self._embedding(found)
        if tokens is None or tokens.shape[-1] != own.shape[-1]:
            return Features.from_vector(own)
        if own.requires_grad:
            # what the embedding alone passes, such as attention that pools, gets a gradient of 0 from a reader of tokens:
            # none at all would be an unused part, for which other ranks wait
            tokens = tokens + 0 * own[:, None, :1]
        return Features.from_tokens(tokens, own, grid)

    @staticmethod
    def normalisation(model: str, weights: str, pretrained_bands: list[str], **_: Any) -> dict[str, Any]:
        """What the weights were trained to be normalised by: mean and std, 0 to 1, of the `bands` that they know, and `of`."""
        if weights == "random":
            raise ValueError(
                "normalise=backbone: backbone.weights=random have no mean and std of their own; choose weights, or "
                "normalise=train, imagenet or sat493m"
            )
        own = None if weights == "cache" else pretrained.statistics(weights)
        cfg = timm.get_pretrained_cfg(model)
        if own is None and cfg is None:
            raise ValueError(f"normalise=backbone: timm has no mean and std for {model}; give {{mean, std}}")
        mean, std = own or (list(cfg.mean), list(cfg.std))
        return {"mean": mean, "std": std, "bands": list(pretrained_bands), "of": weights if own else model}

    @staticmethod
    def resizing(model: str, **_: Any) -> dict[str, Any]:
        """How images of its weights are resized for `resize=backbone`, by the keys of a modality: timm's own transforms."""
        cfg = timm.get_pretrained_cfg(model)
        by = None if cfg is None else {"bicubic": "bicubic", "bilinear": "area"}.get(cfg.interpolation)
        if cfg is None or by is None or cfg.crop_mode != "center":
            said = "nothing" if cfg is None else f"interpolation={cfg.interpolation} and crop_mode={cfg.crop_mode}"
            raise ValueError(
                f"resize=backbone: timm says {said} of {model}; give size, resize and resize_mode yourself"
            )
        own = {"size": int(cfg.input_size[-1]), "resize": by, "resize_mode": "crop", "crop_pct": float(cfg.crop_pct)}
        return {**own, "resize_stored": True}

    @staticmethod
    def require_possible(model: str, size: int | None, channels: int = 3, weights: str = "random", **_: Any) -> None:
        """`ValueError` in one sentence for a name that timm does not know, or images of a size that the model can't take.

        The model is run on tensors without memory, so that the check is made before data are read. Weights that are not there
        are a `FileNotFoundError`.
        """
        known = {*timm.list_models(), *timm.list_models(pretrained=True)}
        if model not in known:
            raise ValueError(f"backbone.model={model}: timm has no such model; {expected_one_of(model, sorted(known))}")
        if weights != "random":
            cfg = timm.get_pretrained_cfg(model)
            pretrained.locate(weights, {} if cfg is None else cfg.to_dict(), model)
        if size is None:
            return
        try:
            with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.no_grad():
                empty = timm.create_model(
                    model, pretrained=False, num_classes=0, in_chans=channels, **_sized(model, size)
                )
                side = patch(empty)
                if size % side == 0:
                    empty.eval()
                    empty.forward_head(empty.forward_features(torch.empty(1, channels, size, size)), pre_logits=True)
        except NotImplementedError:  # an operation that needs numbers: the first batch will tell
            return
        except Exception as error:  # whatever a model says of a size that it was not made for
            why = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            made_for = timm.get_pretrained_cfg(model).input_size[-1]
            raise ValueError(
                f"backbone.model={model} can't take images of {size} px and {channels} bands: {why[:120]}; it was made for "
                f"{made_for} px (nearest: data.size={made_for})"
            ) from error
        if size % side:
            below = size // side * side
            usual = [USUAL] if size < USUAL and USUAL % side == 0 else []
            fit = " or ".join(str(s) for s in sorted({*([below] if below else []), below + side, *usual}))
            raise ValueError(
                f"backbone.model={model}: its patch of {side} doesn't divide images of {size} px, so that the last rows and "
                f"columns would be ignored; sizes that do, by data.size or the stream's own size: {fit}"
            )

    def _embedding(self, found: Any) -> Tensor:
        own: Tensor = self.model.forward_head(found, pre_logits=True)
        return own.flatten(1)

    def _tokens(self, found: Any) -> Tensor | None:
        """The grid (N, L, D); None where the features are no grid."""
        if not isinstance(found, Tensor) or found.ndim not in (3, 4):
            return None
        if found.ndim == 3:
            return self._norm(found[:, self.prefix :]) if found.shape[1] > self.prefix else None
        last = self._last()
        grid = found if last else found.movedim(1, -1)
        if not pools_plainly(self.model):
            return grid.flatten(1, 2)
        # the pooling of one place is that place: what is left of the head is what each place passes
        places = grid.flatten(0, 2)[:, None, None] if last else grid.flatten(0, 2)[:, :, None, None]
        with running_statistics_kept(head_of(self.model)):  # in evaluation they are those of embeddings, not of places
            passed = self._embedding(places)
            return passed.reshape(len(grid), -1, passed.shape[1])

    def _last(self) -> bool:
        """Whether a map's channels come last."""
        return str(getattr(self.model, "output_fmt", "NCHW")).endswith("NHWC")

    def _norm(self, tokens: Tensor) -> Tensor:
        norm = getattr(self.model, "fc_norm", None) or getattr(getattr(self.model, "head", None), "norm", None)
        return norm(tokens) if isinstance(norm, nn.Module) else tokens


def create(name: str, stream: Stream, drop_path: float, dynamic: bool = False) -> Any:
    """The timm model `name` for `stream`, random weights, no classifier; `ValueError` as in `Image.require_possible`."""
    Image.require_possible(name, stream.size, stream.channels)
    if stream.size is None:
        raise ValueError(f"backbone.model={name}: stream {stream.name!r} has no image size; set the size of the data")
    extra: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    sized = _sized(name, stream.size)
    if dynamic and sized:  # a model without fixed positions takes any size
        extra["dynamic_img_size"] = True
    try:
        return timm.create_model(name, pretrained=False, num_classes=0, in_chans=stream.channels, **extra, **sized)
    except TypeError as error:
        if "dynamic_img_size" not in str(error):
            raise
        raise ValueError(
            f"backbone.model={name} is made for one size of images, and its positions can't be resampled; give all its "
            "streams one size"
        ) from error


def _sized(name: str, size: int) -> dict[str, Any]:
    """The image size for a model with a position table or windows, which is made for one."""
    return {"img_size": size} if timm.get_pretrained_cfg(name).fixed_input_size else {}


def patch(model: Any) -> int:
    """The side of the patches that the first convolution cuts; 1 where they overlap, as in a ResNet."""
    first = model.pretrained_cfg["first_conv"]
    if not first:
        return 1
    stem = model.get_submodule(first if isinstance(first, str) else first[0])
    kernel, step, pad = (getattr(stem, what, (1, 1)) for what in ("kernel_size", "stride", "padding"))
    return int(step[0]) if kernel == step and pad in {(0, 0), 0} else 1
