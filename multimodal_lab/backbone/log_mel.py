"""The log-mel spectrogram of a wave as a module, on the device where the wave lies; equal to librosa's."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.stft import Waveform, Window, mel_filters, mel_spectrum, real_frames
from multimodal_lab.bounds import Count, NonNegative, Positive, require_relations
from multimodal_lab.types import Drawing, Stream

Log = Literal["db", "log", "none"]


class LogMel(nn.Module):
    """Wave (N, C, T) to (log-mel - `mean`) / `std`, (N, C, M, F): `librosa.power_to_db(librosa.feature.melspectrogram(…))`.

    n_fft, win_length, hop_length: in samples; win_length null is n_fft. n_mels filters from fmin to fmax in Hz (null: half the
    rate), of `mel_scale` slaney or htk, with `norm` slaney (each of area 1) or none (each of height 1). power: of the
    magnitude. log_mel: "db", 10 log10 of power, at least that of `amin`, and at most `top_db` below the largest value of a clip
    (null: any); "log", the natural one; "none". center: frame k is around sample k * hop_length, with zeros beyond the ends;
    else it begins there. mean and std: of typical clips, so that 0 is a typical level; in the unit of `log_mel`.

    A frame is real if a sample within half a hop of its centre was measured. One that is not is 0, and a clip padded longer
    gives the same values. The wave is what the files hold: the system's normalisation is taken back first, so that a decibel
    means the same for every training split. spec_augment: `augment.spec_augment`, in training
    alone.
    """

    relations: ClassVar = {"win_length": "at most n_fft"}

    filters: Tensor

    def __init__(
        self,
        stream: Stream,
        *,
        n_fft: Count = 1024,
        win_length: Count | None = None,
        hop_length: Count = 320,
        n_mels: Count = 64,
        fmin: NonNegative = 50.0,
        fmax: Positive | None = None,
        mel_scale: Literal["slaney", "htk"] = "slaney",
        norm: Literal["slaney", "none"] = "slaney",
        power: Positive = 2.0,
        log_mel: Log = "db",
        amin: Positive = 1e-10,
        top_db: Positive | None = 80.0,
        center: bool = True,
        mean: float = -40.0,
        std: Positive = 20.0,
        spec_augment: Callable[[Tensor, Tensor, Drawing], Tensor] | None = None,
    ) -> None:
        super().__init__()
        length = win_length or n_fft
        require_relations("log_mel", self.relations, {"win_length": win_length, "n_fft": n_fft})
        self.wave = Waveform(stream)
        self.name, self.n_fft, self.hop_length, self.center = stream.name, n_fft, hop_length, center
        self.n_mels, self.power, self.log_mel, self.amin, self.top_db = n_mels, power, log_mel, amin, top_db
        self.mean, self.std, self.spec_augment = mean, std, spec_augment
        filters = mel_filters(self.wave.rate, n_fft, n_mels, fmin, fmax, mel_scale, norm)
        # no part of a checkpoint: they follow from the settings
        self.register_buffer("filters", filters.float(), persistent=False)
        self.window = Window(length, n_fft)

    def frames(self, steps: int) -> int:
        """How many frames a wave of so many steps has."""
        return 1 + (steps if self.center else max(steps - self.n_fft, 0)) // self.hop_length

    def forward(self, x: Tensor, valid: Tensor, draw: Drawing | None = None) -> tuple[Tensor, Tensor]:
        """x (N, C, T) normalised, and valid (N, T) bool, to (N, C, M, F) in fp32 and which frames are real, (N, F) bool."""
        with torch.autocast(x.device.type, enabled=False):  # decibels of quiet sounds are lost in 16 bits
            real = real_frames(valid, self.n_fft, self.hop_length, self.center)
            y = (self.levels(self.wave(x, valid), real) - self.mean) / self.std
            y = torch.where(real[:, None, None], y, y.new_zeros(()))
            if draw is not None and self.training and self.spec_augment is not None:
                y = self.spec_augment(y, real, draw.fold("spec_augment").fold(self.name))
        return y, real

    def levels(self, wave: Tensor, real: Tensor) -> Tensor:
        """wave (N, C, T) to its log-mel (N, C, M, F) in the unit of `log_mel`; the largest value is that of the real frames."""
        how = (self.window(), self.filters, self.hop_length, self.center)
        mel = mel_spectrum(wave.flatten(0, 1), *how, power=self.power)
        mel = mel.view(*wave.shape[:2], *mel.shape[1:]).transpose(2, 3)
        if self.log_mel == "none":
            return mel
        lowest = self.amin ** (self.power / 2)
        if self.log_mel == "log":
            return mel.clamp(min=lowest).log()
        y = mel.clamp(min=lowest).log10() * (20 / self.power)
        if self.top_db is None:
            return y
        most = y.masked_fill(~real[:, None, None], float("-inf")).amax((1, 2, 3), keepdim=True)
        return torch.maximum(y, most - self.top_db)
