"""CLAP's audio half, Whisper's encoder or AST from a directory of transformers or the user's cache."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone import transformers_model as towers
from multimodal_lab.backbone.audio_extractors import KINDS, Extractor
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.masked import pooled as mean_of
from multimodal_lab.backbone.masked import where_valid
from multimodal_lab.backbone.stft import Waveform
from multimodal_lab.bounds import Fraction
from multimodal_lab.pretrained.processor import feature_extractor
from multimodal_lab.types import Features, Stream


class TransformersAudio(nn.Module):
    """The audio model that `weights`, a directory or an id in the user's cache, names, or the audio half of one of both.

    Its own feature extractor's settings make its input, on the device (`audio_extractors`): the wave is what the files hold,
    whatever the stream is normalised by, and the mean of its channels. begin: "pretrained", or "random", built by config.json
    alone. pool: "auto", the model's own `pooler_output`, or where it has none (Whisper) the mean of its real tokens; or one of
    the two by name. projection: of CLAP, pooled and tokens are what its own `audio_projection` makes of them. dropout: of every
    dropout of the model in training; None, as its config.json says. `scalars`: see `transformers_model.Half`.
    """

    kinds = ("vector",)
    steps = True
    sound = True
    initial: ClassVar[dict[str, str]] = {"begin": "random"}  # config.json is needed all the same

    model: Any  # of transformers: its parts are known to no type

    def __init__(
        self,
        stream: Stream,
        *,
        weights: str,
        begin: Literal["pretrained", "random"] = "pretrained",
        pool: Literal["auto", "pooler", "mean"] = "auto",
        projection: bool = False,
        dropout: Fraction | None = None,
        checkpointing: bool = False,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        if projection:
            towers.require_own_pooling("pooler" if pool == "auto" else pool, projection)
        found = feature_extractor(weights, "backbone.weights")
        half = towers.load(weights, "audio", begin, projects=projection, dropout=dropout)
        self.model, self.scalars = half.model, half.scalars
        self.projection = half.projection if projection else None
        self.wave = Waveform(stream)
        try:
            self.extract: Extractor = KINDS[type(found).__name__](found, self.model)
        except ValueError as error:
            raise ValueError(f"backbone.weights={weights}: {error}") from error
        self._require_rate(stream, weights)
        has = type(self.extract).__name__ != "Whisper"
        if pool == "pooler" and not has:
            raise ValueError("backbone.pool=pooler: this model has no pooler_output; choose auto or mean")
        self.pools = has and pool != "mean"
        self.dim = towers.width(self.extract.width(self.model), self.projection)
        if checkpointing:
            towers.checkpointed(self.model, weights)
        if freeze:
            freeze_module(self)

    def _require_rate(self, stream: Stream, weights: str) -> None:
        at, rate, most = f"modality.{stream.name}", self.extract.rate, self.extract.longest
        if self.wave.rate != rate:
            raise ValueError(
                f"backbone.weights={weights}: it hears {rate} Hz, and stream {stream.name!r} has {self.wave.rate:g} Hz; "
                f"resample: {at}.rate={rate}"
            )
        if (stream.steps or 0) > most:
            raise ValueError(
                f"backbone.weights={weights}: it hears {most / rate:g} s at most, and stream {stream.name!r} has "
                f"{(stream.steps or 0) / rate:g} s; take {at}.steps={most} with {at}.longer=cut, or windows of the recordings"
            )

    @staticmethod
    def require_possible(
        weights: str, begin: towers.Begin = "pretrained", dropout: float | None = None, **_: Any
    ) -> None:
        """An error in one sentence, before data are read, for a directory without such a model, or without its tensors."""
        towers.require_tensors(weights, begin)
        towers.require_dropout(weights, dropout)
        name = type(feature_extractor(weights, "backbone.weights")).__name__
        if name not in KINDS:
            raise ValueError(
                f"backbone.weights={weights}: its feature extractor is a {name}; expected one of {', '.join(KINDS)}"
            )

    def forward(self, x: Tensor, valid: Tensor) -> Features:
        """x (N, C, T) and valid (N, T) bool to tokens (N, L, D), zero where not real, and pooled (N, D)."""
        length = (torch.arange(1, x.shape[2] + 1, device=x.device) * valid).amax(1)
        with torch.autocast(x.device.type, enabled=False):  # the front end; decibels are lost in 16 bits
            given = self.extract(self.wave(x, valid).mean(1), length)
        found = self.model(**given)
        tokens, mask = self.extract.tokens(found.last_hidden_state, length)
        pooled = found.pooler_output if self.pools else mean_of(where_valid(tokens, mask), mask)
        if self.projection is not None:
            tokens, pooled = self.projection(tokens), self.projection(pooled)
        return towers.features(tokens, pooled, mask)
