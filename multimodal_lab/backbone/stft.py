"""Short-time Fourier front ends: the wave as files hold it, its power spectrum, mel filters, which frames are real."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from multimodal_lab.backbone.temporal import mask_of_groups
from multimodal_lab.types import Stream

CACHED = 1 << 18  # numbers of frames that are transformed at a time


class Waveform(nn.Module):
    """A normalised wave back in the units of its files, 0 where nothing was measured. rate: in Hz."""

    mean: Tensor
    std: Tensor

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        if not stream.rate:
            raise ValueError(
                f"stream {stream.name!r} has no rate, which a spectrogram needs; set modality.{stream.name}.rate=16000, or "
                "the files' own, in Hz"
            )
        self.rate, ones = float(stream.rate), [1.0] * stream.channels
        std = torch.tensor(stream.std or ones)
        self.register_buffer("mean", torch.tensor(stream.mean or [0.0] * stream.channels)[:, None], persistent=False)
        # a band that never varies was not divided
        self.register_buffer("std", torch.where(std > 0, std, torch.ones(()))[:, None], persistent=False)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(N, C, T) and valid (N, T) bool to (N, C, T) float32."""
        return torch.where(valid[:, None], torch.addcmul(self.mean, x.float(), self.std), self.mean.new_zeros(()))


class Window(nn.Module):
    """A Hann window of `length` in the middle of `n_fft` samples; float64 on the CPU, float32 on a device."""

    device_window: Tensor

    def __init__(self, length: int, n_fft: int, periodic: bool = True) -> None:
        super().__init__()
        window = torch.hann_window(length, periodic=periodic, dtype=torch.float64)
        self.exact = nn.functional.pad(window, ((n_fft - length) // 2, -(-(n_fft - length) // 2)))
        self.register_buffer("device_window", self.exact.float(), persistent=False)

    def forward(self) -> Tensor:
        """(n_fft,) where the module lies."""
        return self.exact if self.device_window.device.type == "cpu" else self.device_window


def mel_spectrum(
    wave: Tensor,
    window: Tensor,
    filters: Tensor,
    hop: int,
    center: bool,
    pad_mode: str = "constant",
    power: float = 2.0,
) -> Tensor:
    """wave (N, T) float32 to (N, F, M): its magnitudes to the `power`, summed by filters (n_fft // 2 + 1, M).

    window: (n_fft,), in whose precision it is transformed: float64 on the CPU, which decibels of quiet sounds beside
    loud ones ask for, a few recordings at a time: what fits the processor's cache is faster than a whole batch.
    """
    n_fft = len(window)
    if center:
        wave = nn.functional.pad(wave[:, None], (n_fft // 2, n_fft // 2), mode=pad_mode)[:, 0]
    elif wave.shape[1] < n_fft:
        wave = nn.functional.pad(wave, (0, n_fft - wave.shape[1]))
    rows = max(1, CACHED // (n_fft * (1 + (wave.shape[1] - n_fft) // hop))) if wave.device.type == "cpu" else len(wave)
    found = []
    for part in torch.split(wave, rows):
        spectrum = squared(part.to(window.dtype).unfold(1, n_fft, hop) * window)
        found.append((spectrum if power == 2 else spectrum.pow(power / 2)) @ filters)
    return torch.cat(found)


def squared(frames: Tensor) -> Tensor:
    """frames (N, F, n_fft) to the squared magnitude of the Fourier transform of each, (N, F, n_fft // 2 + 1) float32."""
    found = torch.fft.rfft(frames)
    made: Tensor = found.real.square().addcmul_(found.imag, found.imag).float()
    return made


def real_frames(valid: Tensor, n_fft: int, hop: int, center: bool) -> Tensor:
    """valid (N, T) bool, samples that were measured, to (N, F) bool, frames that are real.

    A centred one is if a sample within half a hop of its centre was, and its centre is not beyond the last one; another if it
    ends before the end of the recording, of which the first does, and holds a sample.
    """
    steps = valid.shape[1]
    if center:
        frames = 1 + steps // hop
        near = mask_of_groups(nn.functional.pad(valid, (hop // 2, hop)), hop)[:, :frames]
        here = mask_of_groups(nn.functional.pad(valid, (1, hop)), hop)[:, :frames]  # from the step before its centre on
        return near & (here.flip(1).cumsum(1).flip(1) > 0)  # at its centre the recording has not ended
    length = (torch.arange(1, steps + 1, device=valid.device) * valid).amax(1, keepdim=True)
    frame = torch.arange(1 + max(steps - n_fft, 0) // hop, device=valid.device)
    seen = nn.functional.pad(valid.cumsum(1), (1, max(n_fft - steps, 0)))
    seen = torch.where(torch.arange(seen.shape[1], device=valid.device) <= steps, seen, seen[:, steps : steps + 1])
    held = seen[:, frame * hop + n_fft] > seen[:, frame * hop]
    return held & (frame * hop + n_fft <= length.clamp(min=n_fft))


def mel_filters(
    rate: float, n_fft: int, n_mels: int, fmin: float, fmax: float | None, mel_scale: str, norm: str
) -> Tensor:
    """(n_fft // 2 + 1, n_mels) float64, those of `librosa.filters.mel`; `ValueError` where one would be empty."""
    from transformers.audio_utils import mel_filter_bank  # seconds to import: only where there is sound

    top = fmax or rate / 2
    if not fmin < top <= rate / 2:
        raise ValueError(f"log_mel.fmin={fmin:g}, fmax={top:g}: expected fmin < fmax <= {rate / 2:g} Hz, half the rate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is refused below
        found = mel_filter_bank(
            1 + n_fft // 2, n_mels, fmin, top, int(rate), None if norm == "none" else norm, mel_scale=mel_scale
        )
    filters = torch.from_numpy(found)
    if empty := int((filters.amax(0) == 0).sum()):
        raise ValueError(
            f"log_mel.n_mels={n_mels}: {empty} filters lie between two bins of n_fft={n_fft}, {rate / n_fft:.3g} Hz apart; "
            "take a larger n_fft, fewer n_mels or a higher fmin"
        )
    return filters
