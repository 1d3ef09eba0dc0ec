"""Which frames of a video are taken: a pure function of its times and the config."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from multimodal_lab.bounds import Count, NonNegative, Positive
from multimodal_lab.data.readers.decode import Refused
from multimodal_lab.data.readers.decode.video_times import Times

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
    """`count` frames of a video, or of its part between two times where a table says them.

    sampling: `uniform`, the middle frame of each of `count` equal parts (Wang et al. 2016, TSN, at test); `dense`, frames
    side by side, every `stride`-th, at the `begin`, in the `centre`, or from so many seconds on (`start`); `clip`, so `clips`
    times, evenly over the video (Simonyan & Zisserman 2014; Wang et al. 2018): each is a row, scored by video with
    `evaluate.head.pool=recording`. count: None takes all there are, of dense sampling. rate: frames a second, in place of a
    stride: at each moment the one that is shown. short: a video with fewer frames than are asked for is an error (`refuse`),
    gives those it has (`pad`: the rest of the steps is not valid), or repeats frames (`repeat`; of dense sampling the last).
    variable_rate: of a video whose frames last unequally, the frame that is shown at each moment is taken (`timestamps`), or
    it is an error. beyond: an end of the table behind the video's is an error, or the video's is taken (`cut`). damaged: frames
    that can't be decoded whole, and those that are decoded from them, are an error, or what is filled in is taken (`conceal`).
    """

    count: Count | None = 16
    sampling: Literal["uniform", "dense", "clip"] = "uniform"
    stride: Count = 1
    rate: Positive | None = None
    start: Literal["begin", "centre"] | NonNegative = "centre"
    clips: Count = 1
    short: Literal["refuse", "pad", "repeat"] = "refuse"
    variable_rate: Literal["timestamps", "refuse"] = "timestamps"
    beyond: Literal["refuse", "cut"] = "refuse"
    # not of `repr`, by which the fingerprint knows choices: of whole files it changes nothing, see `VideoColumns.identity`
    damaged: Literal["refuse", "conceal"] = field(default="refuse", repr=False)

    def doubts(self) -> str:
        """What is wrong with choices that don't go together, "" where they do."""
        if self.count is None and self.sampling != "dense":
            return f"{KEY}.count: null takes all frames, which goes with {KEY}.sampling=dense, found {self.sampling}"
        if self.clips > 1 and self.sampling != "clip":
            return f"{KEY}.clips={self.clips} goes with {KEY}.sampling=clip, found {self.sampling}"
        for key, value in (("stride", self.stride if self.stride > 1 else None), ("rate", self.rate)):
            if value is not None and self.sampling == "uniform":
                return f"{KEY}.{key}={value:g} goes with {KEY}.sampling=dense or clip, found uniform"
        if self.rate is not None and self.stride > 1:
            return f"{KEY}.rate={self.rate:g} stands in place of a stride, and {KEY}.stride={self.stride}"
        if self.start != "centre" and self.sampling != "dense":
            return f"{KEY}.start={self.start} goes with {KEY}.sampling=dense, found {self.sampling}"
        return ""

    @property
    def rows(self) -> int:
        """How many rows a video makes."""
        return self.clips if self.sampling == "clip" else 1

    def choose(self, times: Times, span: Span = (None, None), clip: int = 0) -> Chosen:
        """The frames of one row. span: seconds from the beginning of the video; clip: which of `clips`.

        `Refused` for a part that the video has not, too few frames, or a variable rate, as the policies say.
        """
        low, high, start, end = self._part(times, span)
        shown = times.seconds[low:high]
        if not times.regular and self.variable_rate == "refuse":
            raise Refused(
                f"frames at a variable rate, {times.rate:.4g} a second on average; {KEY}.variable_rate=timestamps takes the one "
                "that is shown at each moment"
            )
        if self.sampling == "uniform":
            return Chosen(low + self._uniform(times, shown, start, end), None, start, end)
        even = self.rate is None and times.regular  # counted in frames; else in moments
        pace = times.rate / self.stride if self.rate is None else self.rate
        length, step = (len(shown), self.stride) if even else ((end - start) * pace, 1)
        count = self.count or _fit(length, step)
        offset = self._offset(max(0.0, length - ((count - 1) * step + 1)), clip, times.rate if even else pace)
        if offset >= length:
            raise Refused(f"{KEY}.start={self.start} s, and there are {end - start:.4g} s of it")
        offset = int(offset) if even else offset
        there = _fit(length - offset, step)
        count = self.count or there
        if there < count:
            self._require(there, count, "" if even else f" at {pace:.4g} a second")
            count = count if self.short == "repeat" else there
        if even:
            at = np.minimum(offset + step * np.arange(count), len(shown) - 1)
            return Chosen(low + at, pace, float(shown[at[0]]), float(shown[at[0]]) + count / pace)
        begin = start + offset / pace
        return Chosen(low + _shown(times, shown, begin + np.arange(count) / pace), pace, begin, begin + count / pace)

    def _part(self, times: Times, span: Span) -> tuple[int, int, float, float]:
        """The frames [low, high) that are shown in a part, and when it begins and ends on the container's clock."""
        first, most = float(times.seconds[0]), times.end - float(times.seconds[0])
        a, b = (span[0] or 0.0), (most if span[1] is None else span[1])
        if not 0 <= a < most or not b > a:
            raise Refused(f"from {a:g} to {b:g} s, and the video has {most:.4g} s; expected 0 <= start < end")
        if b > most + 1 / times.rate and self.beyond == "refuse":
            raise Refused(
                f"a part that ends at {b:g} s, and the video at {most:.4g} s; {KEY}.beyond=cut takes what there is"
            )
        b = min(b, most)
        low = int(_shown(times, times.seconds, np.array([first + a]))[0])
        high = int(np.searchsorted(times.seconds, first + b - times.tick / 2, "left"))
        return low, max(high, low + 1), first + a, first + b

    def _uniform(self, times: Times, shown: np.ndarray, start: float, end: float) -> np.ndarray:
        count = self.count or len(shown)
        if len(shown) < count:
            self._require(len(shown), count, "")
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

    def _require(self, there: int, count: int, at: str) -> None:
        if self.short == "refuse":
            stride = f", every {self.stride}th" if self.stride > 1 else ""
            raise Refused(
                f"{there} frames{at}{stride}, and {KEY}.count={count} asks for more; {KEY}.short=pad takes those there are, "
                "repeat repeats some"
            )


def _fit(length: float, step: int) -> int:
    """How many frames, every `step`-th, lie in `length` of them."""
    return max(1, int((length - 1) / step + 1 + 1e-6))


def _shown(times: Times, seconds: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """The places of the frames that are shown at each moment; the first before there is one."""
    return np.clip(np.searchsorted(seconds, moments + times.tick / 2, "right") - 1, 0, len(seconds) - 1)
