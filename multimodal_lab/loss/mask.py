"""Loss of masks on spectrograms against the ideal masks of the sources."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import Count
from multimodal_lab.loss.permuted import best
from multimodal_lab.loss.precision import mean_over_all, wide
from multimodal_lab.loss.si_sdr import judged

targets = ("(N, 2, T) float",)
as_head = ("hop_length",)
as_target = {"permute": {True: ("sources",), ...: ()}}


def mask(
    told: Tensor, target: Tensor, hop_length: Count, kind: Literal["ratio", "binary"] = "ratio", permute: bool = False,
    weighted: bool = True,
) -> Tensor:  # fmt: skip
    """The distance of masks from the ideal ones of the sources that were mixed: a scalar, 0 with a graph where none is known.

    told (N, S, F, L) in [0, 1], of a transform with 2 (F - 1) samples a Hann window; target (N, S', T) all that was mixed. ratio:
    |told - |s| / Σ|s'|| (Zhao et al. 2018, eq. 2 and section 3.3); binary: the cross-entropy of "s is the loudest here" (eq. 1).
    weighted: cells count by log(1 + magnitude of the mixture), as in the authors' code, so that silence is not what is learnt;
    magnitudes over their mean. `permute` as in `si_sdr`, and which rows are known, too.
    """
    sounds, known = judged(target, told.shape[1], permute, "mask")
    n_fft = 2 * (told.shape[2] - 1)
    window = torch.hann_window(n_fft, dtype=sounds.dtype, device=sounds.device)
    stft = torch.stft(sounds.flatten(0, 1), n_fft, hop_length, window=window, pad_mode="constant", return_complex=True)
    stft = stft.view(*sounds.shape[:2], *stft.shape[1:])
    if stft.shape[2:] != told.shape[2:]:
        raise ValueError(
            f"loss=mask: masks of {tuple(told.shape[2:])} bins and frames, and hop_length={hop_length} gives "
            f"{tuple(stft.shape[2:])}; expected that of the head"
        )
    size, mixture = stft.abs(), stft.sum(1).abs()
    total = size.sum(1, keepdim=True)
    floor = torch.finfo(total.dtype).tiny
    ideal = size / total.clamp(min=floor) if kind == "ratio" else (size >= size.amax(1, keepdim=True)).to(size.dtype)
    mean = mixture.mean((1, 2), keepdim=True).clamp(min=floor)
    weight = (mixture / mean).log1p() if weighted else torch.ones_like(mixture)
    weight = weight / weight.mean((1, 2), keepdim=True).clamp(min=floor)

    def lost(x: Tensor, y: Tensor) -> Tensor:
        if kind == "ratio":
            cells = (x - y).abs()
        else:
            with torch.autocast(x.device.type, enabled=False):
                cells = F.binary_cross_entropy(x.clamp(0, 1), y, reduction="none")
        return (cells * weight[:, None]).mean((2, 3))

    found = best(lost, wide(told), ideal[:, : told.shape[1]], permute)
    return mean_over_all(torch.where(known, found, 0.0), known)
