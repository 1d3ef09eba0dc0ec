"""Open a video file with PyAV and read its header: size, bits, rate, how many frames, whether there is sound."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError
from multimodal_lab.text import install_command
from multimodal_lab.types import Band

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".flv", ".wmv", ".asf", ".ogv",
)  # fmt: skip
# Containers that hold what they show. A playlist, which names other files or addresses, is none, whatever its suffix.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,asf,ogg"
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
Colour = Literal["rgb", "grey", "depth"]


@dataclass(frozen=True)
class Header:
    """What a container says of its first video track; frames are upright only once they are decoded.

    frames: 0 where the container counts none (Matroska). rate: frames a second on average, None where nothing says it.
    seconds: how long it lasts, None where nothing says it. bits: of a value as decoded, 8 or 16. sound: the rate of its
    first audio track in Hz, None without one. square: whether its pixels are.
    """

    height: int
    width: int
    frames: int
    rate: float | None
    seconds: float | None
    bits: int
    sound: int | None
    square: bool = True


def bands_of(colour: Colour) -> tuple[Band, ...]:
    """The bands of a video: R, G, B, or one that is called `grey` or `depth`."""
    return (Band("R"), Band("G"), Band("B")) if colour == "rgb" else (Band(colour),)


def need_av(where: str) -> Any:
    """The package PyAV; `DataError` says how to install it."""
    try:
        import av
    except ImportError as error:
        raise DataError(f"{where}: a video needs the package av: {install_command('video')}") from error
    return av


@contextmanager
def opened(path: Path, name: str, kind: Literal["video", "audio"] = "video") -> Iterator[tuple[InputContainer, Any]]:
    """The container and its first track of a kind; `DataError` names a file that can't be opened or has none."""
    av = need_av(name)
    with readable(name, "video"):
        # the protocol is said, as a name such as `http:x.mp4` is a file's
        container = av.open(f"file:{os.fspath(path)}", options=OPTIONS, metadata_errors="replace")
    with container:
        tracks = getattr(container.streams, kind)
        if not tracks:
            there = ", ".join(sorted({s.type for s in container.streams})) or "none"
            raise DataError(f"{name}: no {kind} track; its tracks: {there}")
        yield container, tracks[0]


def read_header(path: Path, name: str, limits: Limits) -> Header:
    """Header of the first video track, held to the limits; nothing is decoded."""
    with readable(name, "video"), opened(path, name) as (container, track):
        _require_whole(path, name, track)
        sound = container.streams.audio[0].rate if container.streams.audio else None
        found = _of(track, container, name, sound)
        limits.check(name, pixels=found.height * found.width, bands=3, itemsize=found.bits // 8)
        return found


def _of(track: VideoStream, container: InputContainer, name: str, sound: int | None) -> Header:
    form = track.codec_context.format if track.codec_context.pix_fmt else None
    if form is None:
        known = track.codec_context.name if track.codec_context else "unknown"
        raise DataError(f"{name}: its frames can't be decoded (codec {known})")
    rate = track.average_rate or track.guessed_rate
    seconds = None
    if track.duration and track.time_base:
        seconds = float(track.duration * track.time_base)
    elif container.duration:
        seconds = container.duration / 1e6
    aspect = track.sample_aspect_ratio
    deep = max(part.bits for part in form.components) > 8
    square = not aspect or aspect == 1
    frames = int(track.frames)
    return Header(
        track.height, track.width, frames, float(rate) if rate else None, seconds, 16 if deep else 8, sound, square
    )


def _require_whole(path: Path, name: str, track: Any) -> None:
    """`DataError` where the container's index points behind the end of the file."""
    index: Any = getattr(track, "index_entries", ())
    if len(index) and index[-1].pos > 0:
        last = index[-1]
        end, size = int(last.pos + last.size), path.stat().st_size
        if end > size:
            raise DataError(
                f"{name}: a video that is cut short: its last frame ends at byte {end:,}, the file at {size:,}"
            )
