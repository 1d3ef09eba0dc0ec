"""Decode chosen frames of a video: seek to the key frame before each, decode up to it, and no further."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from multimodal_lab.data.readers.decode import Refused
from multimodal_lab.data.readers.decode.video_times import Times
from multimodal_lab.data.readers.decode.video_turn import Shown, Turn, turned
from multimodal_lab.data.streams.scaled_size import scaled_size

if TYPE_CHECKING:
    from multimodal_lab.data.readers.decode.child import Room

# One plane a band, so that nothing is reordered: in these formats of FFmpeg green comes first, then blue.
FORMATS = {(True, 8): "gbrp", (True, 16): "gbrp16le", (False, 8): "gray", (False, 16): "gray16le"}
CURE = "data.source.frames.damaged=conceal takes what the decoder makes of it"
PLANES = {True: (2, 0, 1), False: (0,)}


class _OutOfOrder(Exception):
    """A decoded frame is not where its time says."""


def bits(track: Any) -> int:
    """Of a value as decoded: 8, or 16 of a track that has more than 8."""
    return 16 if max(part.bits for part in track.codec_context.format.components) > 8 else 8


def read(
    room: Room, container: Any, track: Any, times: Times, frames: np.ndarray, rgb: bool, resize: dict[str, Any] | None,
    most: dict[str, int], strict: bool,
) -> np.ndarray:  # fmt: skip
    """(C, T, H, W) of the frames at these places, ascending; one that is there twice is decoded once. See `video.clip`.

    strict: `Refused` for damage that the decoder finds in them, or in what they are decoded from; else what it makes of it.
    """
    if (
        strict
    ):  # or the decoder would fill in what it can't read, and flag the one frame where that happened at the most
        track.codec_context.options = {"err_detect": "explode"}
    wanted, back = np.unique(frames, return_inverse=True)
    deep, made, shown = bits(track), None, Shown()
    _require(1, track.height, track.width, len(PLANES[rgb]), deep, most)
    for k, frame in enumerate(_decoded(container, track, times, wanted.tolist(), strict)):
        planes = [_shrunk(plane, resize) for plane in _planes(frame, FORMATS[rgb, deep], PLANES[rgb], shown.of(frame))]
        height, width = planes[0].shape
        if made is None:
            _require(len(frames), height, width, len(planes), deep, most)
            made = room.array((len(planes), len(frames), height, width), planes[0].dtype.str)
        if (height, width) != made.shape[2:]:
            raise Refused(f"frames of two sizes, {made.shape[2:]} and {(height, width)}; expected one")
        for place in np.flatnonzero(back == k):
            for band, plane in zip(made, planes):
                band[place] = plane
    assert made is not None
    return made


def _require(frames: int, height: int, width: int, bands: int, deep: int, most: dict[str, int]) -> None:
    """Hold what will lie in memory to the limits, before it is allocated."""
    pixels = frames * height * width
    for name, claim in (("pixels", pixels), ("bytes", pixels * bands * deep // 8)):
        if claim > most[name]:
            raise Refused(
                f"{frames} frames of {height} x {width} pixels are {claim:,} {name}, the limit is {most[name]:,} "
                f"(data.source.limits.{name} raises it; data.size makes frames smaller as they are decoded)"
            )


def _shrunk(x: np.ndarray, resize: dict[str, Any] | None) -> np.ndarray:
    """(H, W) uint8 scaled down by Pillow, where that makes it smaller."""
    if resize is None or x.dtype != np.uint8:
        return x
    height, width = x.shape
    high, wide = scaled_size(height, width, resize["size"], resize["fit"], resize["crop_pct"])
    if high >= height and wide >= width:
        return x
    from PIL import Image

    x = np.ascontiguousarray(x)
    by = Image.Resampling.BICUBIC if resize["rule"] == "bicubic" else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(x).resize((wide, high), by))


def _decoded(container: Any, track: Any, times: Times, wanted: list[int], strict: bool) -> Iterator[Any]:
    """The frames at these places, ascending; found by their times, else by counting from the first one."""
    done = 0
    if not times.counted:
        try:
            for frame in _seeking(container, track, times, wanted, strict):
                done += 1
                yield frame
            return
        except _OutOfOrder:
            pass
    yield from _counting(container, track, times, wanted[done:], strict)


def _seeking(container: Any, track: Any, times: Times, wanted: list[int], strict: bool) -> Iterator[Any]:
    places = {int(t): i for i, t in enumerate(times.ticks)}
    decoder: Iterator[Any] = iter(())
    stands, before = len(times.ticks), -1  # behind the end: the packets may have been read for their times
    for want in wanted:
        key = int(times.keys[max(0, int(np.searchsorted(times.keys, want, "right")) - 1)])
        if key > stands + 1 or want < stands:
            container.seek(int(times.ticks[key]), stream=track)
            decoder, before = container.decode(track), -1
        for frame in decoder:
            stands = places.get(frame.pts, -1)
            if stands <= before or (before < 0 and stands > want):
                raise _OutOfOrder
            before = stands
            if strict and stands >= key:  # those before it may be left over from another scene, and are not shown
                _require_sound(frame, stands, want)
            if stands >= want:
                break
        if stands != want:
            raise _OutOfOrder if stands > want else _cut_short(want, times)
        yield frame


def _counting(container: Any, track: Any, times: Times, wanted: list[int], strict: bool) -> Iterator[Any]:
    container.seek(0, stream=track)
    waiting = iter(wanted)
    want, k = next(waiting), -1
    for k, frame in enumerate(container.decode(track)):
        if strict:
            _require_sound(frame, k, want)
        if k == want:
            yield frame
            if (want := next(waiting, -1)) < 0:
                return
    raise _cut_short(k + 1, times)


def _require_sound(frame: Any, place: int, want: int) -> None:
    """`Refused` for a frame that the decoder filled in: those that are decoded from it show what was never filmed."""
    if frame.is_corrupt:
        raise Refused(
            f"frame {place} is damaged{'' if place == want else f', from which frame {want} is decoded'}; {CURE}"
        )


def _cut_short(place: int, times: Times) -> Refused:
    return Refused(
        f"a video that is cut short or damaged: {len(times.ticks)} frames, and frame {place} can't be decoded"
    )


def _planes(frame: Any, form: str, order: tuple[int, ...], how: Turn) -> list[np.ndarray]:
    """(H, W) of each band, turned and mirrored as the file says the frame is shown: views of what the decoder has made."""
    planes = frame.reformat(format=form).planes
    dtype = np.dtype("<u2" if form.endswith("16le") else np.uint8)
    found = []
    for plane in (planes[i] for i in order):
        rows = np.frombuffer(plane, dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
        found.append(turned(rows[:, : plane.width], how))
    return found
