"""Which frames of a video are taken: a pure function of its times and the config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from multimodal_lab.bounds import Count, NonNegative
from multimodal_lab.data.readers.video_times import Times
from multimodal_lab.data.source import DataError

KEY = "data.source.frames"
Span = tuple[float | None, float | None]


@dataclass(frozen=True)
class Chosen:
    """frames (T,): places among the frames of a video, ascending; rate: of these in Hz, None where it differs by video;
    start, end: the seconds of the container's clock that they stand for, which its sound is cut by."""

    frames: np.ndarray
    rate: float | None
    start: float
    end: float


@dataclass(frozen=True)
class Frames:
    """count frames of a video, or of its part between `start` and `end` seconds where a table says them.

    sampling: `uniform`, the middle frame of each of `count` equal parts (Wang et al. 2016, TSN, at test); `dense`, frames
    side by side, every `stride`-th, at the `begin`, in the `centre`, or from so many seconds on (`start`); `clip`, so `clips`
    times, evenly over the video (Simonyan & Zisserman 2014; Wang et al. 2018): each is a row, scored by video with
    `evaluate.head.pool=recording`. count: None takes every `stride`-th frame, of dense sampling. A stream with a `rate` gets
    dense frames at this rate, in place of a stride: at each moment the one that is shown. short: a video with fewer frames
    than are asked for is an error (`refuse`), gives those it has (`pad`: the rest of the steps is not valid), or repeats frames
    (`repeat`; of dense sampling the last). variable_rate: of a video whose frames last unequally, the frame
    that is shown at each moment is taken (`timestamps`), or it is an error. beyond: an `end` of the table behind the video's.
    """

    count: Count | None = 16
    sampling: Literal["uniform", "dense", "clip"] = "uniform"
    stride: Count = 1
    start: Literal["begin", "centre"] | NonNegative = "centre"
    clips: Count = 1
    short: Literal["refuse", "pad", "repeat"] = "refuse"
    variable_rate: Literal["timestamps", "refuse"] = "timestamps"
    beyond: Literal["refuse", "cut"] = "refuse"

    def require(self) -> None:
        """`DataError` for choices that don't go together."""
        if self.count is None and self.sampling != "dense":
            raise DataError(
                f"{KEY}.count: null takes every frame, which goes with {KEY}.sampling=dense, found {self.sampling}"
            )
        if self.clips > 1 and self.sampling != "clip":
            raise DataError(f"{KEY}.clips={self.clips} goes with {KEY}.sampling=clip, found {self.sampling}")
        if self.stride > 1 and self.sampling == "uniform":
            raise DataError(f"{KEY}.stride={self.stride} goes with {KEY}.sampling=dense or clip, found uniform")

    @property
    def rows(self) -> int:
        """How many rows a video makes."""
        return self.clips if self.sampling == "clip" else 1

    def choose(
        self, times: Times, where: str, span: Span = (None, None), clip: int = 0, rate: float | None = None
    ) -> Chosen:
        """The frames of one row. span: seconds from the beginning of the video; clip: which of `clips`; rate: of the stream.

        `DataError` for a part that the video has not, too few frames, or a variable rate, as the policies say.
        """
        low, high, start, end = self._part(times, where, span)
        shown = times.seconds[low:high]
        if not times.regular and self.variable_rate == "refuse":
            raise DataError(
                f"{where}: frames at a variable rate, {times.rate:.4g} a second on average; {KEY}.variable_rate=timestamps "
                "takes the one that is shown at each moment"
            )
        if self.sampling == "uniform":
            return Chosen(low + self._uniform(times, shown, start, end, where), None, start, end)
        even = rate is None and times.regular  # counted in frames; else in moments
        pace = times.rate / self.stride if rate is None else rate
        length, step = (len(shown), self.stride) if even else ((end - start) * pace, 1)
        count = self.count or _fit(length, step)
        room = max(0.0, length - ((count - 1) * step + 1))
        offset = self._offset(room, clip, times.rate if even else pace)
        if offset >= length:
            raise DataError(f"{where}: {KEY}.start={self.start} s, and there are {end - start:.4g} s of it")
        offset = int(offset) if even else offset
        there = _fit(length - offset, step)
        count = count if self.count else there
        if there < count:
            self._require(there, count, where, "" if even else f" at {pace:.4g} a second")
            count = count if self.short == "repeat" else there
        if even:
            at = np.minimum(offset + step * np.arange(count), len(shown) - 1)
            return Chosen(low + at, pace, float(shown[at[0]]), float(shown[at[0]]) + count / pace)
        begin = start + offset / pace
        return Chosen(low + _shown(times, shown, begin + np.arange(count) / pace), pace, begin, begin + count / pace)

    def _part(self, times: Times, where: str, span: Span) -> tuple[int, int, float, float]:
        """The frames [low, high) that are shown in a part, and when it begins and ends on the container's clock."""
        first, most = float(times.seconds[0]), times.end - float(times.seconds[0])
        a, b = (span[0] or 0.0), (most if span[1] is None else span[1])
        if not 0 <= a < most or not b > a:
            raise DataError(
                f"{where}: from {a:g} to {b:g} s, and the video has {most:.4g} s; expected 0 <= start < end"
            )
        if b > most + 1 / times.rate and self.beyond == "refuse":
            raise DataError(
                f"{where}: ends at {b:g} s, and the video at {most:.4g} s; {KEY}.beyond=cut takes what there is"
            )
        b = min(b, most)
        low = int(_shown(times, times.seconds, np.array([first + a]))[0])
        high = int(np.searchsorted(times.seconds, first + b - times.tick / 2, "left"))
        return low, max(high, low + 1), first + a, first + b

    def _uniform(self, times: Times, shown: np.ndarray, start: float, end: float, where: str) -> np.ndarray:
        count = self.count or len(shown)
        if len(shown) < count:
            self._require(len(shown), count, where, "")
            if self.short == "pad":
                return np.arange(len(shown))
        if times.regular:
            return (2 * np.arange(count) + 1) * len(shown) // (2 * count)
        return _shown(times, shown, start + (np.arange(count) + 0.5) * (end - start) / count)

    def _offset(self, room: float, clip: int, rate: float) -> float:
        """How many steps lie before the first frame."""
        if self.sampling == "clip":
            return room * clip / (self.clips - 1) if self.clips > 1 else room / 2
        if isinstance(self.start, str):
            return 0.0 if self.start == "begin" else room / 2
        return self.start * rate

    def _require(self, there: int, count: int, where: str, at: str) -> None:
        if self.short == "refuse":
            stride = f" every {self.stride}th of which" if self.stride > 1 else ""
            raise DataError(
                f"{where}: {there} frames{at}{stride}, and {KEY}.count={count} asks for more; {KEY}.short=pad takes those there "
                "are, repeat repeats some"
            )


def _fit(length: float, step: int) -> int:
    """How many frames, every `step`-th, lie in `length` of them."""
    return max(1, int((length - 1) / step + 1 + 1e-6))


def _shown(times: Times, seconds: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """The places of the frames that are shown at each moment; the first before there is one."""
    return np.clip(np.searchsorted(seconds, moments + times.tick / 2, "right") - 1, 0, len(seconds) - 1)
