"""Adapt the input layer of a pretrained image model to other bands, matched by band name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from multimodal_lab.types import Band, Stream

Rule = Literal["mean", "nearest", "zero", "random"]
NM = {"R": 650.0, "G": 550.0, "B": 450.0}  # centres of the pretrained bands, where the stream doesn't have them itself


def places(bands: Sequence[Band], pretrained: Sequence[str], stream: str = "") -> list[int | None]:
    """For each pretrained kernel the index of its band in `bands`, None if the stream has no such band.

    An entry of `pretrained` is a band name or several with `|` between them: "R|B04". Two of them in one stream, or one
    band asked for twice, is a ValueError.
    """
    index = {band.name: i for i, band in enumerate(bands)}
    found: list[int | None] = []
    for entry in pretrained:
        names = [name for name in entry.split("|") if name in index]
        if len(names) > 1:
            raise ValueError(
                f"backbone.pretrained_bands: {entry!r} names {' and '.join(names)}, and stream {stream!r} has both; "
                "name the one that takes this kernel"
            )
        place = index[names[0]] if names else None
        if place is not None and place in found:
            raise ValueError(f"backbone.pretrained_bands: band {names[0]} is asked to take two kernels; expected one")
        found.append(place)
    return found


def inflate(
    kernels: Tensor, stream: Stream, pretrained: Sequence[str], rule: Rule = "mean", correlation: float = 0.0
) -> Tensor:
    """Kernels (O, P, h, w) of P pretrained bands to (O, C, h, w) for the C bands of `stream`.

    A band that has a kernel of its own (see `places`) takes it wherever it stands. Each other band takes, by `rule`,
    the mean of the pretrained kernels; that of the pretrained band nearest in wavelength; zero; or noise of their
    standard deviation. Then everything is scaled by sqrt(E(pretrained) / E(inflated)), where for
    unit-variance inputs whose bands correlate by r = `correlation` and whose pixels are independent

        E(W) = (1 - r) sum_c ||W_c||^2 + r ||sum_c W_c||^2

    is the summed variance of the activations. r = 0 takes bands as independent. At r = 1, all bands grey, the mean rule
    with no pretrained band among them gives the usual P / C. A stream of exactly the pretrained bands is not scaled.
    """
    if kernels.ndim != 4 or kernels.shape[1] != len(pretrained):
        raise ValueError(
            f"backbone.pretrained_bands names {len(pretrained)} bands ({', '.join(pretrained)}), but the first "
            f"convolution of the weights is of shape {tuple(kernels.shape)}; expected one name per input band"
        )
    where = places(stream.bands, pretrained, stream.name)
    own = {place: p for p, place in enumerate(where) if place is not None}
    columns = [
        kernels[:, own[c]] if c in own else _new(kernels, band, _centres(stream, pretrained, where), rule)
        for c, band in enumerate(stream.bands)
    ]
    out = torch.stack(columns, 1)
    before, after = _energy(kernels, correlation), _energy(out, correlation)
    if not after > 0:
        raise ValueError(
            f"backbone.new_bands={rule}: none of the bands of stream {stream.name!r} "
            f"({', '.join(b.name for b in stream.bands)}) is one of {', '.join(pretrained)}, so that every kernel "
            "would be zero; choose mean, nearest or random"
        )
    return out * torch.sqrt(before / after).to(out.dtype)


def _energy(kernels: Tensor, correlation: float) -> Tensor:
    w = kernels.double()
    return (1 - correlation) * w.square().sum() + correlation * w.sum(1).square().sum()


def _new(kernels: Tensor, band: Band, centres: list[float | None], rule: Rule) -> Tensor:
    if rule == "mean":
        return kernels.mean(1)
    if rule == "zero":
        return torch.zeros_like(kernels[:, 0])
    if rule == "random":
        return torch.randn_like(kernels[:, 0]) * kernels.std()
    if band.nm is None:
        raise ValueError(
            f"backbone.new_bands=nearest: band {band.name} has no wavelength (nm); give it one or choose mean"
        )
    known = [(abs(band.nm - nm), p) for p, nm in enumerate(centres) if nm is not None]
    if not known:
        raise ValueError("backbone.new_bands=nearest: none of the pretrained bands has a known wavelength; choose mean")
    return kernels[:, min(known)[1]]


def _centres(stream: Stream, pretrained: Sequence[str], where: Sequence[int | None]) -> list[float | None]:
    """The wavelength of each pretrained band: the stream's own, else that of R, G or B among its names, else None."""
    centres: list[float | None] = []
    for entry, place in zip(pretrained, where):
        usual = next((NM[name] for name in entry.split("|") if name in NM), None)
        own = stream.bands[place].nm if place is not None else None
        centres.append(usual if own is None else own)
    return centres
