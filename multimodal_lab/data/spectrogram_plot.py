"""Small spectrograms: the pictures of sounds in figures and in the explorer."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

AUDIBLE = 2000.0  # Hz: what is sampled as fast is heard, and drawn by its frequencies; sensors of motion are slower
SIDE = 64  # pixels
SECONDS = 0.032  # of one Fourier transform
FLOOR = 60.0  # dB below the loudest, which are the darkest
LOWEST = 40.0  # Hz
# From black over violet and orange to a light yellow, of equal steps of lightness.
COLOURS = ((0.0, 0.0, 0.02), (0.32, 0.07, 0.49), (0.72, 0.22, 0.47), (0.98, 0.53, 0.38), (0.99, 0.99, 0.75))


def spectrogram(x: Tensor, rate: float) -> Tensor:
    """Sounds (N, C, T) at `rate` Hz, NaN where padded, to (N, 3, 64, 64) in 0 to 1: low tones below, time to the right.

    The mean of the channels; rows are evenly spaced in mel (2595 log10(1 + f / 700)), power is in dB below the loudest of each.
    """
    mono = x.float().nan_to_num(0.0).mean(1)
    size = 2 ** max(4, round(math.log2(rate * SECONDS)))
    mono = F.pad(mono, (0, max(0, size - mono.shape[1])))
    hop = max(1, min(size // 2, mono.shape[1] // SIDE))
    spectrum = torch.stft(mono, size, hop, window=torch.hann_window(size, device=x.device), return_complex=True)
    power = F.adaptive_avg_pool2d(spectrum.abs().square(), (spectrum.shape[1], SIDE))
    rows = _rows(size, rate, x.device) @ power
    decibel = 10 * torch.log10(rows.clamp_min(1e-12))
    level = (1 + (decibel - decibel.amax((1, 2), keepdim=True)) / FLOOR).clamp(0, 1)
    level = torch.where(rows.amax((1, 2), keepdim=True) > 1e-9, level, torch.zeros_like(level))  # silence is black
    return _coloured(level.flip(1))


def _rows(size: int, rate: float, device: torch.device) -> Tensor:
    """(64, size // 2 + 1): the mean of the frequencies of each row, of the nearest one where none lies in it."""

    def mel(f: float) -> float:
        return 2595 * math.log10(1 + f / 700)

    edges = torch.linspace(mel(LOWEST), mel(rate / 2), SIDE + 1)
    frequency = 700 * (10 ** (edges / 2595) - 1)
    bins = torch.arange(size // 2 + 1) * rate / size
    inside = ((bins >= frequency[:-1, None]) & (bins < frequency[1:, None])).float()
    middle = (frequency[1:] + frequency[:-1]) / 2
    nearest = F.one_hot((bins - middle[:, None]).abs().argmin(1), len(bins)).float()
    found = torch.where(inside.any(1, keepdim=True), inside, nearest)
    return (found / found.sum(1, keepdim=True)).to(device)


def _coloured(level: Tensor) -> Tensor:
    """(N, H, W) in 0 to 1 to (N, 3, H, W)."""
    colours = torch.tensor(COLOURS, device=level.device)
    at = level * (len(colours) - 1)
    low = at.floor().clamp(max=len(colours) - 2).long()
    part = (at - low)[..., None]
    return (colours[low] * (1 - part) + colours[low + 1] * part).movedim(-1, 1)
