"""The Augment module: takes a Batch, returns its augmented views on the same device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_lab.augment.batchwise import Batchwise
from multimodal_lab.augment.blank import blanked, fill_of
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.dropout import dropped
from multimodal_lab.augment.geometry import Geometric
from multimodal_lab.augment.maps import read_map, refuse_mixing
from multimodal_lab.augment.op import Photometric, holds, listed, on_rows
from multimodal_lab.augment.temporal import Temporal
from multimodal_lab.augment.warp import Size, Step, grid, sample
from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.data import kinds
from multimodal_lab.device import compiler
from multimodal_lab.types import COMPONENT, Batch, Stream

Op = Geometric | Photometric | Batchwise
LOWEST, HIGHEST = -0.5, 4.0
PASS = "percentile_clipped, per_image_minmax, dtype_max (integers) or fixed_range with low and high of the data"


class Augment(nn.Module):
    """Make `views` of every sample by `ops`, in their order.

    Geometry is drawn once per view for all image streams and the mask, photometry per view and stream; neighbouring
    geometric ops are resampled once; a batchwise op sees the whole batch and may add targets, `adds`. Every draw is a pure
    function of seed, epoch, sample id, view, the op's name in `ops` and, for photometry, the stream's name: adding or
    moving an op changes no other op's draws.

    streams: the modality's, by name. classes: {label: how many}. maps: targets with a value for every pixel, which move with
    the images, see `maps.read_map`. ops: by name. size: H = W of the output of the ops that set one (random_resized_crop,
    resize, resize_and_pad); None leaves each stream's own. modality_dropout: the chance that a view lacks a modality, so that
    a system learns to do without; one that is there always stays.
    """

    def __init__(
        self,
        streams: dict[str, Stream],
        classes: Mapping[str, int] | None = None,
        maps: Collection[str] = (),
        *,
        ops: dict[str, Op],
        views: Count = 2,
        size: Count | None = None,
        modality_dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        if views < 1:
            raise ValueError(f"augment.views is {views}, expected 1 or more")
        for name, op in ops.items():
            if not isinstance(op, Op):
                raise TypeError(
                    f"augment.ops.{name} is a {type(op).__name__}, expected a geometric, photometric or batchwise op"
                )
        self.streams = streams
        self.images = [name for name, stream in streams.items() if kinds.of(stream).spatial]
        self.views, self.size = views, size
        self.modality_dropout = modality_dropout
        grouped = groupby(ops, lambda k: isinstance(ops[k], Geometric))
        self.runs = [(together, list(names)) for together, names in grouped]
        self.geometric = {name: op for name, op in ops.items() if isinstance(op, Geometric)}
        self.photometric = {name: op for name, op in ops.items() if isinstance(op, Photometric)}
        self.batchwise = {name: op for name, op in ops.items() if isinstance(op, Batchwise)}
        for name, op in self.batchwise.items():
            op.prepare(name, streams, classes or {})
        self.maps = refuse_mixing(maps, self.batchwise)
        self.adds = {*maps} if self.geometric else set()  # other pixels, and of another size
        self.adds |= {target for op in self.batchwise.values() for target in op.targets()}
        self.targets = {name: op.targets(name, streams) for name, op in self.photometric.items()}
        self.ranged = {
            key: name for name, op in self.photometric.items() if op.ranged and op.p > 0 for key in self.targets[name]
        }
        self.filled = any(op.leaves for op in self.geometric.values()) and any(streams[n].fill for n in self.images)
        self._check_geometry()
        self._check_components()
        self._checked: set[str] = set()
        self._compiled: Callable[[Batch, Tensor], Batch] | None = None
        self._ready = False

    def _check_geometry(self) -> None:
        if self.geometric and not self.images:
            name = next(iter(self.geometric))
            raise ValueError(f"augment.ops.{name} works on image streams; {listed(self.streams)}. Remove it")
        if self.size is not None and all(op.sizing == "keeps" for op in self.geometric.values()):
            raise ValueError(
                f"augment.size is {self.size}, but no op sets a size; expected one of random_resized_crop, resize, "
                "resize_and_pad"
            )
        for name, op in self.geometric.items():
            if op.sizing == "must" and self.size is None:
                raise ValueError(f"augment.ops.{name} needs augment.size: found null, expected a number of pixels")

    def _check_components(self) -> None:
        for key in (k for k in self.images if k in self.ranged):
            if any(band.unit == COMPONENT for band in self.streams[key].bands):
                raise ValueError(components_refused(self.ranged[key], key))

    @torch.no_grad()
    def forward(self, batch: Batch, seed: int, epoch: int) -> Batch:
        """N samples to views * N, view-major: all of view 0, then all of view 1.

        Where an op is `ranged`, images are expected at about [0, 1] of their `Stream.unit`, not normalised; reflectance above
        1 is kept. Equal ids are views of one sample. Rows of a missing modality stay zero. Pixels outside the mask, which is
        read to the nearest pixel, and outside the frame hold the stream's `fill`, whatever the ops wrote there, and steps
        that are not valid its mean. `keys` are set.
        """
        self._check_range(batch)
        view = torch.arange(self.views, device=batch.ids.device).repeat_interleave(len(batch))
        out = batch if self.views == 1 else batch.map(lambda x: torch.cat([x] * self.views))
        keys = Draw.start(out.ids, view, seed, epoch).keys  # a compiled graph knows neither seed nor epoch
        return self._drawn(out, keys, batch).replace(keys=keys)

    def _drawn(self, out: Batch, keys: Tensor, batch: Batch) -> Batch:
        """`out`, the views of `batch`, behind all ops, by the compiled graph where there is one."""
        if holds(keys):
            theirs = frozenset(x.data_ptr() for x in batch.inputs.values())  # these tensors are never written into
            return self._made(out, keys, theirs)
        if self._compiled is None:
            return self._made(out, keys)
        for x in (*out.inputs.values(), *([] if out.mask is None else [out.mask])):
            torch._dynamo.mark_static(x, list(range(1, x.dim())))  # the number of rows alone may vary
        try:
            if not self._ready:
                self._made(out, keys)  # makes the tables, which a compiler is to find
                self._ready = True
            return self._compiled(out, keys)
        except torch._dynamo.exc.TorchDynamoException as error:
            self._compiled = None
            said = next(iter(str(error).splitlines()), "")
            warnings.warn(f"augment: not compiled, slower ({type(error).__name__}: {said})", stacklevel=2)
            return self._made(out, keys)

    def compile(self, *arguments: Any, **options: Any) -> None:
        """Let torch.compile make one graph of all ops, for batches on a device; arguments are torch.compile's.

        On the CPU, where an op works on the rows that it acts on alone, nothing changes.
        """
        self._compiled = compiler.compiled(self._made, *arguments, **options)

    def _made(self, out: Batch, keys: Tensor, theirs: frozenset[int] = frozenset()) -> Batch:
        """All ops, in their order. theirs: where the caller's tensors begin in the host's memory."""
        draw, framed = Draw(keys), out.mask is None and self.filled
        if framed:  # what geometry reads outside the frame is blank, too
            sizes = {out.inputs[name].shape[-2:] for name in self.images}
            framed = len(sizes) == 1  # one mask serves all
            first = out.inputs[self.images[0]]
            frame = torch.ones_like(first[:, :1] if first.dim() == 4 else first[:, :1, 0])
            out = out.replace(mask=frame) if framed else out
        for together, names in self.runs:
            if together:
                out = self._warp(out, names, draw)
                continue
            for name in names:
                own = draw.fold(name)
                out = self.batchwise[name](out, own) if name in self.batchwise else self._change(out, name, own, theirs)
        if self.modality_dropout:
            there = {name: out.present[name] for name in self.streams}
            kept = dropped(there, self.modality_dropout, draw.fold("modality_dropout"))
            out = out.replace(present={**out.present, **kept})
        out = blanked(out, self.images, self.streams)
        return out.replace(mask=None) if framed else out

    def _check_range(self, batch: Batch) -> None:
        """Look at the first batch of each stream with a `ranged` op only: the host waits for the answer."""
        for name in (k for k in self.images if k in self.ranged and k not in self._checked):
            low, high = (float(v) / self.streams[name].unit for v in batch.inputs[name].aminmax())
            if not (low >= LOWEST and high <= HIGHEST):
                raise ValueError(
                    f"augment.ops.{self.ranged[name]}: stream {name} has values from {low:.4g} to {high:.4g}, expected about "
                    f"0 to 1 (at the most {LOWEST:g} to {HIGHEST:g}); scale by data/scaling={PASS}, and leave mean and std to "
                    "the system; or take augment=none, or geometric ops alone"
                )
            self._checked.add(name)

    def _change(self, batch: Batch, name: str, draw: Draw, theirs: frozenset[int]) -> Batch:
        inputs, valid, op = dict(batch.inputs), dict(batch.valid), self.photometric[name]
        for key in self.targets[name] if op.p else ():
            x, unit = inputs[key], self.streams[key].unit
            if isinstance(op, Temporal):
                own = draw if op.together else draw.fold(key)
                inputs[key], valid[key] = op.moved(x, batch.valid[key], own, self.streams[key])
                continue
            seen = x if x.dim() == 4 else x.reshape(*x.shape, *[1] * (4 - x.dim()))  # (N, C, T) as (N, C, T, 1)
            mine = holds(x) and x.data_ptr() not in theirs
            if unit != 1:  # a power of two: exact
                seen, mine = seen / unit, True
            made = op(seen, draw.fold(key), self.streams[key], mine).reshape(x.shape)
            inputs[key] = made if unit == 1 else made * unit
        return batch.replace(inputs=inputs, valid=valid)

    def _warp(self, batch: Batch, names: list[str], draw: Draw) -> Batch:
        """Compose the named geometric ops, then read every image and the mask once."""
        reference = batch.inputs[self.images[0]] if batch.mask is None else batch.mask
        canvas: Size = (reference.shape[-2], reference.shape[-1])
        steps: list[Step] = []
        moved = torch.zeros(len(batch), dtype=torch.bool, device=reference.device)
        for name in names:
            op, own = self.geometric[name], draw.fold(name)
            if op.p == 0 and op.sizing == "keeps":
                continue
            on = op.on(own)
            after = canvas if op.sizing == "keeps" else self._out(canvas)
            steps.append(op.step(on, op.params(own, canvas), canvas, after))
            moved, canvas = moved | on, after
        if not steps:
            return batch
        sized = any(self.geometric[name].sizing != "keeps" for name in names)
        grids: dict[Size, Tensor] = {}

        def read(x: Tensor, mode: str, fill: Tensor | None = None) -> Tensor:
            if x.dim() == 5:  # every frame of a video is read at the same places: a frame's band is a band
                spread = None if fill is None else fill.expand(-1, -1, x.shape[2], -1, -1).flatten(1, 2)
                made = read(x.flatten(1, 2), mode, spread)
                return made.reshape(*x.shape[:3], *made.shape[-2:])
            before: Size = (x.shape[-2], x.shape[-1])
            size = self._out(before) if sized else before
            if size not in grids:
                grids[size] = grid(steps, size, x.device)
            if size != before:
                return sample(x, grids[size], mode, fill)
            return on_rows(moved, x, lambda rows: sample(x[rows], grids[size][rows], mode, fill))

        inputs = {
            k: read(x, "bilinear", fill_of(self.streams[k], x)) if k in self.images else x
            for k, x in batch.inputs.items()
        }
        targets = batch.targets | {k: read_map(batch.targets[k], read) for k in self.maps}
        blank = {} if batch.mask is None else {"mask": read(batch.mask, "nearest")}
        return batch.replace(inputs=inputs, targets=targets, **blank)

    def _out(self, size: Size) -> Size:
        return size if self.size is None else (self.size, self.size)


def components_refused(op: str, stream: str) -> str:
    """The sentence for an op that needs a range and a stream of principal components, which has none."""
    return (
        f"augment.ops.{op} expects values of about 0 to 1, and modality.{stream}.pca makes principal components, which have "
        "no such range; take augment=none, or geometric ops alone"
    )
