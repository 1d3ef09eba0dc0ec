"""Scale-invariant signal-to-distortion ratio of separated sounds, as a loss and as a measure."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.permuted import best
from multimodal_lab.loss.precision import mean_over_all, wide

targets = ("(N, 2, T) float",)
below_zero = ("si_sdr",)
as_target = {"permute": {True: ("sources",), ...: ()}}
SILENT = 1e-12  # the mean square of a sound below which it has no ratio: -120 dB of full scale


def si_sdr(estimate: Tensor, target: Tensor, permute: bool = False, most: Positive = 30.0) -> Tensor:
    """Minus the mean SI-SDR in dB over the sources of known rows: a scalar, 0 with a graph where none is known.

    estimate (N, S, T), target (N, S', T), S' >= S: the first S are meant, or with `permute` all in the order that fits best
    (Yu et al. 2017, PIT), S' = S. A row with NaN or a silent source, of which no ratio is defined, is not known. `most`: dB from
    which on little is gained, 10 log10(|s|² / (|e|² + 10^(-most/10) |s|²)) (Wisdom et al. 2020, MixIT, eq. 2): a perfect
    estimate has no infinite value.
    """
    y, known = judged(target, estimate.shape[1], permute, "si_sdr")
    x = torch.where(known[:, None, None], wide(estimate), 0.0)
    lost = best(lambda a, b: -ratio(a, b, 10.0 ** (-most / 10)), x, y[:, : x.shape[1]], permute)
    return mean_over_all(torch.where(known, lost, 0.0), known)


def ratio(estimate: Tensor, target: Tensor, floor: float = 0.0) -> Tensor:
    """(…, T) twice to (…): 10 log10(|a s|² / |a s - x|²), a = <x, s> / |s|² (Le Roux et al. 2019, SDR – half-baked?, eq. 3-5).

    floor: a share of |a s|² that is added to the error. Means are not taken away. Where the target is 0 it is meaningless.
    """
    eps = torch.finfo(estimate.dtype).tiny
    scale = (estimate * target).sum(-1, keepdim=True) / target.square().sum(-1, keepdim=True).clamp(min=eps)
    aimed = scale * target
    signal, error = aimed.square().sum(-1), (aimed - estimate).square().sum(-1)
    return 10 * ((signal + eps) / (error + floor * signal + eps)).log10()


def judged(target: Tensor, sources: int, permute: bool, loss: str) -> tuple[Tensor, Tensor]:
    """The target in float32 or wider, 0 in unknown rows, and which rows are known (N,): finite, and no asked source silent."""
    if target.ndim != 3 or target.shape[1] < sources or (permute and target.shape[1] != sources):
        raise ValueError(
            f"loss={loss}: {sources} sounds are told, and the target is {tuple(target.shape)}; expected (N, "
            f"{sources if permute else f'{sources} or more'}, T): set head.sources, and permute where nothing is asked for"
        )
    y = wide(target)
    known = y.isfinite().flatten(1).all(1)
    y = torch.where(known[:, None, None], y, y.new_zeros(()))
    return y, known & (y[:, :sources].square().mean(2) > SILENT).all(1)
