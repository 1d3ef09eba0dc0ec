"""Read samples as stored, one by one, and note what each is like: what can't be read, layouts, bands, gaps, units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from multimodal_lab.data import units
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams.ranges import BandRanges
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.data.streams.statistics import Moments, inside_mask
from multimodal_lab.progress import track

Layout = tuple[tuple[int, ...], str, float, bool]  # shape but for time, type, full scale, whether there is a mask


@dataclass
class StreamSurvey:
    """One stream of the samples looked at.

    present, layout: by row. ranges, moments: of the measured values inside the mask, by band; lost: the share that was not
    measured, summed over samples, and `gappy` the rows that lack some. means: (C,) of each sample; least: its smallest value.
    odd: {row: what its values are, in one sentence}, where they can't be of their unit.
    """

    present: dict[int, bool] = field(default_factory=dict)
    layout: dict[int, Layout] = field(default_factory=dict)
    ranges: BandRanges = field(default_factory=BandRanges)
    moments: Moments = field(default_factory=Moments)
    lost: np.ndarray = field(default_factory=lambda: np.zeros(0))
    gappy: list[int] = field(default_factory=list)
    means: list[np.ndarray] = field(default_factory=list)
    least: list[float] = field(default_factory=list)
    odd: dict[int, str] = field(default_factory=dict)

    @property
    def usual(self) -> Layout | None:
        """The layout of most samples."""
        found = Counter(self.layout.values()).most_common(1)
        return found[0][0] if found else None

    @property
    def other(self) -> list[int]:
        """The rows that have another one."""
        usual = self.usual
        return [row for row, own in self.layout.items() if own != usual]


@dataclass
class Survey:
    """streams, by name; why: {row that can't be read: the reason}; rows: those looked at."""

    rows: np.ndarray
    streams: dict[str, StreamSurvey]
    why: dict[int, str] = field(default_factory=dict)

    def good(self, resized: Sequence[str] = ()) -> np.ndarray:
        """The rows that can be read and are like most; streams that are `resized` need no size in common."""
        other = {row for name, own in self.streams.items() if name not in resized for row in own.other}
        bad = other | self.why.keys()
        return np.array([row for row in self.rows.tolist() if row not in bad], dtype=np.int64)

    def patterns(self) -> dict[str, int]:
        """{names of the streams that a sample has: how many have these}, the most frequent first."""
        rows = [row for row in self.rows.tolist() if row not in self.why]
        found = Counter(" + ".join(n for n, s in self.streams.items() if s.present[row]) or "none" for row in rows)
        return dict(found.most_common())


def survey(reader: SampleReader, rows: np.ndarray) -> Survey:
    """Look at every row of `rows`, whatever is wrong with another; the reader must hold nothing to its unit."""
    made = Survey(rows, {name: StreamSurvey() for name in reader.plans})
    groups = {name: units.alike(plan.stored.bands) for name, plan in reader.plans.items()}
    for row in track(rows.tolist(), "reading every sample", len(rows)):
        for name in reader.plans:  # so that no sample is held to be like the one before
            reader.layouts.pop(name, None)
            reader.fitted[name].layout = {}
        try:
            raw = reader.raw(row)
        except DataError as error:
            made.why[row] = str(error)
            continue
        for name, own in made.streams.items():
            _add(reader, name, own, row, raw, groups[name])
        reader.drop(row)
    return made


def _add(
    reader: SampleReader, name: str, own: StreamSurvey, row: int, raw: Raw, groups: Mapping[str, list[int]]
) -> None:
    x, kind = raw.inputs[name], reader.kinds[name]
    own.present[row] = bool(kind.several(reader, raw, name)) if kind.drawn_each_epoch else x is not None
    if not kind.has_bands or x is None:
        return
    timed = reader.plans[name].timed
    shape = x.shape[:1] + x.shape[1 + timed :]
    mask = raw.mask if kind.spatial else None
    # as it is stored: what was not measured is NaN by now
    dtype = str(reader.fitted[name].layout.get("dtype", x.dtype))
    own.layout[row] = (shape, dtype, raw.scale(name), mask is not None)
    values = inside_mask(x, mask)
    missing = np.isnan(values).mean(1) if values.dtype.kind == "f" else np.zeros(len(values))
    own.lost = missing if not len(own.lost) else own.lost + missing
    if missing.any():
        own.gappy.append(row)
    own.ranges.add(values)
    own.moments.add(values)
    there = (~np.isnan(values)).sum(1) if missing.any() else values.shape[1]
    own.least.append(float(np.fmin.reduce(values, axis=None)))
    own.means.append(np.nansum(values, 1, dtype=np.float64) / np.where(there == 0, np.nan, there))
    for unit, places in groups.items():
        found = units.doubtful(unit, values[places]) if units.tells(unit, len(places)) else None
        if found is not None:
            own_bands = [reader.plans[name].stored.bands[i] for i in places]
            own.odd[row] = units.sentence(name, own_bands, *found, reader.source)
