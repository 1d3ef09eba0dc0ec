"""Series of recordings: what readers of sensors share. A sample is a recording, or a window of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.resample import gap_limit, rate_of, resampled
from multimodal_lab.data.readers.windows import LARGEST, Windows
from multimodal_lab.data.source import DataError, NoStream, Raw
from multimodal_lab.data.streams.bands import indices, need_kind
from multimodal_lab.text import expected_one_of, some
from multimodal_lab.types import Band, Stream

RECORDING, START = "recording", "start"


@dataclass
class Sensor:
    """One series of every recording.

    lengths[i]: steps of recording i, 0 where it lacks this sensor; load(i): its values (C, T), NaN where not measured.
    rate: Hz of steps at equal intervals, None where nothing says it; times[i] (T,): instead of a rate, seconds of each.
    """

    bands: tuple[Band, ...]
    lengths: Sequence[int]
    load: Callable[[int], np.ndarray]
    rate: float | None = None
    times: Sequence[np.ndarray] | None = None

    def rates(self) -> list[float | None]:
        """Hz of each recording that has it; None where its intervals differ."""
        if self.times is None:
            return [self.rate]
        return [rate_of(t) for t in self.times if len(t) > 1]

    def span(self, i: int) -> tuple[float, float]:
        """When recording i begins and ends, in seconds, or in steps where no rate is known."""
        if self.times is None:
            return 0.0, self.lengths[i] / (self.rate or 1.0)
        t = self.times[i]
        return float(t[0]), float(t[-1] + (np.median(np.diff(t)) if len(t) > 1 else 0.0))


class Recordings:
    """A `Source` of sensors over time; a reader gives its table of recordings and their sensors.

    table: a row a recording with a unique text column `recording`, `path`, and its labels. sensors: by the name that a
    stream's `field` says, or a stream is called; where there is one, every stream is cut from it. max_gap: what lies between
    two measurements further apart, in usual intervals of the recording, is not measured; see `resampled`.

    A stream with a `rate` gets each recording at this rate, linearly; one without gets steps as they are stored, which
    must then be regular and of one rate. Windows of one recording share its labels and its `recording`, the column by
    which a split keeps them together, and by which evaluators with `pool: recording` score.
    """

    def __init__(
        self,
        where: str,
        table: pd.DataFrame,
        sensors: dict[str, Sensor],
        windows: Windows,
        max_gap: float,
        limits: Limits,
    ) -> None:
        windows.require()
        self.limits = limits
        self.where, self.sensors, self.windows, self.max_gap = where, sensors, windows, max_gap
        self.bands = next(iter(sensors.values())).bands if len(sensors) == 1 else ()
        self.field_bands = {name: sensor.bands for name, sensor in sensors.items()}
        self.identity = (windows, max_gap, [(name, s.rate) for name, s in sensors.items()])
        self.notes: list[str] = []
        self._names = table[RECORDING].tolist()
        self._length = 0.0  # of a window, in seconds, or in steps where no rate is known
        if windows.length is None:
            self._places, self._starts = np.arange(len(table)), None
            self.samples: pd.DataFrame = table.assign(id=table[RECORDING].astype(str))
        else:
            self._places, self._starts, begins = self._cut(table)
            cut = table.iloc[self._places].reset_index(drop=True)
            count = cut.groupby(RECORDING).cumcount()
            ids = [f"{name}#{k}" for name, k in zip(cut[RECORDING], count, strict=True)]
            self.samples = cut.assign(id=ids, **{START: self._starts - begins})
            self.samples.attrs = {**table.attrs, "overlapping": RECORDING}
        front = ["id", *(c for c in ("path", RECORDING, START) if c in self.samples)]
        self.samples = self.samples[[*front, *(c for c in self.samples if c not in front)]]

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """(C, T) float32 per stream, NaN where not measured; None where nothing is."""
        need_kind(streams, ["vector"], self.where)
        place = int(self._places[index])
        inputs: dict[str, np.ndarray | None] = {}
        rates: dict[str, float] = {}
        for stream in streams:
            sensor = self._sensor(stream)
            own = self._rate(sensor, stream)
            if rate := stream.rate or own:
                rates[stream.name] = rate
            start = None if self._starts is None else float(self._starts[index])
            x = self._series(sensor, place, start, stream.rate, own) if sensor.lengths[place] else None
            if x is not None:
                x = np.ascontiguousarray(x[indices(stream, sensor.bands)], dtype=np.float32)
            inputs[stream.name] = x if x is not None and not np.isnan(x).all() else None
        return Raw(inputs, rates=rates)

    def _sensor(self, stream: Stream) -> Sensor:
        if len(self.sensors) == 1 and not stream.field:
            return next(iter(self.sensors.values()))
        name = stream.field or stream.name
        if name not in self.sensors:
            near = expected_one_of(name, list(self.sensors))
            raise NoStream(
                f"stream {stream.name}: {self.where} has no sensor {name!r}; {near} (modality.{stream.name}.field)"
            )
        return self.sensors[name]

    def _series(
        self, sensor: Sensor, place: int, start: float | None, rate: float | None, own: float | None
    ) -> np.ndarray:
        """(C, T) of a recording, or of the window from `start` on, at `rate`; own: the rate of what is stored."""
        x = sensor.load(place)
        if rate is None or (own is not None and np.isclose(rate, own)):
            if start is None:
                return x
            per = own or 1.0  # without a rate, windows are counted in steps
            first = round((start - sensor.span(place)[0]) * per)
            return x[:, first : first + round(self._length * per)]
        times = sensor.times[place] if sensor.times is not None else np.arange(x.shape[1]) / (own or 1.0)
        whole = int(min((times[-1] - times[0]) * rate + 1e-6, LARGEST)) + 1
        steps = whole if start is None else round(self._length * rate)
        claim = f"{steps:,} steps at {rate:g} Hz, by its times, take"
        self.limits.swell(f"{self.where}: recording {self._names[place]}", 4 * steps * len(x), x.nbytes, claim)
        at = (times[0] if start is None else start) + np.arange(steps) / rate
        return resampled(x, times, at, gap_limit(times, self.max_gap))

    def _rate(self, sensor: Sensor, stream: Stream) -> float | None:
        """The one rate of the stored steps, None where there is none and none is needed."""
        if sensor.times is None:
            if sensor.rate is None and stream.rate is not None:
                raise DataError(
                    f"modality.{stream.name}.rate: {stream.rate:g} Hz, but nothing says the rate of what {self.where} holds; "
                    "data.source.rate does"
                )
            return sensor.rate
        found = sensor.rates()
        known = {round(r, 6) for r in found if r is not None}
        same = known and max(known) <= min(known) * 1.01
        if None not in found and same:
            return float(np.mean([r for r in found if r is not None]))
        if stream.rate is None:
            said = "some recordings have irregular times" if None in found else "recordings have several rates"
            shown = f": {some([f'{r:g} Hz' for r in sorted(known)])}" if known else ""
            usual = f"{np.median(sorted(known)):g}" if known else f"{self._usual(sensor):g}"
            raise DataError(
                f"stream {stream.name}: {self.where}: {said}{shown}; expected one rate in a stream; "
                f"modality.{stream.name}.rate={usual} brings all to one (scripts/pack.py: rate={usual})"
            )
        return None

    def _usual(self, sensor: Sensor) -> float:
        return float(1 / np.median(np.concatenate([np.diff(t) for t in sensor.times or () if len(t) > 1])))

    def _factor(self) -> float:
        """One `unit` of the windows in seconds, or in steps where no sensor has a rate."""
        timed = [s.rate is not None or s.times is not None for s in self.sensors.values()]
        if self.windows.unit == "seconds":
            if not all(timed):
                raise DataError(
                    f"data.source.windows: in seconds, but nothing says the rate of what {self.where} holds; give "
                    "data.source.rate, or data.source.windows.unit=steps"
                )
            return 1.0
        rates = [r for s in self.sensors.values() for r in s.rates()]
        known = [r for r in rates if r is not None]
        if (len(known) < len(rates) and any(timed)) or (known and max(known) > min(known) * 1.01):
            raise DataError(
                f"data.source.windows: in steps, but {self.where} has no one rate; data.source.windows.unit=seconds"
            )
        return 1.0 / known[0] if known else 1.0

    def _cut(self, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each window: the place of its recording, its start, and when the recording begins."""
        factor = self._factor()
        self._length = float(self.windows.length or 0.0) * factor
        places: list[int] = []
        lengths: list[float] = []
        starts: list[float] = []
        begins: list[float] = []
        unused = []
        for i, name in enumerate(table[RECORDING]):
            spans = [s.span(i) for s in self.sensors.values() if s.lengths[i]]
            first, end = max(a for a, _ in spans), min(b for _, b in spans)
            stored = sum(4 * len(s.bands) * s.lengths[i] for s in self.sensors.values())
            found = self.windows.starts(first, end, f"{self.where}: recording {name}", factor, self.limits, stored)
            lengths.append((end - first) / factor)
            places += [i] * len(found)
            starts += found
            begins += [first] * len(found)
            unused.append(self.windows.unused(end, found, factor))
        self.notes += self.windows.told(lengths)
        if not places:
            raise DataError(f"{self.where}: all recordings are shorter than data.source.windows.length")
        left = sum(u > 0.5 * (1 if self.windows.unit == "steps" else 1e-3) for u in unused)
        if left:
            unit = self.windows.unit
            self.notes.append(
                f"windows: ends that fill no whole window are left out: {np.mean(unused):.3g} {unit} on average, "
                f"{max(unused):.3g} at most ({left} of {len(table)} recordings)"
            )
        return np.array(places), np.array(starts), np.array(begins)
