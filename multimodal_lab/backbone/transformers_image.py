"""Any image model of transformers from a directory or the user's cache, of any bands: ViT, CLIP's, SigLIP's, DINOv3, …"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone import transformers_model as towers
from multimodal_lab.backbone.first_scale import Correlation, laid
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Fraction
from multimodal_lab.pretrained.processor import processor, resizing
from multimodal_lab.types import Features, Stream


class TransformersImage(nn.Module):
    """The image model that `weights`, a directory or an id in the user's cache, names, or the vision half of one of both.

    begin: "pretrained", or "random", built by config.json alone. pool: "pooler", the model's own `pooler_output`; "cls", its
    class token; "mean" of the grid. Tokens are the grid, in row order. Its first convolution is widened to the bands of the
    stream, by name, see `inflate`. projection: of half a model of images and texts, pooled and tokens are what its own
    `visual_projection` makes of them (SigLIP has none), tokens behind the norm of the pooled one. dropout: of every
    dropout of the model in training; None, as its config.json says. `scalars`: see `transformers_model.Half`.
    """

    kinds = ("image",)
    steps = False
    grid = True

    initial: ClassVar[dict[str, str]] = {"begin": "random"}  # config.json is needed all the same

    model: Any  # of transformers: its parts are known to no type

    def __init__(
        self,
        stream: Stream,
        *,
        weights: str,
        begin: Literal["pretrained", "random"] = "pretrained",
        pretrained_bands: list[str],
        new_bands: Literal["mean", "nearest", "zero", "random"] = "mean",
        band_correlation: Correlation = 0.0,
        pool: Literal["pooler", "cls", "mean"] = "pooler",
        projection: bool = False,
        dropout: Fraction | None = None,
        checkpointing: bool = False,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        towers.require_own_pooling(pool, projection)
        self.pool, unused = pool, () if pool == "pooler" else ("pooler", "head")
        half = towers.load(weights, "vision", begin, optional=unused, projects=projection, dropout=dropout)
        self.model, self.scalars = half.model, half.scalars
        self.projection = half.projection if projection else None
        for name in unused:
            if getattr(self.model, name, None) is not None:
                setattr(self.model, name, None)  # nothing would train it
        if unused and hasattr(self.model, "use_head"):  # SigLIP's, which asks no other than this
            self.model.use_head = False
        config = self.model.config
        self.dim = towers.width(int(getattr(config, "hidden_size", 0) or config.hidden_sizes[-1]), self.projection)
        conv = next((m for m in self.model.modules() if isinstance(m, nn.Conv2d)), None)
        if conv is None:
            raise ValueError(f"backbone.weights={weights}: a {config.model_type} has no convolution to read bands with")
        kernels, waiting = laid(conv, conv.weight.detach(), stream, pretrained_bands, new_bands, band_correlation)
        self.unscaled = {stream.name: waiting if begin == "pretrained" else []}
        conv.weight, conv.in_channels = nn.Parameter(kernels), stream.channels
        for part in self.model.modules():  # some compare it with what they are given
            if isinstance(getattr(part, "num_channels", None), int):
                part.num_channels = stream.channels
        self.step = int(conv.stride[0])
        own = getattr(config, "image_size", stream.size)
        resampled = own != stream.size and towers.takes(self.model, "interpolate_pos_encoding")
        self.extra: dict[str, Any] = {"interpolate_pos_encoding": True} if resampled else {}
        self._require_size(stream, weights)
        if checkpointing:
            towers.checkpointed(self.model, weights)
        if freeze:
            freeze_module(self)

    @torch.no_grad()
    def _require_size(self, stream: Stream, weights: str) -> None:
        """Refuse a size that the model can't take, or whose last rows it would leave out."""
        size = stream.size or 0
        if not size or size % self.step:
            below = size // self.step * self.step
            fit = f"{below} or {below + self.step}" if below else str(self.step)
            raise ValueError(
                f"backbone.weights={weights}: its patch of {self.step} doesn't divide images of {size} px; sizes that do: {fit}"
            )
        try:
            found = self.model(pixel_values=torch.zeros(1, stream.channels, size, size), **self.extra)
        except Exception as error:  # whatever a model says of a size that it was not made for
            said = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ValueError(f"backbone.weights={weights}: can't take images of {size} px: {said[:160]}") from error
        if self.pool == "pooler" and getattr(found, "pooler_output", None) is None:
            raise ValueError("backbone.pool=pooler: this model has no pooler_output; choose cls or mean")

    @staticmethod
    def require_possible(
        weights: str, begin: towers.Begin = "pretrained", dropout: float | None = None, **_: Any
    ) -> None:
        """An error in one sentence, before data are read, for a directory without such a model, or without its tensors."""
        towers.require_tensors(weights, begin)
        towers.require_dropout(weights, dropout)
        config = towers.config_of(weights, "vision")
        if not getattr(config, "num_channels", None):
            raise ValueError(
                f"backbone.weights={weights}: a {config.model_type} reads no images; choose an image model"
            )

    @staticmethod
    def normalisation(weights: str, pretrained_bands: list[str], **_: Any) -> dict[str, Any]:
        """What the weights were trained to be normalised by: mean and std, 0 to 1, of the `bands` that they know, and `of`."""
        return towers.normalisation(weights, pretrained_bands)

    @staticmethod
    def resizing(weights: str, **_: Any) -> dict[str, Any]:
        """How the weights' image processor resizes, by the keys of a modality; whether in whole numbers is left to a trial."""
        return resizing(processor(weights, "backbone.weights"), "backbone.weights")

    def forward(self, x: Tensor) -> Features:
        """x (N, C, H, W) to grid tokens (N, L, D) in row order, without class and register tokens, and pooled (N, D)."""
        found = self.model(pixel_values=x, **self.extra)
        hidden = found.last_hidden_state
        if hidden.ndim == 4:
            hidden = hidden.flatten(2).transpose(1, 2)
        grid, cls = _grid(hidden, x.shape[-1] // self.step)
        if self.pool == "pooler":
            pooled = found.pooler_output.flatten(1)
        elif self.pool == "mean":
            pooled = grid.mean(1)
        elif cls is None:
            raise ValueError("backbone.pool=cls: this model has no class token; choose pooler or mean")
        else:
            pooled = cls
        if self.projection is not None:
            grid, pooled = self.projection(getattr(self.model, "post_layernorm", _same)(grid)), self.projection(pooled)
        found = towers.features(grid, pooled, torch.ones(grid.shape[:2], dtype=torch.bool, device=x.device))
        side = math.isqrt(grid.shape[1])
        return replace(found, grid=(side, side))


def _grid(hidden: Tensor, side: int) -> tuple[Tensor, Tensor | None]:
    """The square grid at the end of the tokens (N, L, D), and the first of those before it, if any.

    side: of the patches that are cut; a model that merges them has fewer.
    """
    tokens = hidden.shape[1]
    side = side if side * side <= tokens else math.isqrt(tokens)
    prefix = tokens - side * side
    return hidden[:, prefix:], hidden[:, 0] if prefix else None


def _same(x: Tensor) -> Tensor:
    return x
