"""Video of one file: its header, chosen frames, and the sound that goes with them; decoded in a process of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from multimodal_lab.data.readers.decode.video_sampling import Frames, Span
from multimodal_lab.data.readers.decoder_process import decoded
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.types import Band

SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".flv", ".wmv", ".asf", ".ogv",
)  # fmt: skip
REQUIRES = {"av": "video"}
WHAT = "video (MP4, Matroska, WebM, AVI, MPEG)"
WHOLE: Span = (None, None)
Colour = Literal["rgb", "grey", "depth"]


class VideoHeader(NamedTuple):
    """What a container says of its first video track; frames are upright only once they are decoded.

    frames: 0 where the container counts none (Matroska). rate: frames a second on average, seconds: how long it lasts; 0 where
    nothing says it. bits: of a value as decoded, 8 or 16. square: whether its pixels are. sound, channels: the rate of its first
    audio track in Hz and its channels, 0 without one.
    """

    height: int
    width: int
    frames: int
    rate: float
    seconds: float
    bits: int
    square: bool
    sound: int
    channels: int


@dataclass
class Clip:
    """values (C, T, H, W) uint8 or uint16; rate in Hz, None where it differs by video."""

    values: np.ndarray
    rate: float | None


@dataclass
class Track:
    """values (C, T) float32 in [-1, 1], NaN where the track holds nothing, at `rate` Hz."""

    values: np.ndarray
    rate: float
    silent: bool = False


def bands_of(colour: Colour) -> tuple[Band, ...]:
    """The bands of a video: R, G, B, or one that is called `grey` or `depth`."""
    return (Band("R"), Band("G"), Band("B")) if colour == "rgb" else (Band(colour),)


def read_header(file: Path, name: str, limits: Limits) -> VideoHeader:
    """Header of the first video track, held to the limits; `DataError` for a file that is no video, or is cut short."""
    found = VideoHeader(**decoded("video.header", name, WHAT, {"path": str(file)}))
    limits.check(name, pixels=found.height * found.width, bands=3, itemsize=found.bits // 8)
    return found


def read_clip(
    file: Path, name: str, how: Frames, *, colour: Colour = "rgb", limits: Limits | None = None, span: Span = WHOLE,
    clip: int = 0, resize: Resize | None = None,
) -> Clip:  # fmt: skip
    """The frames of a file that `how` takes, upright; see `Frames.choose` for span and clip.

    colour: `rgb`, or the brightness alone (`grey`, `depth`: full range, 0 to 255 or 65535). resize: frames of 8 bits are scaled
    down by it as they are decoded, in whole numbers, so that no clip lies in memory at full size; cutting and padding
    is left to it. `DataError` for a file that is no whole video, is beyond the limits, or refused by a policy of `how`.
    """
    limits = limits or Limits()
    scale = None
    if resize is not None and resize.size is not None and resize.rule != "none":
        scale = {"size": resize.size, "rule": resize.rule, "fit": resize.fit, "crop_pct": resize.crop_pct}
    args = _args(file, how, span, clip, limits) | {"colour": colour, "resize": scale}
    found = decoded("video.clip", name, WHAT, args)
    return Clip(found["values"], found["rate"] or None)


def read_track(
    file: Path, name: str, how: Frames, *, rate: float | None = None, mono: bool = False, limits: Limits | None = None,
    span: Span = WHOLE, clip: int = 0,
) -> Track:  # fmt: skip
    """The sound of the seconds that `read_clip` shows frames of: it begins and ends with them, at `rate` Hz (None: its own).

    `DataError` for a video without an audio track.
    """
    limits = limits or Limits()
    args = _args(file, how, span, clip, limits) | {"rate": rate, "mono": mono, "most": limits.bytes}
    found = decoded("video.sound", name, WHAT, args)
    return Track(found["values"], float(found["rate"]), found["silent"])


def _args(file: Path, how: Frames, span: Span, clip: int, limits: Limits) -> dict[str, object]:
    if clip >= how.rows:
        raise DataError(f"data.source.frames.clips={how.clips}, and clip {clip} is asked for")
    most = {"pixels": limits.pixels, "bytes": limits.bytes}
    return {"path": str(file), "how": asdict(how), "span": list(span), "clip": clip, "most": most}
