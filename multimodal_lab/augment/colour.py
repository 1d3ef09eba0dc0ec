"""Colour jitter ops (brightness, contrast, …) for any number of bands: kornia's names and draws, without clamping.

Kornia cuts its input and output to [0, 1] in most of these; here reflectance above 1 and noise below 0 survive, and
inside [0, 1], where kornia cuts nothing either, the results are equal.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from kornia.color import hsv_to_rgb, rgb_to_hsv
from torch import Tensor

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Params, Photometric, gray, is_rgb, number, span
from multimodal_lab.bounds import Fraction, NonNegative
from multimodal_lab.types import Stream

_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)


def _column(x: Tensor) -> Tensor:
    """(N,) or (N, C) to (N, 1 or C, 1, 1)."""
    return x.reshape(len(x), -1, 1, 1)


def _mean(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 1, 1, 1), by one axis at a time: a sum over all may be split differently by batch size."""
    return x.mean(-1).mean(-1).mean(-1).view(-1, 1, 1, 1)


class ColorJitter(Photometric):
    """Brightness, contrast, saturation and hue in a random order (torchvision's and kornia's formulas).

    Factors are uniform in [max(0, 1 - v), 1 + v]. Brightness multiplies, contrast blends with the mean gray, saturation
    with each pixel's gray, hue turns the colour circle by up to `hue` of it. Where the bands are not R, G, B, gray is
    the mean of the bands and hue, with no circle to turn, multiplies each band by its own factor in [1 - hue, 1 + hue],
    before the other three.
    """

    ranged: ClassVar[bool] = True

    def __init__(
        self,
        *,
        brightness: NonNegative = 0.2,
        contrast: NonNegative = 0.2,
        saturation: NonNegative = 0.1,
        hue: NonNegative = 0.02,
        p: Fraction = 0.8,
        streams: list[str] | None = None,
    ) -> None:
        super().__init__(p, streams)
        self.brightness = number("ColorJitter: brightness", brightness)
        self.contrast = number("ColorJitter: contrast", contrast)
        self.saturation = number("ColorJitter: saturation", saturation)
        self.hue = number("ColorJitter: hue", hue, 0.0, 0.5)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """brightness_, contrast_ and saturation_factor (N,); hue_factor (N,) or, not RGB, (N, C); order (N, 4)."""

        def factor(name: str, width: float) -> Tensor:
            return draw.fold(name).between(max(0.0, 1 - width), 1 + width, 1)[:, 0]

        time = draw.fold("order").uniform(4)
        if not is_rgb(stream):
            time[:, _HUE] = -1
        turns = draw.fold("hue").between(-self.hue, self.hue, 1 if is_rgb(stream) else shape[1])
        return {
            "brightness_factor": factor("brightness", self.brightness),
            "contrast_factor": factor("contrast", self.contrast),
            "saturation_factor": factor("saturation", self.saturation),
            "hue_factor": turns[:, 0] if is_rgb(stream) else turns,
            "order": time.argsort(stable=True),
        }

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """All four at once.

        Without clamping the first three commute: brightness scales everything, contrast scales and adds one constant,
        and saturation keeps the gray. A turn of the hue commutes with scaling and adding, too, so the order matters in
        one way: whether the grays that contrast and saturation blend with are taken before or after the hue turns.
        """
        place = params["order"].argsort(1)
        early_contrast, early_saturation = (_column(place[:, i] < place[:, _HUE]) for i in (_CONTRAST, _SATURATION))
        contrast, saturation = _column(params["contrast_factor"]), _column(params["saturation_factor"])
        turned = self._turn(x, params["hue_factor"], stream)
        before, after = gray(x, stream), gray(turned, stream)
        mean_before, mean_after = _mean(before), _mean(after)
        mixed = torch.where(early_saturation, saturation * mean_after + (1 - saturation) * mean_before, mean_after)
        mean = torch.where(early_contrast, mean_before, mixed)
        out = saturation * turned + (1 - saturation) * torch.where(early_saturation, before, after)
        return _column(params["brightness_factor"]) * (contrast * out + (1 - contrast) * mean)

    def _turn(self, x: Tensor, factor: Tensor, stream: Stream) -> Tensor:
        if self.hue == 0:
            return x
        if not is_rgb(stream):
            return x * (1 + _column(factor))
        low = x.amin(1, keepdim=True)  # the turn keeps each pixel's smallest value, and HSV is only safe from 0 up
        hue, saturation, value = rgb_to_hsv(x - low).unbind(1)
        hue = (hue + 2 * math.pi * factor[:, None, None]) % (2 * math.pi)
        turned: Tensor = hsv_to_rgb(torch.stack([hue, saturation, value], 1)) + low
        return turned


class RandomGrayscale(Photometric):
    """Every band replaced by the gray: luma for R, G, B, the mean of the bands for all others."""

    def __init__(self, *, p: Fraction = 0.1, streams: list[str] | None = None) -> None:
        super().__init__(p, streams)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """Nothing."""
        return {}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The gray in every band."""
        return gray(x, stream).expand_as(x).contiguous()


class RandomPosterize(Photometric):
    """Values cut down to steps of 2^(8 - bits)/255, `bits` drawn from [bits, 8] and rounded.

    The steps go on outside [0, 1]. 8 leaves the image as it is, 0 makes it black, as in kornia.
    """

    ranged: ClassVar[bool] = True

    def __init__(self, *, bits: float = 3, p: Fraction = 0.5, streams: list[str] | None = None) -> None:
        super().__init__(p, streams)
        self.bits = number("RandomPosterize: bits", bits, 0.0, 8.0)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """bits_factor (N,) int32."""
        return {"bits_factor": draw.between(self.bits, 8, 1)[:, 0].round().int()}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """Floor to the step."""
        bits = _column(params["bits_factor"])
        step = torch.ldexp(torch.ones_like(x[:, :1, :1, :1]), 8 - bits)
        cut = ((x * 255).floor() / step).floor() * step / 255
        return torch.where(bits == 8, x, torch.where(bits == 0, torch.zeros_like(x), cut))


class _Factor(Photometric):
    """One factor per sample, or per sample and band."""

    def __init__(self, per_band: bool, p: float, streams: list[str] | None) -> None:
        super().__init__(p, streams)
        self.per_band = per_band

    def factor(self, draw: Draw, name: str, range_: tuple[float, float], shape: torch.Size) -> Tensor:
        """(N, C) or (N, 1)."""
        return draw.fold(name).between(*range_, shape[1] if self.per_band else 1)


class RandomBrightness(_Factor):
    """x + (factor - 1), kornia's brightness: an offset, for each band its own unless `per_band` is off."""

    ranged: ClassVar[bool] = True

    def __init__(
        self,
        *,
        brightness: tuple[float, float] = (0.8, 1.2),
        per_band: bool = True,
        p: Fraction = 0.5,
        streams: list[str] | None = None,
    ) -> None:
        super().__init__(per_band, p, streams)
        self.brightness = span("RandomBrightness: brightness", brightness, 0.0, 2.0)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """brightness_factor (N, C or 1)."""
        return {"brightness_factor": self.factor(draw, "brightness", self.brightness, shape)}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The offset."""
        return x + _column(params["brightness_factor"] - 1)


class RandomContrast(_Factor):
    """x * factor, kornia's contrast: a gain about 0, for each band its own unless `per_band` is off."""

    ranged: ClassVar[bool] = True

    def __init__(
        self,
        *,
        contrast: tuple[float, float] = (0.8, 1.2),
        per_band: bool = True,
        p: Fraction = 0.5,
        streams: list[str] | None = None,
    ) -> None:
        super().__init__(per_band, p, streams)
        self.contrast = span("RandomContrast: contrast", contrast, 0.0)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """contrast_factor (N, C or 1)."""
        return {"contrast_factor": self.factor(draw, "contrast", self.contrast, shape)}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The gain."""
        return x * _column(params["contrast_factor"])


class RandomGamma(_Factor):
    """gain * x^gamma; below 0 the curve is mirrored, -gain * |x|^gamma, so that noise about 0 keeps its sign."""

    ranged: ClassVar[bool] = True

    def __init__(
        self,
        *,
        gamma: tuple[float, float] = (0.8, 1.2),
        gain: tuple[float, float] = (1.0, 1.0),
        per_band: bool = True,
        p: Fraction = 0.5,
        streams: list[str] | None = None,
    ) -> None:
        super().__init__(per_band, p, streams)
        self.gamma = span("RandomGamma: gamma", gamma, 0.0)
        self.gain = span("RandomGamma: gain", gain, 0.0)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """gamma_factor and gain_factor (N, C or 1)."""
        return {
            "gamma_factor": self.factor(draw, "gamma", self.gamma, shape),
            "gain_factor": self.factor(draw, "gain", self.gain, shape),
        }

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The curve."""
        return _column(params["gain_factor"]) * x.sign() * x.abs() ** _column(params["gamma_factor"])
