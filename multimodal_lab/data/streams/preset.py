"""Statistics that are known beforehand, such as those published with a data set: `+data/statistics=NAME`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multimodal_lab.bounds import Count
from multimodal_lab.data.kind import StreamPlan, StreamStatistics
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams import band_checks
from multimodal_lab.text import expected_one_of


class Preset:
    """Mean and standard deviation of each band, of values as `data.scaling` leaves them.

    name: what a run calls them. bands: {band: [mean, deviation]}, every band that a stream takes among them. samples: how many
    training samples, evenly spaced, are read for the rest: the stored layout, the size, the range of the values. scaling: the
    policies of `data/scaling` that leave values in the unit of these, any where it is None.
    """

    def __init__(
        self,
        *,
        name: str,
        bands: Mapping[str, Sequence[float]],
        samples: Count = 64,
        scaling: list[str] | None = None,
    ) -> None:
        for band, pair in bands.items():
            if len(pair) != 2 or not pair[1] > 0:
                raise DataError(f"data.statistics.bands.{band}: {list(pair)}, expected [mean, deviation above 0]")
        self.name, self.bands, self.samples = name, dict(bands), samples
        self.scaling = scaling

    def require(self, choice: str) -> None:
        """Refuse (`DataError`) values of another unit: those that the scaling policy `choice` makes."""
        if self.scaling is not None and choice not in self.scaling:
            units = " or ".join(f"data/scaling={name}" for name in self.scaling)
            raise DataError(f"data.statistics={self.name}: of values as {units} leaves them, but data/scaling={choice}")

    def apply(self, stream: str, plan: StreamPlan, fitted: StreamStatistics) -> None:
        """Put mean and deviation in the place of those of the samples that were read; `DataError` for an unknown band.

        A stream that is normalised otherwise than by the training split (`normalise`) keeps its own.
        """
        if plan.normalise != "train":
            return
        if plan.pca:
            raise DataError(
                f"modality.{stream}.pca: components are learnt; data.statistics={self.name} knows bands alone"
            )
        for band in plan.stored.bands:
            if band.name not in self.bands:
                near = expected_one_of(band.name, list(self.bands))
                raise DataError(f"data.statistics={self.name}: no band {band.name!r} of stream {stream}; {near}")
        band_checks.require_preset(self.name, stream, plan, fitted, self.bands, self.samples)
        mean, std = zip(*(self.bands[band.name] for band in plan.stored.bands))
        fitted.mean, fitted.std = [float(m) for m in mean], [float(s) for s in std]
        fitted.fill = fitted.mean if fitted.fill else []
