"""One timm model for all image streams, with a first convolution per stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from multimodal_lab.backbone.first_scale import Correlation
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.image import Image
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.shared_trunk import FirstLayer, SharedTrunk
from multimodal_lab.bounds import Fraction
from multimodal_lab.types import Stream


class Stems(FirstLayer):
    """The first convolution of each stream, in place of the model's own; `current` is the stream that passes, if one does."""

    def __init__(self, stems: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.stems = nn.ModuleDict(stems)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) of the current stream to what the first convolution gives."""
        found: Tensor = self.stems[self.passing()](x)
        return found


class SharedImage(SharedTrunk):
    """Any timm ResNet, ViT or other model with one first convolution, as `image` builds it, shared by all streams.

    Each stream has a first convolution of its own (with weights: laid from the pretrained kernels by band name), in a ViT its
    patch embedding with a bias, which is an embedding of the modality in every token; all else is shared. What a stream is can
    also be told behind it: `fusion=modality_tokens`. Sizes may differ where the model takes any, or resamples its positions;
    of a model with batch norm, running statistics are those of all streams together.
    """

    kinds = ("image",)
    steps = False
    grid = True
    initial: ClassVar[dict[str, str]] = {"weights": "random"}

    def __init__(
        self,
        streams: Mapping[str, Stream],
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
        for stream in streams.values():
            require(self, stream)
        several = len({stream.size for stream in streams.values()}) > 1
        how: dict[str, Any] = {
            "model": model, "weights": weights, "pretrained_bands": pretrained_bands, "new_bands": new_bands,
            "band_correlation": band_correlation, "pool": pool, "drop_path": drop_path, "checkpointing": checkpointing,
            "dynamic_img_size": several or dynamic_img_size,
        }  # fmt: skip
        # the convolution of each is what `image` makes for it alone; of all but the first only that is kept
        first_stream, *others = streams
        self.trunk = Image(streams[first_stream], **how)
        first = self.trunk.model.pretrained_cfg["first_conv"]
        if not isinstance(first, str):
            raise ValueError(f"backbone.model={model}: it has no single first convolution to give each stream its own")
        stems = {first_stream: self.trunk.model.get_submodule(first)}
        for name in others:
            own = Image(streams[name], **how)
            stems[name] = own.model.get_submodule(first)
            self.trunk.unscaled |= own.unscaled
        self.first = first
        self.put_first(Stems(stems))
        self.dims: dict[str, int] = dict.fromkeys(streams, self.trunk.dim)
        if freeze:
            freeze_module(self)

    require_possible = staticmethod(Image.require_possible)
    normalisation = staticmethod(Image.normalisation)
