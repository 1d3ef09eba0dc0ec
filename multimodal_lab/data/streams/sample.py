"""Read one sample and preprocess it: check, scale, mask, resize."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds, units
from multimodal_lab.data.content import Content
from multimodal_lab.data.kind import Background, NodataRule, StreamPlan, StreamStatistics
from multimodal_lab.data.source import DataError, Raw, Source
from multimodal_lab.data.streams import nodata, steps
from multimodal_lab.data.streams.finished import Finisher
from multimodal_lab.data.streams.own_scaling import OwnScaling
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.data.streams.scaling import Scaling
from multimodal_lab.files import retried
from multimodal_lab.stage import place


class SampleError(DataError):
    """A `DataError` of one sample, which it names."""


@dataclass
class Sample:
    """inputs[stream]: as its kind finishes it, None where missing; texts[stream], to draw from; mask (S, S) bool or None.

    valid[stream] (T,) bool: the measured steps of one that has a time axis; where it holds None, `inputs` does.
    """

    inputs: dict[str, np.ndarray | None]
    texts: dict[str, list[str]]
    mask: np.ndarray | None
    valid: dict[str, np.ndarray] = field(default_factory=dict)


class SampleReader:
    """Reads samples of one source for a set of plans; every error names the sample and its path."""

    def __init__(
        self,
        source: Source,
        plans: dict[str, StreamPlan],
        scaling: Scaling | OwnScaling,
        resize: Resize,
        background: Background,
        missing: NodataRule,
        cache: bool,
    ) -> None:
        self.source, self.plans, self.scaling, self.resize = source, plans, scaling, resize
        self.background, self.nodata = background, missing
        self.kinds = {name: kinds.of(p.stored) for name, p in plans.items()}
        self.resizes = {name: resize.of(name, p.resize) for name, p in plans.items()}
        self.images = [name for name, kind in self.kinds.items() if kind.spatial]
        if (to_size := getattr(source, "to_size", None)) is not None:
            to_size(self.resizes)
        # a pixel of one is where that of another is: only then may one mask be of all
        self.one_frame = len({(self.resizes[n].fit, self.resizes[n].crop_pct) for n in self.images}) < 2
        self.table: pd.DataFrame = source.samples
        self.names = [str(i) for i in self.table["id"]]
        # of a sample of several files it is the first one, which need not be the one that a message is about
        one = "stored_files" not in {*dir(type(source)), *vars(source)} and "path" in self.table
        self.paths = list(self.table["path"]) if one else []
        # how the values of each stream are scaled
        self.policies: dict[str, Any] = {
            n: scaling.of(p.stored) if isinstance(scaling, OwnScaling) and self._scaled(n) else scaling
            for n, p in plans.items()
        }
        self.fitted = {name: StreamStatistics() for name in plans}
        self.finisher = Finisher()
        self.tokens: dict[str, Any] = {}
        self.layouts: dict[str, tuple[Any, ...]] = {}  # of the last sample, so that the next is compared at once
        self.content = Content([n for n, kind in self.kinds.items() if kind.has_bands], len(self.names))
        self.kept: dict[int, Raw] = {}
        self.last: dict[int, tuple[int, Raw]] = {}  # of each thread: all streams of one sample are cut from one reading
        self.cache = cache
        self.gone: dict[str, np.ndarray] = {}  # {stream: (N,) bool}: entries taken away, which are not read
        self.units = {name: units.alike(p.stored.bands) for name, p in plans.items()}  # {}: values are not held to them
        self.watch: Callable[[int], None] | None = None
        self.seen: Callable[[SampleReader, int, Raw], None] | None = (
            None  # told of every sample that was read and checked
        )

    @property
    def keeps_stored(self) -> bool:
        """Whether memory keeps samples as they are stored: finished, the frames of a video would take four times as much."""
        return self.cache and any(plan.timed and self.kinds[name].spatial for name, plan in self.plans.items())

    def _scaled(self, name: str) -> bool:
        return self.kinds[name].has_bands and not self.kinds[name].pixelwise

    def only(self, names: Collection[str]) -> SampleReader:
        """The same for some of the streams: the others are not read; what is learnt is learnt for both."""
        made = copy.copy(self)
        made.plans = {name: self.plans[name] for name in names}
        made.kinds = {name: self.kinds[name] for name in names}
        made.kept, made.last = {}, {}
        return made

    def called(self, row: int) -> str:
        """How messages name a sample."""
        path = self.paths[row] if self.paths else None
        return f"sample {self.names[row]!r}" + (f" ({path})" if isinstance(path, str) else "")

    def raw(self, row: int) -> Raw:
        """The stored arrays, checked: shape, type, finite values, a mask that isn't empty. Threads may share this.

        NaN is what was not measured.
        """
        thread = threading.get_ident()
        at, raw = self.last.get(thread) or (row, self.kept.get(row))
        if at == row and raw is not None:
            return raw
        if self.watch is not None:
            self.watch(row)
        gone = [name for name, away in self.gone.items() if away[row] and name in self.plans]
        try:
            raw = retried(lambda: self.source.read(row, [p.stored for n, p in self.plans.items() if n not in gone]))
            raw.inputs |= dict.fromkeys(gone)
        except DataError as error:
            told = self.names[row] in str(error)
            raise (SampleError(str(error)) if told else self.named(row, error)) from error
        except Exception as error:  # a decoder may raise anything: the sample must be named all the same
            where = f" in {found}" if (found := place(error)) else ""
            raise SampleError(f"{self.called(row)}: can't be read: {type(error).__name__}: {error}{where}") from error
        try:
            for name, kind in self.kinds.items():
                if name not in raw.inputs:
                    raise DataError(f"the reader gave no stream {name!r}")
                if (x := raw.inputs[name]) is not None:
                    kind.check(self, name, x, raw)
            self.content.see(row, raw)
            nodata.mark(self, raw)
            self.require_units(raw)
            steps.shorten(self, raw)
        except DataError as error:
            raise self.named(row, error) from error
        if self.seen is not None:
            self.seen(self, row, raw)
        # what rows share is read again rather than kept: questions about one image would each keep it whole
        if self.cache and (self.keeps_stored or not raw.identities):
            self.kept[row] = raw
        else:
            self.last[thread] = row, raw
        return raw

    def expect(self, rows: Sequence[int]) -> None:
        """These rows are read next, in this order, of a source that can begin with them."""
        if (ask := getattr(self.source, "expect", None)) and not self.kept:
            ask(rows, [p.stored for p in self.plans.values()])

    def require_units(self, raw: Raw) -> None:
        """Refuse (`DataError`) a sample whose measured values can't be of the unit that the card says, see `units`."""
        for name, groups in self.units.items():
            x = raw.inputs.get(name)  # a reader of some streams has no other
            for unit, places in groups.items():
                if x is None or not units.tells(unit, len(places)):
                    continue
                own = x if len(places) == len(x) else x[places]
                own = own if raw.mask is None or not self.kinds[name].spatial else own[..., raw.mask]
                if (found := units.doubtful(unit, own)) is not None:
                    bands = [self.plans[name].stored.bands[i] for i in places]
                    raise DataError(units.sentence(name, bands, *found, self.source))

    def require(self, row: int) -> None:
        """Raise what reading and resizing one sample would raise."""
        raw = self.raw(row)
        try:
            if raw.mask is not None and any(not kind.drawn_each_epoch for kind in self.kinds.values()):
                self._largest().small(raw.mask)
            for name, kind in self.kinds.items():
                if (x := raw.inputs[name]) is not None:
                    kind.require(self, name, x)
                    if kind.spatial and (seen := raw.measured[name]) is not None:
                        self.resizes[name].small(
                            seen if self.background == "keep" or raw.mask is None else seen & raw.mask
                        )
        except DataError as error:
            raise self.named(row, error) from error

    def sample(self, row: int) -> Sample:
        """All streams of one sample."""
        raw, texts, inputs, valid = self.raw(row), {}, {}, {}
        seen: dict[str, np.ndarray | None] = {}
        try:
            for name, kind in self.kinds.items():
                if kind.drawn_each_epoch:
                    texts[name] = kind.several(self, raw, name)
                    continue
                inputs[name], mask = self.finisher(self, kind, raw, name)
                if kind.spatial and inputs[name] is not None:
                    seen[name] = mask
                if self.plans[name].timed and (x := inputs[name]) is not None:
                    inputs[name], valid[name] = steps.filled(x, self._fill(name))
            if not seen and raw.mask is not None and inputs and self.background != "keep":  # its images are missing
                return Sample(inputs, texts, self._largest().small(raw.mask) if self.one_frame else None, valid)
            return Sample(inputs, texts, self._together(inputs, seen), valid)
        except DataError as error:
            raise self.named(row, error) from error

    def _fill(self, name: str) -> np.ndarray:
        """(C,): what a step holds that was not measured, which is 0 to a network but in an image with `background=zero`."""
        fitted = self.fitted[name]
        fill = fitted.fill if self.kinds[name].spatial else fitted.mean
        return np.asarray(fill or [0.0] * len(fitted.mean), dtype=np.float32)

    def _together(self, inputs: dict[str, Any], seen: dict[str, np.ndarray | None]) -> np.ndarray | None:
        """One mask for all images of a sample, which are made blank outside it: what is seen in each (`any`) or in one.

        Of the size of the largest; None where they show other parts of what is stored, each blank by its own alone.
        """
        if not self.one_frame:
            return None
        side = max((self.fitted[name].size or 0 for name in self.images), default=0)
        of = {name: None if m is None else nodata.at_size(m, side or m.shape[-1]) for name, m in seen.items()}
        masks = list(of.values())
        if self.nodata == "all":
            known = [m for m in masks if m is not None]
            return np.logical_or.reduce(known) if known and len(known) == len(masks) else None
        mask = masks[0] if masks else None
        for one in masks:
            mask = nodata.both(mask, one) if one is not mask else mask
        if mask is not None and not mask.any():
            raise DataError(f"no pixel is measured in all of {', '.join(seen)}; data.nodata=all takes those of any")
        for name, one in of.items():
            if one is not mask:
                own = None if mask is None else nodata.at_size(mask, inputs[name].shape[-1])
                inputs[name] = nodata.blank(inputs[name], own, self.fitted[name], self.nodata)
        return mask

    def _largest(self) -> Resize:
        """What brings the image of most pixels to size; that of the data where there is no image."""
        names = sorted(self.images, key=lambda name: -(self.fitted[name].size or self.resizes[name].size or 0))
        return self.resizes[names[0]] if names else self.resize

    def drop(self, row: int) -> None:
        """Drop the stored arrays of one sample."""
        self.kept.pop(row, None)

    def named(self, row: int, error: DataError) -> SampleError:
        """The error with the name of its sample."""
        return SampleError(f"{self.called(row)}: {error}")
