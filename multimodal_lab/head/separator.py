"""Separation head: the sound of one thing in a mixture, by a mask on its spectrogram."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count, Fraction, require_relations
from multimodal_lab.head.names import known
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Batch, Features


class Separator(nn.Module):
    """Masks in [0, 1] on the short-time Fourier transform of stream `sound`, and the sounds that they let through.

    A temporal convolutional network (Conv-TasNet, Luo & Mesgarani 2019, section II-C) reads, frame by frame, the log-magnitudes
    of the mixture, whose mean over the recording is taken away, and the tokens of the stream, brought to its frames: `layers`
    residual blocks of `width` channels, dilated by 1, 2, 4, … and again from 1 after `cycle` of them. In each block the channels
    are scaled and shifted by what is asked for (FiLM, Perez et al. 2018, eq. 1-2): `condition` names another stream, whose pooled
    vector it is, as in The Sound of Pixels (Zhao et al. 2018), or a label of classes, of which each has a learned vector; rows
    that lack it get none. Null: nothing is asked for, and a loss with `permute` takes the `sources` in either order.

    n_fft, hop_length: samples of a Hann window of the transform and from one to the next. The phase is that of the mixture. It
    reads the wave itself, `batch.inputs`, in mono; steps that are not real are 0. ValueError for an unknown stream or label.
    """

    takes = "streams"
    by_name = False
    gives = ("mask", "estimate")
    over_time = ("sound",)
    names: ClassVar = {"sound": "stream", "condition": "stream or label"}
    reads_inputs = ("sound",)
    relations: ClassVar = {"hop_length": "at most half of n_fft"}

    window: Tensor

    def __init__(
        self,
        dims: dict[str, int],
        classes: dict[str, int],
        *,
        sound: str | None = None,
        condition: str | None = None,
        sources: Count = 1,
        n_fft: Count = 512,
        hop_length: Count = 128,
        width: Count = 128,
        layers: Count = 8,
        cycle: Count = 4,
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        names = [name for name in dims if name != "fused"]
        self.sound = known(
            "head=separator: sound", sound or next((n for n in names if n != condition), names[0]), names
        )
        require_relations("head=separator", self.relations, {"hop_length": hop_length, "n_fft": n_fft})
        self.condition, self.sources, self.n_fft, self.hop_length = condition, sources, n_fft, hop_length
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.loud, self.context = nn.Conv1d(n_fft // 2 + 1, width, 1), nn.Linear(dims[self.sound], width)
        self.asked: nn.Module | None = None
        if condition in names:
            self.asked = nn.Sequential(nn.LayerNorm(dims[condition]), nn.Linear(dims[condition], width))
        elif condition is not None:
            there = [*names, *(label for label, n in classes.items() if n)]
            if not classes.get(condition):
                near = expected_one_of(condition, there)
                raise ValueError(f"head=separator: condition={condition} is no stream and no label of classes; {near}")
            self.asked = nn.Embedding(classes[condition], width)
        blocks = [Block(width, 2 ** (i % cycle), dropout, self.asked is not None) for i in range(layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm, self.say = nn.LayerNorm(width), nn.Linear(width, sources * (n_fft // 2 + 1))

    def forward(self, features: Mapping[str, Features], batch: Batch) -> dict[str, Tensor]:
        """`mask` (N, S, F, L) of S sources, n_fft // 2 + 1 bins and 1 + T // hop_length frames; `estimate` (N, S, T), float32."""
        f = features[self.sound]
        wave, valid = self._wave(batch, f.present)
        with torch.autocast(wave.device.type, enabled=False):
            spectrum = self.spectrum(wave)
            real = self._frames(valid)
            x = self._levels(spectrum.abs(), real)
        x = self.loud(x).transpose(1, 2) + self._context(f, x.shape[2])
        asked = self._asked(features, batch)
        for block in self.blocks:
            x = block(x, real, asked)
        said = self.say(self.norm(x)).unflatten(2, (self.sources, -1)).permute(0, 2, 3, 1)
        mask = said.to(torch.promote_types(said.dtype, torch.float32)).sigmoid()
        with torch.autocast(wave.device.type, enabled=False):
            parts = (mask * spectrum[:, None]).flatten(0, 1)
            sound = torch.istft(parts, self.n_fft, self.hop_length, window=self.window, length=wave.shape[1])
        sound = torch.where(valid[:, None], sound.view(*mask.shape[:2], -1), 0.0)
        return {"mask": mask, "estimate": sound}

    def spectrum(self, wave: Tensor) -> Tensor:
        """(N, T) to (N, F, L) complex; frames are centred, and beyond the ends there is silence."""
        return torch.stft(
            wave, self.n_fft, self.hop_length, window=self.window, pad_mode="constant", return_complex=True
        )

    def _wave(self, batch: Batch, present: Tensor) -> tuple[Tensor, Tensor]:
        if self.sound not in batch.inputs or batch.inputs[self.sound].ndim != 3:
            raise ValueError(
                f"head=separator reads the wave of stream {self.sound}, (N, 1, T), and it is not there; cache=none"
            )
        x = batch.inputs[self.sound]
        valid = batch.valid[self.sound] & present[:, None]
        if x.shape[1] != 1:
            raise ValueError(
                f"head=separator: stream {self.sound} has {x.shape[1]} bands, expected one; sounds are parted in mono"
            )
        return torch.where(valid, x[:, 0].float(), x.new_zeros(())), valid

    def _frames(self, valid: Tensor) -> Tensor:
        """(N, T) to (N, L): the frames that a real step lies in."""
        half = self.n_fft // 2
        padded = nn.functional.pad(valid.float(), (half, half))
        found: Tensor = nn.functional.max_pool1d(padded[:, None], self.n_fft, self.hop_length)[:, 0] > 0
        return found

    def _levels(self, magnitude: Tensor, real: Tensor) -> Tensor:
        """(N, F, L) natural logarithms over the mean of the real frames, at least 1e-4 of the mean magnitude; 0 elsewhere."""
        count = (real.sum(1) * magnitude.shape[1]).clamp(min=1)[:, None, None]
        mean = (magnitude * real[:, None]).sum((1, 2), keepdim=True) / count
        x = (magnitude / mean.clamp(min=1e-8) + 1e-4).log()
        level = (x * real[:, None]).sum((1, 2), keepdim=True) / count
        return torch.where(real[:, None], x - level, x.new_zeros(())) / 2

    def _context(self, f: Features, frames: int) -> Tensor:
        """Tokens (N, L', D) as (N, L, width), each frame the token that it lies in; nothing of those that are not real."""
        at = torch.arange(frames, device=f.tokens.device) * f.tokens.shape[1] // frames
        x: Tensor = self.context(f.tokens)
        return torch.where(f.mask[..., None], x, x.new_zeros(()))[:, at]

    def _asked(self, features: Mapping[str, Features], batch: Batch) -> Tensor | None:
        """(N, width), 0 in rows that lack what is asked for."""
        if self.asked is None or self.condition is None:
            return None
        if self.condition in features:
            f = features[self.condition]
            return torch.where(f.present[:, None], self.asked(f.pooled), 0.0)
        label = batch.targets.get(self.condition, torch.full_like(batch.ids, -1))
        return torch.where(label[:, None] >= 0, self.asked(label.clamp(min=0)), 0.0)


class Block(nn.Module):
    """A residual block: 1 x 1, depthwise over 3 frames `dilation` apart, scaled and shifted by what is asked for, 1 x 1."""

    def __init__(self, width: int, dilation: int, dropout: float, asked: bool) -> None:
        super().__init__()
        self.norm, self.wide = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.along = nn.Conv1d(2 * width, 2 * width, 3, padding=dilation, dilation=dilation, groups=2 * width)
        self.between = nn.LayerNorm(2 * width)
        self.film = nn.Linear(width, 4 * width) if asked else None
        self.dropout, self.back = nn.Dropout(dropout), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, real: Tensor, asked: Tensor | None) -> Tensor:
        """x (N, L, width), real (N, L), asked (N, width) or None; what is not real is 0 to the convolution."""
        y = nn.functional.gelu(self.wide(self.norm(x)))
        y = torch.where(real[..., None], y, y.new_zeros(()))
        y = self.between(self.along(y.transpose(1, 2)).transpose(1, 2))
        if self.film is not None and asked is not None:
            scale, shift = self.film(asked)[:, None].chunk(2, 2)
            y = y * (1 + scale) + shift
        added: Tensor = x + self.back(self.dropout(nn.functional.gelu(y)))
        return added
