"""A transformer on patches of the log-mel spectrogram of sound, as AST is."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.log_mel import LogMel
from multimodal_lab.backbone.masked import pooled, where_valid
from multimodal_lab.backbone.padding import some_key
from multimodal_lab.backbone.temporal import mask_of_groups
from multimodal_lab.backbone.temporal_transformer import places
from multimodal_lab.backbone.text import Layer
from multimodal_lab.bounds import Count, Fraction, require_relations
from multimodal_lab.types import Drawing, Features, Stream


class AudioTransformer(nn.Module):
    """Patches of `patch` bins by `patch` frames, every `stride`, as tokens of a transformer (Gong, Chung & Glass 2021, AST).

    A place is a learned vector of its frequency and sines of its time (Vaswani et al. 2017, section 3.5), not a table of a
    fixed length, and a patch that begins behind the end is seen by none: a clip padded longer gives the same features. AST's
    class token is the mean of the real tokens here. Its weights from ImageNet are `backbone=audio_image` with a ViT, those
    from AudioSet `backbone=transformers_audio`.
    """

    kinds = ("vector",)
    steps = True
    sound = True
    relations: ClassVar = {
        "width": "even",
        "heads": "divides width",
        "stride": "at most patch",
        "patch": "at most mel.n_mels",
    }

    def __init__(
        self,
        stream: Stream,
        *,
        mel: Callable[..., LogMel],
        width: Count = 192,
        layers: Count = 4,
        heads: Count = 3,
        patch: Count = 16,
        stride: Count = 16,
        dropout: Fraction = 0.1,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        require(self, stream)
        self.mel = mel(stream=stream)
        require_relations(
            "backbone=audio_transformer",
            self.relations,
            {"width": width, "heads": heads, "stride": stride, "patch": patch, "mel": self.mel},
        )
        self.dim, self.patch, self.stride = width, patch, stride
        self.embed = nn.Conv2d(stream.channels, width, patch, stride=stride)
        self.high = 1 + -(-(self.mel.n_mels - patch) // stride)  # the last patch may reach over the highest bin
        self.frequency = nn.Parameter(0.02 * torch.randn(self.high, width))
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        if freeze:
            freeze_module(self)

    def forward(self, x: Tensor, valid: Tensor, draw: Drawing | None = None) -> Features:
        """x (N, C, T) and valid (N, T) bool to tokens (N, H' W', D), by frequency, then time, and their mean (N, D)."""
        y, real = self.mel(x, valid, draw)
        column = mask_of_groups(real, self.stride)
        high, wide = ((n - 1) * self.stride + self.patch for n in (self.high, column.shape[1]))
        grid = self.embed(nn.functional.pad(y, (0, wide - y.shape[3], 0, high - y.shape[2])))
        time = places(grid.shape[3], self.dim, x.device).to(grid.dtype)
        grid = grid.permute(0, 2, 3, 1) + self.frequency[:, None] + time
        mask = column.repeat(1, self.high)
        tokens, attend = self.dropout(grid.flatten(1, 2)), some_key(mask)
        for layer in self.layers:
            tokens = layer(tokens, attend[:, None, None, :])
        tokens = where_valid(self.norm(tokens), mask)
        return Features(tokens, pooled(tokens, mask), mask)
