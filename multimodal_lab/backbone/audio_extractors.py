"""What transformers' feature extractors of sound do, on the device and for a whole batch: CLAP's, Whisper's and AST's.

Each is built of the settings of a directory's own extractor, and gives what that gives. Recordings longer than `longest`
samples are refused by the backbone: the extractors cut them, CLAP's at random.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.stft import Window, mel_spectrum, squared


class Extractor(nn.Module):
    """wave (N, T) at `rate` Hz, 0 behind `length` (N,), to the arguments of a model; its tokens, and which are real."""

    filters: Tensor

    def __init__(self, found: Any, longest: int) -> None:
        super().__init__()
        self.rate, self.longest = int(found.sampling_rate), longest

    def forward(self, wave: Tensor, length: Tensor) -> dict[str, Tensor]:
        """The keyword arguments of the model."""
        raise NotImplementedError

    def tokens(self, hidden: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """The model's last_hidden_state to tokens (N, L, D) and (N, L) bool."""
        raise NotImplementedError

    def width(self, model: Any) -> int:
        """D."""
        return int(model.config.hidden_size)


class Clap(Extractor):
    """Wu et al. 2023: short recordings are repeated and padded, mel decibels; all tokens are real."""

    def __init__(self, found: Any, model: Any) -> None:
        super().__init__(found, int(found.nb_max_samples))
        self.padding, self.hop = found.padding, int(found.hop_length)
        self.fused = found.truncation == "fusion"
        self.window = Window(found.fft_window_size, found.fft_window_size)
        filters = found.mel_filters if self.fused else found.mel_filters_slaney
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)

    def forward(self, wave: Tensor, length: Tensor) -> dict[str, Tensor]:
        """input_features (N, 1 or 4, F, M) and is_longer (N, 1), all False."""
        place, own = torch.arange(self.longest, device=wave.device), length.clamp(min=1)[:, None]
        times = self.longest // own if self.padding == "repeatpad" else torch.ones_like(own)
        filled = torch.full_like(own, self.longest) if self.padding == "repeat" else times * own
        repeated = wave.gather(1, (place % own).clamp(max=wave.shape[1] - 1))
        whole = torch.where(place < filled, repeated, repeated.new_zeros(()))
        mel = mel_spectrum(whole, self.window(), self.filters, self.hop, True, "reflect")
        mel = 10 * mel.clamp(min=1e-10).log10()[:, None]
        longer = torch.zeros(len(wave), 1, dtype=torch.bool, device=wave.device)
        return {"input_features": mel.expand(-1, 4 if self.fused else 1, -1, -1), "is_longer": longer}

    def tokens(self, hidden: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Places of (N, D, frequency, time), in row order."""
        tokens = hidden.flatten(2).transpose(1, 2)
        return tokens, (length > 0)[:, None].expand(tokens.shape[:2])

    def width(self, model: Any) -> int:
        """What its stages end with."""
        return int(model.audio_encoder.num_features)


class Whisper(Extractor):
    """Radford et al. 2023: padded to 30 s, log10 of mel power within 8 of the largest."""

    def __init__(self, found: Any, model: Any) -> None:
        super().__init__(found, int(found.n_samples))
        self.hop, self.stride = int(found.hop_length), int(model.conv1.stride[0] * model.conv2.stride[0])
        self.window = Window(found.n_fft, found.n_fft)
        self.register_buffer("filters", torch.from_numpy(found.mel_filters).float(), persistent=False)
        places = int(model.config.max_source_positions) * self.stride
        if self.longest // self.hop != places:
            raise ValueError(
                f"its feature extractor makes {self.longest // self.hop} frames, and the model has places for {places}"
            )

    def forward(self, wave: Tensor, length: Tensor) -> dict[str, Tensor]:
        """input_features (N, M, F)."""
        whole = nn.functional.pad(wave, (0, self.longest - wave.shape[1]))
        mel = mel_spectrum(whole, self.window(), self.filters, self.hop, True, "reflect")[:, :-1]
        mel = mel.clamp(min=1e-10).log10()
        mel = torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8)
        return {"input_features": ((mel + 4) / 4).transpose(1, 2)}

    def tokens(self, hidden: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """A token is `stride` frames; real if it begins before the end."""
        begins = torch.arange(hidden.shape[1], device=hidden.device) * self.hop * self.stride
        return hidden, begins < length[:, None]


class Ast(Extractor):
    """Gong et al. 2021: Kaldi's log-mel of 25 ms frames, padded with 0 to `max_length` frames, normalised."""

    FRAME, HOP, N_FFT = 400, 160, 512  # samples, fixed in transformers

    def __init__(self, found: Any, model: Any) -> None:
        super().__init__(found, self.FRAME + (int(found.max_length) - 1) * self.HOP + self.HOP - 1)
        self.frames, self.normalise = int(found.max_length), found.do_normalize
        self.mean, self.std = float(found.mean), float(found.std)
        self.patch, self.strides = (
            int(model.config.patch_size),
            (model.config.frequency_stride, model.config.time_stride),
        )
        self.bins = int(found.num_mel_bins)
        self.register_buffer("filters", kaldi(self.bins, self.rate, self.N_FFT).float(), persistent=False)
        self.window = Window(self.FRAME, self.FRAME, periodic=False)

    def forward(self, wave: Tensor, length: Tensor) -> dict[str, Tensor]:
        """input_values (N, max_length, M)."""
        window = self.window()
        wave = nn.functional.pad(wave, (0, max(self.FRAME - wave.shape[1], 0))).to(window.dtype)
        frames = wave.unfold(1, self.FRAME, self.HOP)[:, : self.frames]
        frames = frames - frames.mean(2, keepdim=True)
        first = frames[..., :1] * (1 - 0.97)
        frames = torch.cat([first, frames[..., 1:] - 0.97 * frames[..., :-1]], 2) * window
        mel = squared(nn.functional.pad(frames, (0, self.N_FFT - self.FRAME))) @ self.filters
        mel = mel.clamp(min=1.192092955078125e-07).log()
        real = torch.arange(mel.shape[1], device=mel.device) < self.count(length)[:, None]
        mel = torch.where(real[..., None], mel, mel.new_zeros(()))
        mel = nn.functional.pad(mel, (0, 0, 0, self.frames - mel.shape[1]))
        return {"input_values": (mel - self.mean) / (2 * self.std) if self.normalise else mel}

    def count(self, length: Tensor) -> Tensor:
        """(N,) frames of recordings of `length` samples; one shorter than a frame has one."""
        return (1 + (length - self.FRAME).clamp(min=0) // self.HOP) * (length > 0)

    def tokens(self, hidden: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """The patches behind the class and distillation tokens, by frequency, then time; real if it begins before the end."""
        high, wide = ((n - self.patch) // s + 1 for n, s in zip((self.bins, self.frames), self.strides, strict=True))
        begins = torch.arange(wide, device=hidden.device) * self.strides[1]
        return hidden[:, 2:], (begins < self.count(length)[:, None]).repeat(1, high)


def kaldi(bins: int, rate: int, n_fft: int) -> Tensor:
    """(n_fft // 2 + 1, bins): Kaldi's mel filters from 20 Hz, as AST's extractor makes them without torchaudio."""
    from transformers.audio_utils import mel_filter_bank

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of 128 filters lie between two bins: so the weights were trained
        found = mel_filter_bank(
            1 + n_fft // 2, bins, 20, rate // 2, rate, None, mel_scale="kaldi", triangularize_in_mel_space=True
        )
    return torch.from_numpy(found)


KINDS: dict[str, type[Extractor]] = {
    "ClapFeatureExtractor": Clap,
    "WhisperFeatureExtractor": Whisper,
    "ASTFeatureExtractor": Ast,
}
