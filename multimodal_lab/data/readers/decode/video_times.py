"""When each frame of a video is shown: by its packets, of which none is decoded."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from multimodal_lab.data.readers.decode import Refused

KEPT = 1024  # files whose times are remembered: windows of one recording ask again and again
SLACK = 0.5  # seconds, by which headers may round
EVEN = 0.1  # of an interval, by which frames of a constant rate may be off


@dataclass(frozen=True)
class Times:
    """The frames of a video in the order they are shown.

    seconds (n,): when each is shown, on the container's clock; end: when the last one ends. ticks (n,): the same in units of
    the track, by which decoded frames are known. keys: the frames that a decoder may start from, ascending. counted: the
    packets' times are not those of the frames, which are known by their number alone.
    """

    seconds: np.ndarray
    end: float
    ticks: np.ndarray
    keys: np.ndarray
    tick: float
    counted: bool = False

    @property
    def rate(self) -> float:
        """Frames a second, on average."""
        return round(len(self.seconds) / (self.end - float(self.seconds[0])), 6)

    @property
    def regular(self) -> bool:
        """Whether all frames are shown for equally long, to a tick of the container."""
        n = len(self.seconds)
        if n < 3:
            return True
        interval = (self.seconds[-1] - self.seconds[0]) / (n - 1)
        off = np.abs(self.seconds - self.seconds[0] - interval * np.arange(n)).max()
        return bool(off <= max(EVEN * interval, 1.01 * self.tick))


_known: OrderedDict[tuple[str, int, int], Times] = OrderedDict()


def times_of(container: Any, track: Any, path: str) -> Times:
    """The times of all frames, remembered by file; the container stands at its end afterwards, if they had to be read.

    `Refused` for a track without frames, or with fewer than its header says.
    """
    facts = os.stat(path)
    key = (path, facts.st_size, facts.st_mtime_ns)
    if key in _known:
        _known.move_to_end(key)
        return _known[key]
    found = _read(container, track)
    _known[key] = found
    while len(_known) > KEPT:
        _known.popitem(last=False)
    return found


def _read(container: Any, track: Any) -> Times:
    # what an edit list leaves out is decoded from, and never shown
    every = [p for p in container.demux(track) if p.size and not p.is_corrupt]
    packets = [p for p in every if not p.is_discard]
    if not packets:
        raise Refused("a video without frames")
    if track.frames and len(every) < track.frames:
        raise Refused(f"a video that is cut short: its header says {track.frames} frames, and {len(every)} are there")
    tick = float(track.time_base)
    _require_length(container, track, packets, tick)
    shown, stored = [p.pts for p in packets], [p.dts for p in packets]
    keys = np.array([i for i, p in enumerate(packets) if p.is_keyframe], dtype=np.int64)
    reordered = bool(getattr(track.codec_context, "reorder_depth", 0) or track.codec_context.has_b_frames)
    alike = {None if a is None or b is None else a - b for a, b in zip(shown, stored)}
    counted = None in shown or (reordered and len(alike) == 1 and None not in alike) or len({*shown}) < len(shown)
    if counted:  # a container that stores no times of frames, such as AVI: they follow each other at its rate
        rate = track.average_rate or track.guessed_rate
        if not rate:
            raise Refused("nothing says when its frames are shown")
        seconds = np.arange(len(packets)) / float(rate)
        return Times(seconds, len(packets) / float(rate), np.arange(len(packets)), keys[:1], tick, True)
    ticks = np.array(shown, dtype=np.int64)
    order = np.argsort(ticks, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    ticks = ticks[order]
    last = packets[order[-1]].duration or (int(np.median(np.diff(ticks))) if len(ticks) > 1 else 0)
    rate = track.average_rate or track.guessed_rate
    length = last * tick if last else 1 / float(rate or 1)
    # the first that is shown may be decoded from one that is not: who seeks it begins there
    starts = np.unique(np.append(place[keys], 0))
    return Times(ticks * tick, float(ticks[-1] * tick + length), ticks, starts, tick)


def _require_length(container: Any, track: Any, packets: list[Any], tick: float) -> None:
    """`Refused` where the last frame ends well before the container says: Matroska counts no frames, but tells its length."""
    said = track.duration * tick if track.duration else 0.0
    if not said and len(container.streams) == 1:
        said = (container.duration or 0) / 1e6
    begin = (track.start_time or 0) * tick
    moments = [(p.pts if p.pts is not None else p.dts, p.duration or 0) for p in packets]
    known = np.array([(m, length) for m, length in moments if m is not None], dtype=np.int64).reshape(-1, 2)
    there = float(known.sum(1).max()) * tick - begin if len(known) else said
    longest = float(np.diff(np.sort(known[:, 0])).max()) * tick if len(known) > 1 else 0.0
    if said - there > max(SLACK, 2 * longest):  # a last frame may be shown for longer than its packet tells
        raise Refused(f"a video that is cut short: its header says {said:.4g} s, and its frames end at {there:.4g}")
