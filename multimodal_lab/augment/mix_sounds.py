"""Mix-and-separate: the sounds of two samples become one, and each alone is what is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from multimodal_lab.augment.add_noise import power
from multimodal_lab.augment.batchwise import Batchwise, one_stream
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import span
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Batch, KindName, Stream

SILENCE = 1e-6  # the mean square of a sound, -60 dB of full scale, below which it is silent: nothing to ask for


class MixSounds(Batchwise):
    """Each sound is mixed with that of another sample (Zhao et al. 2018, The Sound of Pixels, section 3.1).

    The other is brought to a level `snr` dB below the own one, drawn within [smallest, largest], over the steps that are real.
    `sources` (N, 2, T) float are the two parts of the sum, the own one first, 0 where a sound is not real: NaN in a row that
    stays as it is, as it is silent or missing or there is none to mix it with. `label`: only sounds of different classes are
    mixed, and none without a class; null: any two samples. Partners are of this rank's batch: for each row the next that fits
    in a drawn circle. `sound` null is the first vector with steps; it has one band.
    """

    kinds: ClassVar[tuple[KindName, ...]] = ("vector",)
    adds_targets: ClassVar = {"sources": "(N, 2, T) float"}
    steps: ClassVar[bool] = True
    names: ClassVar = {"sound": "stream", "label": "label"}

    def __init__(
        self,
        *,
        snr: tuple[float, float] = (-2.5, 2.5),
        label: str | None = None,
        sound: str | None = None,
        sources: str = "sources",
    ) -> None:
        self.snr, self.label, self.sound, self.sources = span("MixSounds: snr", snr), label, sound, sources

    def prepare(self, name: str, streams: Mapping[str, Stream], classes: Mapping[str, int]) -> None:
        """Find the stream and the label."""
        fit = [key for key, s in streams.items() if s.kind == "vector" and s.steps is not None]
        self.sound = one_stream(name, self.sound, fit, "sound", "sound")
        if (bands := streams[self.sound].channels) != 1:
            raise ValueError(
                f"augment.ops.{name}: stream {self.sound} has {bands} bands, expected one; sounds are parted in mono"
            )
        if self.label is not None and not classes.get(self.label):
            near = expected_one_of(self.label, [k for k, n in classes.items() if n]) if classes else "there is none"
            raise ValueError(f"augment.ops.{name}.label={self.label} is no label of classes; {near}")

    def changes(self, streams: Mapping[str, Stream]) -> Collection[str]:
        """The sound alone."""
        return [str(self.sound)]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        """The batch with mixed sounds, and their parts as a target."""
        sound = str(self.sound)
        x, valid = batch.inputs[sound], batch.valid[sound] & batch.present[sound][:, None]
        wave = torch.where(valid[:, None], x, x.new_zeros(()))
        fit = batch.present[sound] & heard(wave, valid)
        allowed = fit[:, None] & fit & (batch.ids[:, None] != batch.ids)
        if self.label is not None:
            label = batch.targets[self.label]
            known = label >= 0 if label.ndim == 1 else (label >= 0).all(1)
            same = label[:, None] == label if label.ndim == 1 else (label[:, None] == label).all(2)
            allowed &= known[:, None] & known & ~same
        partner, on = nearest(draw.fold("partner").uniform(1)[:, 0], allowed)
        snr = draw.fold("snr").between(*self.snr, 1)[:, 0]
        sources = parts(wave, valid, partner, snr)
        mixed = torch.where(on[:, None, None], sources.sum(1, keepdim=True), x)
        real = torch.where(on[:, None], valid | valid[partner], batch.valid[sound])
        return batch.replace(
            inputs={**batch.inputs, sound: mixed},
            valid={**batch.valid, sound: real},
            targets={**batch.targets, self.sources: torch.where(on[:, None, None], sources, torch.nan)},
        )


def heard(wave: Tensor, valid: Tensor) -> Tensor:
    """(N,) bool: whether a sound (N, 1, T), 0 where valid (N, T) is False, is louder than silence."""
    return power(wave, valid) > SILENCE


def parts(wave: Tensor, valid: Tensor, partner: Tensor, snr: Tensor) -> Tensor:
    """(N, 2, T): each sound (N, 1, T) and its partner's, `snr` (N,) dB below it."""
    level = power(wave, valid)
    gain = (level / level[partner].clamp(min=SILENCE)).sqrt() * 10 ** (-snr / 20)
    return torch.cat([wave, gain[:, None, None] * wave[partner]], 1)


def nearest(u: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row the next one in the circle of `u` (N,) that is allowed (N, N), and whether there is one; (N,) each."""
    rank = torch.empty_like(u, dtype=torch.long)
    rank[u.argsort(stable=True)] = torch.arange(len(u), device=u.device)
    steps = (rank - rank[:, None]) % len(u)
    return torch.where(allowed, steps, len(u)).argmin(1), allowed.any(1)
