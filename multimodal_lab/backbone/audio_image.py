"""Any timm image model on the log-mel spectrogram of sound, as an image of as many bands as the sound has channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.image import Image, patch
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.log_mel import LogMel
from multimodal_lab.backbone.masked import pooled, where_valid
from multimodal_lab.bounds import Fraction
from multimodal_lab.types import Drawing, Features, Stream


class AudioImage(nn.Module):
    """`mel`, then the timm model `model` as `backbone.image.Image` builds it; from ImageNet's weights, as AST begins.

    The spectrogram is an image of `n_mels` rows and a column a frame; kernels of pretrained bands are laid by the rule
    `new_bands`, as no band of a sound is one of them. In evaluation it is padded to the frames of the stream's longest
    recording, and in training to those of the batch, so that padding means the same to a model whose norms and borders see it.
    Tokens are the grid; those of columns without a real frame are none, and pooled is the mean of the others. A model with
    fixed positions (ViT) resamples them to the image.
    """

    kinds = ("vector",)
    steps = True
    sound = True
    initial: ClassVar[dict[str, str]] = {"weights": "random"}

    def __init__(
        self,
        stream: Stream,
        *,
        mel: Callable[..., LogMel],
        model: str,
        weights: str = "random",
        pretrained_bands: list[str],
        new_bands: Literal["mean", "random"] = "mean",
        band_correlation: Fraction = 0.0,
        drop_path: Fraction = 0.0,
        checkpointing: bool = False,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        self.mel = mel(stream=stream)
        seen = replace(stream, kind="image", size=self.mel.n_mels, steps=None, rate=None, mean=(), std=(), fill=())
        how: dict[str, Any] = {"model": model, "weights": weights, "pretrained_bands": pretrained_bands}
        how |= {"new_bands": new_bands, "band_correlation": band_correlation, "drop_path": drop_path}
        how |= {"dynamic_img_size": True, "checkpointing": checkpointing}
        self.image = Image(seen, **how)
        self.patch, self.longest = patch(self.image.model), self.mel.frames(int(stream.steps or 0))
        self.least = max([self.patch, *(int(one["reduction"]) for one in self.image.model.feature_info)])
        self.dim = self.image.dim
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor, valid: Tensor, draw: Drawing | None = None) -> Features:
        """x (N, C, T) and valid (N, T) bool to tokens (N, H' W', D), zero where not real, and their mean (N, D)."""
        y, real = self.mel(x, valid, draw)
        frames = max(y.shape[3], self.least, 0 if self.training else self.longest)
        more = frames - frames % -self.patch - y.shape[3]
        y, real = nn.functional.pad(y, (0, more)), nn.functional.pad(real, (0, more))
        found: Features = self.image(y)
        high, wide = self._grid(found, y.shape[2] // self.patch, y.shape[3] // self.patch)
        column = nn.functional.adaptive_max_pool1d(real[:, None].float(), wide)[:, 0] > 0
        mask = column.repeat(1, high) if found.tokens.shape[1] > 1 else real.any(1, keepdim=True)
        tokens = where_valid(found.tokens, mask)
        return replace(found, tokens=tokens, pooled=pooled(tokens, mask), mask=mask, grid=None)

    def _grid(self, found: Features, high: int, wide: int) -> tuple[int, int]:
        """(H', W') of the tokens: patches, if they are as many; else what the model's map says, of one embedding (1, 1)."""
        tokens = found.tokens.shape[1]
        return (high, wide) if tokens == high * wide else found.grid or (1, tokens)
