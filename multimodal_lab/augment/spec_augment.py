"""SpecAugment: bands of time and of frequency of a spectrogram are masked (Park et al. 2019, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.augment.op import number
from multimodal_lab.bounds import Fraction, Natural
from multimodal_lab.types import Drawing


class SpecAugment:
    """`time_masks` spans of at most `time_width` of a clip's frames, `freq_masks` of at most `freq_width` bins, become 0.

    Widths are uniform from 0, places uniform within the clip, so that padding has no part; 0 is the mean of a normalised
    spectrogram (Park et al. 2019: their p is `time_width`, their F `freq_width`; no time warp). All channels lose the same.
    It acts on a row with chance `p`, in the front end of a backbone, on what is drawn for (seed, epoch, sample, view).
    """

    def __init__(
        self,
        *,
        time_masks: Natural = 2,
        time_width: Fraction = 0.1,
        freq_masks: Natural = 2,
        freq_width: Natural = 8,
        p: Fraction = 1.0,
    ) -> None:
        self.time_masks, self.freq_masks, self.freq_width = time_masks, freq_masks, freq_width
        self.time_width = number("SpecAugment: time_width", time_width, 0.0, 1.0)
        self.p = number("SpecAugment: p", p, 0.0, 1.0)

    def __call__(self, x: Tensor, real: Tensor, draw: Drawing) -> Tensor:
        """x (N, C, M, F) and real (N, F) bool to x with zeros in the masks; a key a row in `draw`."""
        if self.p == 0:
            return x
        bins, frames = x.shape[2:]
        steps = torch.arange(1, frames + 1, device=x.device)
        length = (steps * real).amax(1)
        on = draw.fold("p").uniform(1) < self.p
        time = spans(draw.fold("time"), self.time_masks, length * self.time_width, length, frames)
        whole = torch.full_like(length, bins)
        widest = torch.full_like(length, min(self.freq_width, bins))
        freq = spans(draw.fold("freq"), self.freq_masks, widest, whole, bins)
        masked = (time[:, None, None] | freq[:, None, :, None]) & on[:, :, None, None]
        return x.masked_fill(masked, 0.0)


def spans(draw: Drawing, count: int, widest: Tensor, length: Tensor, places: int) -> Tensor:
    """(N, places) bool: in any of `count` spans, each of 0 to `widest` (N,) whole places, somewhere within `length` (N,)."""
    place = torch.arange(places, device=length.device)
    if not count:
        return torch.zeros(len(length), places, dtype=torch.bool, device=length.device)
    width = (draw.fold("width").uniform(count) * (widest[:, None] + 1)).floor().minimum(widest[:, None].floor())
    first = (draw.fold("place").uniform(count) * (length[:, None] - width + 1).clamp(min=1)).floor()
    return ((place >= first[..., None]) & (place < (first + width)[..., None])).any(1)
