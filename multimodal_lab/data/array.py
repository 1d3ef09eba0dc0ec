"""Base class of the kinds with bands (image, vector): (C, …) arrays, their scaling and statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from multimodal_lab.data.band_learner import BandLearner
from multimodal_lab.data.kind import Kind, Learner, Samples, StreamPlan, StreamStatistics, looked_at
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams import steps, whole_numbers
from multimodal_lab.data.streams.nodata import blank, both, measured
from multimodal_lab.data.streams.scaling import ends
from multimodal_lab.types import COMPONENT, Band, Stream

Mask = np.ndarray | None  # None: everywhere


class Array(Kind):
    """A kind of values (C, …), C bands first: scaled by the run's policy, then projected to principal components if asked.

    With a time axis they are (C, T, …), and T differs between samples until a batch pads them.
    """

    has_bands: ClassVar[bool] = True
    steps: ClassVar[bool] = True
    learns_statistics: ClassVar[bool] = True
    stored: ClassVar[Literal["bands", "column", "own"]] = "bands"

    def check(self, samples: Samples, name: str, x: Any, raw: Raw) -> None:
        """Shape, mask, finite values (an image or a step may have NaN), and the layout that the first sample had."""
        plan = samples.plans[name]
        stored = plan.stored
        axes = ["T"] * plan.timed + [*"DHW"[3 - self.axes :]]
        if x.ndim != 1 + len(axes) or len(x) != len(stored.bands):
            wanted = ", ".join([str(len(stored.bands)), *axes]) + ("" if axes else ",")
            hint = (
                f"; modality.{name}.steps=null reads a time axis" if x.ndim == 2 + len(axes) and not plan.timed else ""
            )
            raise DataError(f"stream {name} has shape {x.shape}, expected ({wanted}){hint}")
        if plan.timed:
            steps.require_steps(name, plan, samples.fitted[name], x.shape[1])
            steps.require_rate(name, plan, raw, samples.fitted[name].layout.get("rate"))
        mask = raw.mask if self.spatial else None
        if mask is not None and mask.shape != x.shape[-2:]:
            raise DataError(f"its mask has shape {mask.shape}, stream {name} has {x.shape[-2:]}")
        if mask is not None and not mask.any():
            raise DataError("its mask is all zero, so that no pixel is left")
        self._check_finite(plan, x, mask if samples.background != "keep" else None, raw.missing.get(name))
        _check_layout(samples, name, x, raw, mask)

    def _check_finite(self, plan: StreamPlan, x: np.ndarray, mask: Mask, missing: Mask) -> None:
        """Refuse infinite values that are not declared missing; where there are neither pixels nor steps, missing ones, too."""
        bad, stored, gappy = np.zeros(x.shape, dtype=bool), plan.stored, self.spatial or plan.timed
        if x.dtype.kind == "f":
            bad = np.isinf(x) if gappy else ~np.isfinite(x)
        if missing is not None:
            bad = bad & ~missing if gappy else bad | missing
        if mask is not None:
            bad &= mask
        if bad.any():
            per_band = bad.reshape(len(x), -1).sum(1)
            first = int(per_band.argmax())
            what = "infinite values" if gappy else "missing (nodata), NaN or infinite values"
            raise DataError(
                f"{per_band[first]} {what} in band {stored.bands[first].name} of stream {stored.name} "
                f"({int(per_band.sum())} in all its bands)"
            )

    def finish(self, samples: Samples, raw: Raw, name: str) -> tuple[np.ndarray | None, Mask]:
        """Scaled, projected, and images brought to size, blank where a pixel is not seen (see `Resize.sized`)."""
        whole = self.spatial and samples.resizes[name].stored
        raw = whole_numbers.resized(samples, raw, name) if whole else raw
        found = self.scaled(samples, raw, name)
        if found is None:
            return None, None
        x, fitted = found[0], samples.fitted[name]
        if samples.plans[name].pca:
            x = project(x, fitted.pca)
        timed = samples.plans[name].timed
        if not self.spatial:
            return (steps.gaps(x, samples.nodata) if timed else x), None
        if whole:
            return x, None
        if timed:
            return self._video(samples, raw, x, name)
        known, seen = raw.measured[name], raw.seen[name]
        if samples.plans[name].pca and known is not None:  # a component is of all bands
            known = measured(x, "any")
            seen = both(raw.mask, known)
        x, seen = self._sized(samples, raw, x, name, known, seen)
        return blank(x, seen, fitted, samples.nodata), seen

    def _sized(
        self, samples: Samples, raw: Raw, x: np.ndarray, name: str, known: Mask, seen: Mask, frames: int = 1
    ) -> tuple[np.ndarray, Mask]:
        """(C * frames, H, W) brought to size: measured where `known`, of which `seen` lies inside the mask."""
        resize, fitted, policy = samples.resizes[name], samples.fitted[name], samples.policies[name]
        limits = None
        if resize.rule == "bicubic" and not samples.plans[name].pca and (stored := raw.inputs[name]) is not None:
            limits = ends(policy, stored.dtype, len(stored), fitted.layout["full_scale"], fitted.scaling)
        limits = None if limits is None else np.repeat(limits, frames, 0)
        return resize.sized(x, known, known if samples.background == "keep" else seen, samples.nodata == "all", limits)

    def _video(self, samples: Samples, raw: Raw, x: np.ndarray, name: str) -> tuple[np.ndarray, Mask]:
        """(C, T, H, W) brought to size, all frames by one mask: with `any`, a pixel is seen where every frame has it."""
        seen = raw.seen[name]
        real = np.ones(x.shape[1], dtype=bool) if seen is None or seen.ndim == 2 else seen.any((1, 2))
        frames = x[:, real].reshape(-1, *x.shape[2:])  # to the resizing a frame's band is a band
        known = measured(frames, samples.nodata)
        small, seen = self._sized(samples, raw, frames, name, known, both(raw.mask, known), int(real.sum()))
        made = np.full((*x.shape[:2], *small.shape[1:]), np.nan, dtype=np.float32)
        small = small.reshape(len(x), -1, *small.shape[1:])
        made[:, real] = blank(small, seen, samples.fitted[name], samples.nodata)
        return made, seen

    def scaled(self, samples: Samples, raw: Raw, name: str) -> tuple[np.ndarray, Mask] | None:
        """Stream `name` as float32 in stored shape, and the pixels that it is measured by; None where it is missing."""
        x, fitted = raw.inputs[name], samples.fitted[name]
        if x is None:
            return None
        mask = raw.seen.get(name)
        # every sample has the full scale of the first: `check` refuses another
        return samples.policies[name].apply(x, mask, fitted.layout["full_scale"], fitted.scaling), mask

    def notes(
        self, samples: Samples, name: str, read: Callable[[int], Raw], splits: Mapping[str, np.ndarray]
    ) -> list[str]:
        """How many recordings are cut (`longer`), of those of each split that are `looked_at`."""
        plan, limit = samples.plans[name], steps.most(samples.plans[name], samples.fitted[name])
        found = []
        for split, rows in splits.items() if plan.longer == "cut" else ():
            some = [x.shape[1] for row in looked_at(rows) if (x := read(int(row)).inputs[name]) is not None]
            if count := sum(length > (limit or 0) for length in some):
                found.append(f"{count} of {len(some)} of {split}, the longest of {max(some)} steps")
        return [f"recordings of {name} are cut at {limit} steps: {'; '.join(found)}"] if found else []

    def learner(self, samples: Samples, name: str, train: np.ndarray) -> Learner:
        """Scaling, components, and moments of the finished bands."""
        return BandLearner(samples, name, train, self)

    def stream(self, plan: StreamPlan, fitted: StreamStatistics) -> Stream:
        """Components are the bands where there are such."""
        bands = tuple(Band(f"PC{i + 1}", unit=COMPONENT) for i in range(plan.pca)) or plan.stored.bands
        return replace(super().stream(plan, fitted), bands=bands)

    def shape(self, stream: Stream) -> tuple[int, ...]:
        """(C, size, …), with steps (C, T, size, …)."""
        time = () if stream.steps is None else (stream.steps,)
        return (stream.channels, *time, *[stream.size or 0] * self.axes)


def _check_layout(samples: Samples, name: str, x: np.ndarray, raw: Raw, mask: Mask) -> None:
    timed = samples.plans[name].timed
    shape = x.shape[:1] + x.shape[1 + timed :]
    seen = (shape, x.dtype, raw.full_scale, mask is None)
    if samples.layouts.get(name) == seen:
        return
    found = {
        "shape": list(shape),
        "dtype": str(x.dtype),
        "full_scale": raw.scale(name),
        "masked": mask is not None,
    }
    layout = samples.fitted[name].layout
    if not layout:
        layout = samples.fitted[name].layout = found | ({"rate": raw.rates.get(name)} if timed else {})
    resize = samples.resizes[name]
    resized = resize.size is not None and resize.rule != "none"
    for fact, first in layout.items():
        if fact in found and found[fact] != first and not (fact == "shape" and resized):
            said = {"masked": ("a mask", "no mask")}.get(fact)
            now, then = (said[not found[fact]], said[not first]) if said else (f"{fact} {found[fact]}", f"{first}")
            hint = f"; set {resize.key} to resize them" if fact == "shape" else ""
            raise DataError(f"stream {name} has {now}, the samples before it {then}{hint}")
    samples.layouts[name] = seen


def project(x: np.ndarray, pca: dict[str, Any]) -> np.ndarray:
    """(C, …) onto the fitted components: (k, …) float32."""
    mean = np.asarray(pca["mean"], dtype=np.float32).reshape(-1, *(1,) * (x.ndim - 1))
    # One order in memory, whatever a reader's view has: another one would sum in another order.
    return np.tensordot(np.asarray(pca["components"], dtype=np.float32), np.ascontiguousarray(x - mean), 1)
