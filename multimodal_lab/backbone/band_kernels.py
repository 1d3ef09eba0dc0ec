"""Kernels of a first convolution made from what a band measures, and not from its name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Band

FREQUENCIES = 8  # of waves over the logarithm of the wavelength
SLOWEST, FASTEST = (
    0.25,
    4.0,
)  # cycles in a factor of e: 4 tells 705 from 740 nm, and more would tell nothing of bands between
CENTRE = 1000.0  # nm, where the logarithm is 0


class BandKernels(nn.Module):
    """(C, F) facts of C bands, see `facts`, to kernels (O, C, k, k) and a bias (O,): one network for bands of any sensor.

    As in DOFA (Xiong et al. 2024) a band's kernel is a function of its wavelength and width; a band without a wavelength,
    such as radar's, has a learned vector of its name, one of `names`. Unlike there a kernel does not depend on which bands stand
    beside it, so that a subset of the bands has the very kernels that it has among all. The kernels are divided by C: bands are
    largely alike, and their mean keeps its scale whatever their number.
    """

    def __init__(self, names: Sequence[str], out: int, kernel: int, hidden: int) -> None:
        super().__init__()
        self.names, self.shape = tuple(names), (out, kernel, kernel)
        self.name = nn.Parameter(torch.randn(len(names), hidden))
        self.wave = nn.Linear(4 * FREQUENCIES, hidden)
        self.layers = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.weight = nn.Linear(hidden, math.prod(self.shape))
        self.bias = nn.Parameter(torch.zeros(out))
        with torch.no_grad():
            # the summed kernels of like bands then have the scale of a convolution by He et al. (2015) of one band
            made = self.weight(self.layers(self.wave(torch.randn(64, 4 * FREQUENCIES))))
            self.weight.weight.mul_(math.sqrt(2 / kernel**2) / made.std())
            self.weight.bias.zero_()

    def forward(self, facts: Tensor) -> Tensor:
        """(C, F) to kernels (O, C, k, k)."""
        waves, named = facts[:, : 4 * FREQUENCIES], facts[:, 4 * FREQUENCIES :]
        known = waves.abs().amax(1, keepdim=True) > 0
        mixed = self.wave(waves) * known + named @ self.name
        kernels: Tensor = self.weight(self.layers(mixed)).reshape(len(facts), *self.shape) / len(facts)
        return kernels.transpose(0, 1)


def facts(bands: Sequence[Band], fwhm: Mapping[str, float], names: Sequence[str], stream: str = "") -> Tensor:
    """(C, F) of each band: waves of log(nm / 1000) and of the logarithm of its relative width, then which of `names` it is.

    fwhm: {band: width in nm}; a band that is not there has no waves of a width. A band has a wavelength or one of `names`; else
    `ValueError`.
    """
    steps = torch.linspace(0, 1, FREQUENCIES, dtype=torch.float64)
    cycles = SLOWEST * (FASTEST / SLOWEST) ** steps
    found = torch.zeros(len(bands), 4 * FREQUENCIES + len(names), dtype=torch.float64)
    for row, band in zip(found, bands):
        if band.nm is not None:
            width = fwhm.get(band.name)
            row[: 2 * FREQUENCIES] = _waves(math.log(band.nm / CENTRE), cycles)
            if width is not None:
                row[2 * FREQUENCIES : 4 * FREQUENCIES] = _waves(math.log(band.nm / width) / 4, cycles)
        elif band.name in names:
            row[4 * FREQUENCIES + list(names).index(band.name)] = 1
        else:
            raise ValueError(
                f"backbone wavelength: band {band.name} of stream {stream!r} has no wavelength (nm in its card) and is none of "
                f"backbone.names; {expected_one_of(band.name, names)}"
            )
    return found.float()


def _waves(x: float, cycles: Tensor) -> Tensor:
    angle = 2 * math.pi * x * cycles
    return torch.cat([angle.sin(), angle.cos()])
