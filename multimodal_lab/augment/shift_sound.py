"""Sound out of step: the sound of a clip is shifted against its picture by a known number of frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from multimodal_lab.augment.batchwise import Batchwise, one_stream
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import number
from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.types import Batch, KindName, Stream


class ShiftSound(Batchwise):
    """With chance `p` the sound comes -`frames` to `frames` frames late, but not 0 (Chung & Zisserman 2016, SyncNet, section 3).

    Both streams are cut to the steps that are real however far the sound is shifted, `frames` less at each end, so that no
    silence and no length tells of the shift: a clip that stays in step is cut as well. The rest is no longer valid. `offset`
    (N,) int64 is the number of frames by which the sound comes late, plus `frames`: 0 to 2 `frames`; `in_step` (N,) int64 is 1
    where that is none. A row that lacks a stream, or has no step left, stays as it is, and its targets are -1. `sound` null is
    the first vector with steps, `picture` the first image with steps; both need a rate.
    """

    kinds: ClassVar[tuple[KindName, ...]] = ("image", "vector")
    adds_targets: ClassVar = {"offset": "(N,) int64", "in_step": "(N,) int64"}
    steps: ClassVar[bool] = True
    names: ClassVar = {"sound": "stream", "picture": "stream"}

    def __init__(
        self,
        *,
        frames: Count = 4,
        p: Fraction = 0.5,
        sound: str | None = None,
        picture: str | None = None,
        offset: str = "offset",
        in_step: str = "in_step",
    ) -> None:
        self.p = number("ShiftSound: p", p, 0.0, 1.0)
        self.frames, self.sound, self.picture, self.offset, self.in_step = frames, sound, picture, offset, in_step
        self.ratio = 1.0

    def prepare(self, name: str, streams: Mapping[str, Stream], classes: Mapping[str, int]) -> None:
        """Find the streams and how many steps of the sound a frame lasts."""
        timed = {key: s for key, s in streams.items() if s.steps is not None}
        self.sound = one_stream(name, self.sound, [k for k, s in timed.items() if s.kind == "vector"], "sound", "sound")
        self.picture = one_stream(
            name, self.picture, [k for k, s in timed.items() if s.kind == "image"], "video", "picture"
        )
        for key in (self.sound, self.picture):
            if not streams[key].rate:
                raise ValueError(f"augment.ops.{name}: stream {key} has no rate; set modality.{key}.rate, in Hz")
        self.ratio = float(streams[self.sound].rate or 0) / float(streams[self.picture].rate or 1)

    def changes(self, streams: Mapping[str, Stream]) -> Collection[str]:
        """The sound, and which frames are looked at."""
        return [str(self.sound), str(self.picture)]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        """The batch with sounds shifted, both streams cut, and the targets."""
        u = (draw.fold("frames").uniform(1)[:, 0] * 2 * self.frames).long()  # 0 to 2 frames - 1: every shift but none
        late = torch.where(u < self.frames, u - self.frames, u - self.frames + 1)
        late = torch.where(draw.fold("p").uniform(1)[:, 0] < self.p, late, 0)
        out, known = self.shifted(batch, late)
        return out.replace(
            targets={
                **out.targets,
                self.offset: torch.where(known, late + self.frames, -1),
                self.in_step: torch.where(known, (late == 0).long(), -1),
            }
        )

    def shifted(self, batch: Batch, late: Tensor) -> tuple[Batch, Tensor]:
        """The batch with the sound `late` (N,) int64 frames late, and which rows (N,) bool could be cut."""
        sound, picture = str(self.sound), str(self.picture)
        x, heard, seen = batch.inputs[sound], batch.valid[sound], batch.valid[picture]
        most = round(self.frames * self.ratio)
        cut = {sound: _within(heard, most), picture: _within(seen, self.frames)}
        known = batch.present[sound] & batch.present[picture] & cut[sound].any(1) & cut[picture].any(1)
        step = torch.arange(x.shape[2], device=x.device) - (late * self.ratio).round().long()[:, None]
        moved = x.gather(2, step.clamp(0, x.shape[2] - 1)[:, None].expand(-1, x.shape[1], -1))
        inputs = {**batch.inputs, sound: torch.where(known[:, None, None], moved, x)}
        valid = batch.valid | {k: torch.where(known[:, None], real, batch.valid[k]) for k, real in cut.items()}
        return batch.replace(inputs=inputs, valid=valid), known


def _within(valid: Tensor, steps: int) -> Tensor:
    """valid (N, T) without the steps that have one that is not valid, or none, within `steps` before or behind."""
    width = 2 * steps + 1
    total = torch.nn.functional.pad(valid.long(), (steps + 1, steps)).cumsum(1)
    return total[:, width:] - total[:, :-width] == width
