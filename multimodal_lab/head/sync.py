"""Synchrony head: by how many frames does the sound of a clip come late, and is it in step?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count, require_relations
from multimodal_lab.head.names import known
from multimodal_lab.types import Batch, Features


class Sync(nn.Module):
    """Scores of every offset from -`frames` to `frames` by the agreement of two streams over time.

    The tokens of `picture` are its frames (places of a frame are averaged), those of `sound` are brought to as many by means.
    Two convolutions over time, of `kernel` frames, make an embedding of each frame of either stream, from which its mean over
    time is taken: what does not change tells no time. The score of an offset k is the mean inner product of frame t of the
    picture and frame t + k of the sound over the frames that both have, times a learned scale, as SyncNet slides one stream
    along the other (Chung & Zisserman 2016, section 4.1, there by distance). Both streams are taken to begin and to end together.

    `offsets` (N, 2 `frames` + 1) are logits of a softmax over offsets, the InfoNCE of the true one among the shifted;
    `logits` (N, 1) is that of being in step, offset 0 against the mean over the others, as if half of all clips were in step:
    s_0 - log(mean over k ≠ 0 of exp s_k). Both are 0 in a row that lacks a stream. Null streams: the first two.
    ValueError for an unknown stream, and for an even kernel.
    """

    takes = "streams"
    by_name = False
    gives = ("logits", "offsets")
    pairs = True
    over_time = ("picture", "sound")
    names: ClassVar = {"picture": "stream", "sound": "stream"}
    relations: ClassVar = {"kernel": "odd"}

    def __init__(
        self,
        dims: dict[str, int],
        *,
        frames: Count = 4,
        picture: str | None = None,
        sound: str | None = None,
        width: Count = 64,
        kernel: Count = 5,
    ) -> None:
        super().__init__()
        names = [name for name in dims if name != "fused"]
        if len(names) < 2:
            raise ValueError(f"head=sync compares two streams, found {', '.join(names)}")
        self.picture = known("head=sync: picture", picture or next(n for n in names if n != sound), names)
        rest = [name for name in names if name != self.picture]
        self.sound = known("head=sync: sound", sound or rest[0], rest)
        require_relations("head=sync", self.relations, {"kernel": kernel})
        self.frames = frames
        self.embed = nn.ModuleDict({n: OverTime(dims[n], width, kernel) for n in (self.picture, self.sound)})
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, features: Mapping[str, Features], batch: Batch) -> dict[str, Tensor]:
        """Features to `logits` (N, 1) and `offsets` (N, 2 frames + 1), in float32 or wider."""
        seen, heard = features[self.picture], features[self.sound]
        tokens, mask = _of_frames(seen)
        sounds, real = _means(heard.tokens, heard.mask, tokens.shape[1])
        x = _centred(self.embed[self.picture](tokens, mask), mask)
        y = _centred(self.embed[self.sound](sounds, real), real)
        with torch.autocast(x.device.type, enabled=False):
            x, y = (z.to(torch.promote_types(z.dtype, torch.float32)) for z in (x, y))
            scores = self.log_scale.exp() * torch.stack(
                [_agreement(x, y, mask, real, k) for k in range(-self.frames, self.frames + 1)], 1
            )
        own = scores[:, self.frames]
        others = torch.cat([scores[:, : self.frames], scores[:, self.frames + 1 :]], 1)
        mean = others.logsumexp(1) - torch.tensor(float(2 * self.frames), device=x.device).log()
        return {"logits": (own - mean)[:, None], "offsets": scores}


class OverTime(nn.Module):
    """(N, T, D) to (N, T, width) by two convolutions over time; what is not real is zero before each."""

    def __init__(self, dim: int, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.first = nn.Conv1d(dim, width, kernel, padding=kernel // 2)
        self.between = nn.LayerNorm(width)
        self.second = nn.Conv1d(width, width, kernel, padding=kernel // 2, bias=False)  # a mean over time is taken away

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """mask (N, T): the real steps; the others of what it gives are 0."""
        x = _kept(self.norm(x), mask)
        x = _kept(nn.functional.gelu(self.between(self.first(x.transpose(1, 2)).transpose(1, 2))), mask)
        return _kept(self.second(x.transpose(1, 2)).transpose(1, 2), mask)


def _kept(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask[..., None], x, x.new_zeros(()))


def _of_frames(f: Features) -> tuple[Tensor, Tensor]:
    """Tokens (N, T, D) and mask (N, T) of frames: of a grid of places in each the mean of what is real."""
    if f.grid is None:
        return f.tokens, f.mask
    places = f.grid[0] * f.grid[1]
    return _means(f.tokens, f.mask, f.tokens.shape[1] // places)


def _means(x: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N, L, D) as means of the real among `count` equal parts of its length, (N, count, D), and which have any (N, count).

    With fewer tokens than parts, the token that a part lies in stands for it.
    """
    length = x.shape[1]
    if length == count:
        return _kept(x, mask), mask
    if length < count:
        at = torch.arange(count, device=x.device) * length // count
        return _kept(x[:, at], mask[:, at]), mask[:, at]
    part = torch.arange(length, device=x.device) * count // length
    real = mask.to(x.dtype)
    total = x.new_zeros(len(x), count, x.shape[2]).index_add(1, part, _kept(x, mask))
    number = real.new_zeros(len(x), count).index_add(1, part, real)
    return total / number.clamp(min=1)[..., None], number > 0


def _centred(x: Tensor, mask: Tensor) -> Tensor:
    mean = x.sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]
    return _kept(x - mean, mask)


def _agreement(x: Tensor, y: Tensor, mask: Tensor, real: Tensor, late: int) -> Tensor:
    """(N,) the mean inner product over sqrt(width) of x at t and y at t + late, over the frames that both have; 0 without any."""
    steps = x.shape[1]
    begin, end = max(0, -late), min(steps, steps - late)
    if begin >= end:
        return (x * 0).sum((1, 2))
    both = mask[:, begin:end] & real[:, begin + late : end + late]
    product = (x[:, begin:end] * y[:, begin + late : end + late]).sum(2) / x.shape[2] ** 0.5
    mean: Tensor = (product * both).sum(1) / both.sum(1).clamp(min=1)
    return mean
