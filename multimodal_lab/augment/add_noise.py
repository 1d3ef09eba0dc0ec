"""Noise at a signal-to-noise ratio: white, pink, or what another sample of the batch sounds like."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from multimodal_lab.augment.batchwise import Batchwise
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.mix import circle
from multimodal_lab.augment.op import Params, number, selected, span
from multimodal_lab.augment.temporal import Temporal, timed
from multimodal_lab.bounds import Fraction
from multimodal_lab.types import Batch, KindName, Stream


class AddNoise(Temporal):
    """x + noise whose power is that of the recording's real steps less `snr` decibels, uniform in that range.

    color: "white", all frequencies alike; "pink", power as 1 / f. Each channel has noise of its own. Silence stays silent.
    """

    kinds: ClassVar[tuple[KindName, ...]] = ("vector",)

    def __init__(
        self,
        *,
        snr: tuple[float, float] = (10.0, 40.0),
        color: Literal["white", "pink"] = "white",
        p: Fraction = 0.5,
        streams: list[str] | None = None,
    ) -> None:
        super().__init__(p, streams)
        self.snr = span("AddNoise: snr", snr, -120.0, 120.0)
        self.color = color

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """snr (N,) in decibels and noise (N, C, T), the first steps of a whole recording's, whatever a batch is padded to."""
        steps = max(shape[2], stream.steps or 0)
        noise = draw.fold("noise").normal(shape[1] * steps).view(-1, shape[1], steps)
        if self.color == "pink":
            spectrum = torch.fft.rfft(noise)
            loud = torch.arange(spectrum.shape[2], device=noise.device).clamp(min=1).rsqrt()
            noise = torch.fft.irfft(spectrum * loud, n=steps)
        return {"snr": draw.fold("snr").between(*self.snr, 1)[:, 0], "noise": noise[..., : shape[2]]}

    def moved(self, x: Tensor, valid: Tensor, draw: Draw, stream: Stream) -> tuple[Tensor, Tensor]:
        """x (N, C, T) and valid (N, T) bool to the sum and the same valid, acting on each row with chance `p`."""
        if self.p == 0:
            return x, valid
        on = draw.fold("p").uniform(1) < self.p
        params = self.params(draw, x.shape, stream)
        return torch.where(on[:, None], mixed(x, params["noise"].to(x.dtype), valid, valid, params["snr"]), x), valid


class AddBackground(Batchwise):
    """Another sample's sound as noise, `snr` decibels below, with chance `p`; labels stay (Salamon & Bello 2017, background).

    Partners are the rows of this rank's batch in a drawn circle; a row whose partner lacks the stream stays as it is. streams:
    those that it acts on; null is all with a time axis.
    """

    kinds: ClassVar[tuple[KindName, ...]] = ("vector",)
    steps: ClassVar[bool] = True

    def __init__(
        self, *, snr: tuple[float, float] = (5.0, 20.0), p: Fraction = 0.5, streams: list[str] | None = None
    ) -> None:
        self.snr = span("AddBackground: snr", snr, -120.0, 120.0)
        self.p, self.streams = number("AddBackground: p", p, 0.0, 1.0), streams
        self.names: list[str] = []

    def prepare(self, name: str, streams: Mapping[str, Stream], classes: Mapping[str, int]) -> None:
        """ValueError where no stream has a time axis."""
        self.names = selected(name, timed(name, streams), self.kinds, self.streams)

    def changes(self, streams: Mapping[str, Stream]) -> Collection[str]:
        """Those that it acts on."""
        return self.names

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        """The batch with its sounds mixed."""
        if self.p == 0:
            return batch
        partner = circle(draw.fold("partner").uniform(1)[:, 0])
        on = draw.fold("p").uniform(1)[:, 0] < self.p
        inputs = dict(batch.inputs)
        for name in self.names:
            x, valid = inputs[name], batch.valid[name]
            snr = draw.fold(name).between(*self.snr, 1)[:, 0]
            y = mixed(x, x[partner], valid, valid[partner], snr)
            inputs[name] = torch.where((on & batch.present[name])[:, None, None], y, x)
        return batch.replace(inputs=inputs)


def mixed(x: Tensor, noise: Tensor, valid: Tensor, real: Tensor, snr: Tensor) -> Tensor:
    """x + noise (N, C, T), both 0 where `valid` and `real` (N, T) are False; the power of x is `snr` (N,) dB above the other's.

    Power is the mean square over the real steps and the channels of each.
    """
    noise = torch.where(real[:, None], noise, noise.new_zeros(()))
    loud = power(noise, real)
    ratio = torch.where(loud > 0, power(x, valid) / loud, 0.0)
    return x + noise * (ratio * 10 ** (-snr / 10)).sqrt().to(x.dtype)[:, None, None]


def power(x: Tensor, valid: Tensor) -> Tensor:
    """(N,): the mean square of x (N, C, T) over the channels and the steps in `valid` (N, T); 0 where there is none."""
    square = torch.where(valid[:, None], x, x.new_zeros(())).square().sum((1, 2))
    return square / (valid.sum(1) * x.shape[1]).clamp(min=1)
