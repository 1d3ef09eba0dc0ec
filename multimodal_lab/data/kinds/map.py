"""The `map` kind: a class or a number for every pixel, a target that lies over the images of its sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.data.kind import Kind, Learner
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Stream

if TYPE_CHECKING:
    from multimodal_lab.data.kind import Samples, StreamPlan

NONE = -1  # a pixel whose class nobody knows


class Map(Kind):
    """One stored band, (1, H, W): with `names` the class of each pixel, (H, W) int64, -1 where it is none or ignored; without,
    a number, (H, W) float32, NaN where it is ignored.

    Brought to the size of the images in the same way, by the nearest pixel, and never scaled or normalised. A class is the
    place of a stored value in `names`; a value that is neither there nor in `ignore` is a `DataError`. Classes and numbers
    are those of the training split, as labels' are.
    """

    has_bands: ClassVar[bool] = True
    stored: ClassVar[Any] = "bands"
    axes: ClassVar[int] = 2
    producible: ClassVar[bool] = True
    pixelwise: ClassVar[bool] = True
    keys: ClassVar[tuple[str, ...]] = ("names", "ignore")

    def check(self, samples: Samples, name: str, x: Any, raw: Raw) -> None:
        """One band, of the size of an image of its sample, and no class without a name."""
        plan = samples.plans[name]
        if x.ndim != 3 or len(x) != 1:
            raise DataError(f"map {name} has shape {x.shape}, expected (1, H, W): one band")
        sizes = {
            n: raw.inputs[n].shape[-2:]
            for n, kind in samples.kinds.items()
            if kind.spatial and raw.inputs.get(n) is not None
        }
        if sizes and x.shape[-2:] not in sizes.values():
            (other, (height, width)), (h, w) = next(iter(sizes.items())), x.shape[-2:]
            raise DataError(
                f"map {name} is of {h} x {w} pixels and the image {other} of {height} x {width}, expected one size"
            )
        if plan.names:
            _require_named(name, x, plan)

    def require(self, samples: Samples, name: str, x: Any) -> None:
        """Its height and width can become the wanted size."""
        samples.resizes[name].require(x.shape[-2:])

    def finish(self, samples: Samples, raw: Raw, name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The classes or numbers at the size of the images; no mask."""
        x = raw.inputs[name]
        if x is None:
            return None, None
        values, known = classes_of(x[0], samples.plans[name], raw.missing.get(name))
        resize, shape = samples.resizes[name], values.shape
        if resize.size is not None or shape[0] != shape[1]:
            both_ways = np.stack([np.where(known, values, 0).astype(np.float32), known.astype(np.float32)])
            values, sized = resize.nearest(both_ways)
            known = sized > 0.5
        if samples.plans[name].names:
            return np.where(known, values, NONE).astype(np.int64), None
        return np.where(known, values, np.nan).astype(np.float32), None

    def learner(self, samples: Samples, name: str, train: np.ndarray) -> Learner:
        """Counts of classes, or mean and deviation of the numbers, and the size."""
        return Pixels(samples, name)

    def shape(self, stream: Stream) -> tuple[int, ...]:
        """(size, size)."""
        return (stream.size or 0, stream.size or 0)

    def empty(self, stream: Stream, rows: int) -> Tensor:
        """Maps of which nothing is known."""
        of = (rows, *self.shape(stream))
        return torch.full(of, NONE, dtype=torch.int64) if stream.names else torch.full(of, torch.nan)


class Pixels(Learner):
    """What the training split's maps hold."""

    def __init__(self, samples: Samples, name: str) -> None:
        super().__init__(samples, name)
        self.counts = np.zeros(len(samples.plans[name].names), dtype=np.int64)
        self.n, self.total, self.square = 0, 0.0, 0.0

    def add(self, raw: Raw) -> None:
        """The pixels that are known."""
        x, _ = self.samples.kinds[self.name].finish(self.samples, raw, self.name)
        if x is None:
            return
        self.samples.fitted[self.name].size = x.shape[-1]
        if len(self.counts):
            self.counts += np.bincount(x[x >= 0], minlength=len(self.counts))
            return
        known = x[np.isfinite(x)].astype(np.float64)
        self.n, self.total, self.square = self.n + known.size, self.total + known.sum(), self.square + (known**2).sum()

    def finish(self) -> None:
        """Refuse a training split without a known pixel, or with a single class."""
        fitted, plan = self.samples.fitted[self.name], self.samples.plans[self.name]
        if plan.names:
            fitted.layout = {"pixels": dict(zip(plan.names.values(), self.counts.tolist(), strict=True))}
            if (self.counts > 0).sum() < 2:
                there = [n for n, c in fitted.layout["pixels"].items() if c]
                raise DataError(
                    f"map {self.name}: the training split has pixels of {there[0] if there else 'no class'} alone"
                )
            return
        if not self.n:
            raise DataError(f"map {self.name}: no pixel of the training split has a number")
        mean = self.total / self.n
        deviation = float(np.sqrt(max(self.square / self.n - mean * mean, 0.0)))
        fitted.layout = {"known": self.n}
        fitted.mean, fitted.std = [float(mean)], [deviation if deviation > 0 else 1.0]


def classes_of(x: np.ndarray, plan: StreamPlan, missing: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Stored values (H, W) as places in the names, or as they are; and (H, W) bool, which are known."""
    gone = None if missing is None else missing[0] if missing.ndim == 3 else missing
    known = np.asarray(~np.isin(x, list(plan.ignore)) & np.isfinite(x))
    known = known if gone is None else known & ~gone
    if not plan.names:
        return x, known
    stored = np.array(sorted(plan.names))
    places = np.argsort(np.array([*plan.names]), kind="stable")  # of the sorted ones, in the order of the names
    at = np.searchsorted(stored, np.where(known, x, stored[0])).clip(max=len(stored) - 1)
    return places[at], known & (stored[at] == x)


def _require_named(name: str, x: np.ndarray, plan: StreamPlan) -> None:
    """Refuse a stored value that is no class and not ignored."""
    found = np.unique(x[np.isfinite(x)] if x.dtype.kind == "f" else x)
    strange = [v for v in found.tolist() if v not in plan.names and v not in plan.ignore]
    if strange:
        near = expected_one_of(f"{strange[0]:g}", [f"{v}" for v in plan.names])
        count = int((x == strange[0]).sum())
        raise DataError(
            f"map {name} holds {strange[0]:g} in {count} pixels, which modality.{name}.names does not name; {near}; values that "
            f"are no class stand in modality.{name}.ignore"
        )
