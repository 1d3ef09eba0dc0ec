"""What the training split teaches of a stream of bands: scaling, components, moments, ranges."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar, Protocol

import numpy as np

from multimodal_lab.data.kind import Learner, Samples
from multimodal_lab.data.source import Raw
from multimodal_lab.data.streams.nodata import Tally, both
from multimodal_lab.data.streams.normalise import statistics
from multimodal_lab.data.streams.ranges import BandRanges
from multimodal_lab.data.streams.statistics import BandError, Covariance, Moments, inside_mask

Pixels = tuple[np.ndarray, np.ndarray | None]  # what is there, and which of it was measured


class Bands(Protocol):
    """What a learner asks of the kind of a stream of bands."""

    spatial: ClassVar[bool]
    axes: ClassVar[int]

    def scaled(self, samples: Samples, raw: Raw, name: str) -> Pixels | None:
        """The values under the scaling policy alone; None where the sample lacks the stream."""
        ...

    def finish(self, samples: Samples, raw: Raw, name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The values as a network is given them, but for mean and deviation."""
        ...


class BandLearner(Learner):
    """The facts of the scaling policy and the components first, as the moments are of what they make."""

    def __init__(self, samples: Samples, name: str, train: np.ndarray, kind: Bands) -> None:
        super().__init__(samples, name)
        self.plan, self.fitted, self.moments = samples.plans[name], samples.fitted[name], Moments()
        self.kind, self.tally, self.ranges, self.high, self.longest = kind, Tally(), BandRanges(), 0.0, 0
        self.before: Hashable = None  # the identity of what was measured last
        try:
            self.fitted.scaling = samples.policies[name].fit(self._pixels(train, scaled=False))
        except BandError as error:
            raise error.named([band.name for band in self.plan.stored.bands]) from error
        if self.plan.pca:
            covariance = Covariance()
            for values in self._pixels(train, scaled=True):
                covariance.add(values)
            mean, components = covariance.components(self.plan.pca, f"modality.{name}.pca")
            self.fitted.pca = {"mean": mean.tolist(), "components": components.tolist()}

    def _pixels(self, rows: np.ndarray, scaled: bool) -> Iterator[np.ndarray]:
        """(C, n) measured values inside the mask of every row that has the stream, as stored or scaled."""
        for row in rows:
            raw = self.samples.raw(int(row))
            found = self.kind.scaled(self.samples, raw, self.name) if scaled else self._stored(raw)
            if found is not None:
                yield inside_mask(*found)

    def _stored(self, raw: Raw) -> Pixels | None:
        x = raw.inputs[self.name]
        return None if x is None else (x, raw.seen.get(self.name))

    def add(self, raw: Raw) -> None:
        """The measured values inside the mask."""
        self.tally.add(raw, self.name, self.samples.nodata, self.kind.spatial)
        identity = None if raw.mask is not None else raw.identities.get(self.name)
        if identity is not None and identity == self.before and raw.inputs[self.name] is not None:
            self.moments.again()
            self.ranges.again()
            return
        x, seen = self.kind.finish(self.samples, raw, self.name)
        if x is None:
            return
        if self.samples.background == "keep" and self.kind.spatial and raw.mask is not None:
            own = self.samples.resizes[self.name].small(raw.mask)
            seen = both(seen, own)  # shown, but the specimen alone is measured
        self.fitted.size = x.shape[-1] if self.kind.axes else None
        self.longest = max(self.longest, x.shape[1]) if self.plan.timed else 0
        values = inside_mask(x, seen)
        self.moments.add(values)
        self.high = max(self.high, float(np.fmax.reduce(np.abs(values), None)))
        if (stored := self._stored(raw)) is not None:
            self.ranges.add(inside_mask(*stored))
        self.before = identity

    def finish(self) -> None:
        """Mean and deviation of each band, what fills its blank pixels, and the unit; a constant one is a `DataError`."""
        samples, fitted = self.samples, self.fitted
        names = () if self.plan.pca else tuple(band.name for band in self.plan.stored.bands)
        mean, std = self.moments.result(f"stream {self.name}", names)
        fitted.mean, fitted.std = statistics(self.plan, fitted, samples.policies[self.name], mean, std)
        fitted.missing, fitted.ranges = self.tally.facts(), self.ranges.facts()
        fitted.steps = (self.plan.stored.steps or self.longest) if self.plan.timed else None
        fitted.fill = fitted.mean if self.kind.spatial and samples.background != "zero" else []
        if not self.plan.pca and (unit := getattr(samples.policies[self.name], "unit", None)):
            fitted.unit = unit(self.high, fitted.layout["full_scale"])
