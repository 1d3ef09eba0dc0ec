"""VideoMAE of transformers from a directory or the user's cache, of any bands."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from multimodal_lab.backbone import transformers_model as towers
from multimodal_lab.backbone.clips import Seen, encode, inflate_first
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.bounds import Fraction
from multimodal_lab.types import Features, Stream

TYPE = "videomae"


class TransformersVideo(nn.Module):
    """VideoMAE (Tong et al. 2022), pretrained or fine-tuned, that `weights`, a directory or an id in the user's cache, names.

    begin: "pretrained", or "random", built by config.json alone. Tokens are the tubelets, one grid after another in time;
    pooled is their mean. Its first convolution is widened to the bands of the stream, by name, see `inflate`. It was made for so
    many frames: of a clip with fewer or more real ones it sees as many, evenly spaced. dropout: of every dropout of the model in
    training; None, as its config.json says.
    """

    kinds = ("image",)
    steps = True
    initial: ClassVar[dict[str, str]] = {"begin": "random"}  # config.json is needed all the same

    def __init__(
        self,
        stream: Stream,
        *,
        weights: str,
        begin: Literal["pretrained", "random"] = "pretrained",
        pretrained_bands: list[str],
        new_bands: Literal["mean", "nearest", "zero", "random"] = "mean",
        band_correlation: Fraction = 0.0,
        dropout: Fraction | None = None,
        checkpointing: bool = False,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        self.require_possible(weights, stream.size, begin, dropout)
        self.model: Any = towers.load(weights, "vision", begin, dropout=dropout).model
        config = self.model.config
        self.frames, self.dim = int(config.num_frames), int(config.hidden_size)
        self.side = int(config.image_size) // int(config.patch_size)
        inflate_first(self.model, stream, pretrained_bands, new_bands, band_correlation)
        self.model.embeddings.patch_embeddings.num_channels = stream.channels
        if checkpointing:
            towers.checkpointed(self.model, weights)
        if freeze:
            freeze_module(self)

    @staticmethod
    def require_possible(
        weights: str,
        size: int | None,
        begin: towers.Begin = "pretrained",
        dropout: float | None = None,
        **_: Any,
    ) -> None:
        """An error in one sentence, before data are read, for a directory without such a model, or images of another size."""
        towers.require_tensors(weights, begin)
        towers.require_dropout(weights, dropout)
        config = towers.whole_config(weights)
        if config.model_type != TYPE:
            raise ValueError(
                f"backbone.weights={weights}: a {config.model_type} is no {TYPE}; choose such a directory, or backbone=frames "
                "with backbone@backbone.image=transformers_image"
            )
        if size is not None and size != config.image_size:
            raise ValueError(
                f"backbone.weights={weights}: made for frames of {config.image_size} px, found {size}; nearest: "
                f"data.size={config.image_size}"
            )

    @staticmethod
    def normalisation(weights: str, pretrained_bands: list[str], **_: Any) -> dict[str, Any]:
        """What the weights were trained to be normalised by: mean and std, 0 to 1, of the `bands` that they know, and `of`."""
        return towers.normalisation(weights, pretrained_bands)

    def forward(self, x: Tensor, valid: Tensor) -> Features:
        """x (N, C, T, H, W) and valid (N, T) bool to tokens (N, T'H'W', D), a tubelet each, and their mean (N, D)."""
        return encode(self, self._see, x, valid, self.dim, self.frames)

    def _see(self, x: Tensor) -> Seen:
        tokens = self.model(pixel_values=x.transpose(1, 2)).last_hidden_state
        return tokens, tokens.mean(1), (self.side, self.side)
