"""`Photometric`, the base class of the photometric ops: probability per sample, selected streams, checked ranges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw, constant
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import KindName, Stream

Params = dict[str, Tensor]
RowIndex = Tensor | slice


def span(
    name: str, value: Sequence[float], low: float = float("-inf"), high: float = float("inf")
) -> tuple[float, float]:
    """`value` as (smallest, largest), both within [low, high]; else a `ValueError` that names the parameter."""
    if len(value) != 2 or not low <= value[0] <= value[1] <= high:
        raise ValueError(f"{name}: found {list(value)}, expected [smallest, largest] within [{low:g}, {high:g}]")
    return float(value[0]), float(value[1])


def number(name: str, value: float, low: float = 0.0, high: float = float("inf")) -> float:
    """`value` within [low, high]; else a `ValueError` that names the parameter."""
    if not low <= value <= high:
        raise ValueError(f"{name}: found {value}, expected a number within [{low:g}, {high:g}]")
    return float(value)


def holds(x: Tensor) -> bool:
    """Whether the host's memory holds `x`: there rows are counted and picked, on a device all are worked on."""
    return x.device.type == "cpu"


def on_rows(on: Tensor, x: Tensor, act: Callable[[RowIndex], Tensor], own: bool = False) -> Tensor:
    """`act(rows)`, which gives the new values of those rows, where `on` (N,) bool; `x` itself elsewhere.

    `own` says that nobody else reads `x`: then it may be written into, where a copy costs as much as the act.
    On the CPU only those rows are worked on; on a device all are, as counting the rows would make the host wait for it.
    """
    if not holds(x):
        return torch.where(on.view(-1, *[1] * (x.dim() - 1)), act(slice(None)), x)
    rows = on.nonzero()[:, 0]
    if len(rows) == len(x):
        return act(slice(None))
    if len(rows) == 0:
        return x
    out = x if own else x.clone()
    out[rows] = act(rows)
    return out


def gray(x: Tensor, stream: Stream) -> Tensor:
    """One band, (N, 1, H, W), from all: luma (ITU-R BT.601) of bands named R, G, B in this order, else their mean."""
    if is_rgb(stream):
        return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]
    return x.mean(1, keepdim=True)


def is_rgb(stream: Stream) -> bool:
    """Whether the bands are the three of a colour image, by name and in order."""
    return [band.name.lower() for band in stream.bands] in (["r", "g", "b"], ["red", "green", "blue"])


Fill = float | Literal["mean"]


def filling(value: Fill, stream: Stream, x: Tensor) -> Tensor:
    """(1, C or 1, 1, 1): a number, or each band's mean over the training split, in the units that an op sees."""
    if value != "mean":
        return torch.full((1, 1, 1, 1), float(value), dtype=x.dtype, device=x.device)
    mean = tuple(v / stream.unit for v in stream.mean) or (0.0,)
    return constant((mean,), x.device).to(x.dtype)[..., None, None]


class Photometric:
    """An op on values: `params` draws, `apply` acts. `p` is per sample and stream; `streams` None means all of `kinds`.

    Vectors (N, C) are seen as (N, C, 1, 1), with a time axis as (N, C, T, 1). Of a video (N, C, T, H, W) each frame is seen as an
    image: `frames` says whether all of one get the same draw (`alike`), or each its own (`apart`), which an op may choose that
    looks at one pixel at a time. An op sees values in the stream's `unit`, so that 12-bit counts in 16 bits span 0
    to 1 as others do. Nothing is clamped: values below 0 and above 1 stay what they are. `ranged` says that what it does
    means something only for images of about 0 to 1, 0 being no light.
    """

    kinds: ClassVar[tuple[KindName, ...]] = ("image",)
    ranged: ClassVar[bool] = False
    frames: ClassVar[Literal["alike", "apart"]] = "alike"

    def __init__(self, p: float, streams: list[str] | None) -> None:
        self.p = number(f"{type(self).__name__}: p", p, 0.0, 1.0)
        self.streams = streams

    def targets(self, name: str, streams: Mapping[str, Stream]) -> list[str]:
        """The names of the streams that this op, called `name` in the config, touches; none is a `ValueError`."""
        return selected(name, streams, self.kinds, self.streams)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """What is drawn for rows of `shape` (N, C, H, W), by kornia's names; every tensor starts with N."""
        raise NotImplementedError

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """(N, C, H, W) to the same shape."""
        raise NotImplementedError

    def __call__(self, x: Tensor, draw: Draw, stream: Stream, own: bool = False) -> Tensor:
        """(N, C, H, W) or (N, C, T, H, W) to the same, acting on each row with chance `p`; `own`: `x` may be written into."""
        if self.p == 0:
            return x
        on = draw.fold("p").uniform(1)[:, 0] < self.p
        return on_rows(on, x, lambda rows: self._on(x[rows], draw.rows(rows), stream), own)

    def _on(self, x: Tensor, draw: Draw, stream: Stream) -> Tensor:
        if x.dim() == 4:
            return self.apply(x, self.params(draw, x.shape, stream), stream)
        n, c, t, h, w = x.shape
        if self.frames == "apart":  # pixels know no neighbours: a video is one tall image
            return self._on(x.reshape(n, c, t * h, w), draw, stream).view(x.shape)
        params = {k: v.repeat_interleave(t, 0) for k, v in self.params(draw, torch.Size((n, c, h, w)), stream).items()}
        made = self.apply(x.transpose(1, 2).reshape(n * t, c, h, w), params, stream)
        return made.view(n, t, c, h, w).transpose(1, 2)


def listed(streams: Mapping[str, Stream]) -> str:
    """The modality's streams and their kinds, for an error."""
    return f"the modality has {', '.join(f'{key} ({stream.kind})' for key, stream in streams.items())}"


def selected(
    name: str, streams: Mapping[str, Stream], kinds: Collection[str], asked: Collection[str] | None
) -> list[str]:
    """The streams of `kinds` that an op called `name` in the config touches: those of `asked`, None is all; none is an error."""
    fit = [key for key, stream in streams.items() if stream.kind in kinds]
    chosen = fit if asked is None else [key for key in fit if key in asked]
    if chosen:
        return chosen
    if asked is None:
        raise ValueError(f"augment.ops.{name} works on {' and '.join(kinds)} streams; {listed(streams)}. Remove it")
    hint = expected_one_of(", ".join(asked), fit) if fit else f"it has no {' or '.join(kinds)} stream"
    raise ValueError(f"augment.ops.{name}.streams names {', '.join(asked)}; {listed(streams)}; {hint}")
