"""Decode video by PyAV: a header, chosen frames, or the sound that goes with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from multimodal_lab.data.readers.decode import Refused, video_frames, video_track
from multimodal_lab.data.readers.decode.video_sampling import Chosen, Frames
from multimodal_lab.data.readers.decode.video_times import times_of

if TYPE_CHECKING:
    from multimodal_lab.data.readers.decode.child import Room

# Containers that hold what they show. A playlist, which names other files or addresses, is none, whatever its suffix.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,flv,asf,ogg"
OWN = 1 << 16  # numbers of errors from here on are FFmpeg's own
NOTHING = "a video without tracks, as one that is cut short: the index of an MP4 often stands at its end"
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}


def header(room: Room, path: str) -> dict[str, Any]:
    """Facts of the first video track, see `video_file.VideoHeader`, and of the first audio track; nothing is decoded."""
    with _opened(path) as (container, track):
        _require_whole(path, track)
        if not track.codec_context.pix_fmt:
            raise Refused(f"its frames can't be decoded (codec {track.codec_context.name})")
        rate = track.average_rate or track.guessed_rate
        seconds = float(track.duration * track.time_base) if track.duration else (container.duration or 0) / 1e6
        sound = container.streams.audio[0] if container.streams.audio else None
        return {
            "height": track.height,
            "width": track.width,
            "frames": int(track.frames),
            "rate": float(rate) if rate else 0.0,
            "seconds": seconds,
            "bits": video_frames.bits(track),
            "square": not track.sample_aspect_ratio or track.sample_aspect_ratio == 1,
            "sound": int(sound.rate) if sound else 0,
            "channels": int(sound.codec_context.channels) if sound else 0,
        }


def clip(
    room: Room, path: str, how: dict[str, Any], span: list[float | None], clip: int, colour: str, resize: dict[str, Any] | None,
    most: dict[str, int],
) -> dict[str, Any]:  # fmt: skip
    """`values` (C, T, H, W) uint8 or uint16 of the frames that `how` takes, their `rate` (0: it differs by video).

    how: the fields of `Frames`. span, clip: see `Frames.choose`. colour: `rgb`, or the brightness alone, full range. resize: the
    keys of `Resize`, by which each frame is scaled down as it is decoded, neither cut nor padded; None: as stored. most:
    of `pixels` and `bytes` in memory.
    """
    with _opened(path) as (container, track):
        import av

        times, frames = times_of(container, track, path), Frames(**how)
        chosen, strict = frames.choose(times, (span[0], span[1]), clip), frames.damaged == "refuse"
        try:
            values = video_frames.read(
                room, container, track, times, chosen.frames, colour == "rgb", resize, most, strict
            )
        except av.InvalidDataError as error:
            cure = f"; {video_frames.CURE}" if strict else ""
            raise Refused(f"not a whole, readable video: {error.strerror} in its frames{cure}") from error
        return {"values": values, "rate": chosen.rate or 0.0}


def sound(
    room: Room,
    path: str,
    how: dict[str, Any],
    span: list[float | None],
    clip: int,
    rate: float | None,
    mono: bool,
    most: int,
) -> dict[str, Any]:
    """`values` (channels, T) float32 of the seconds that `clip` shows, NaN where the track holds nothing; `rate`, `silent`."""
    chosen = _chosen(path, how, span, clip)
    with _opened(path, "audio") as (container, track):
        return video_track.read(container, track, chosen.start, chosen.end, rate, mono, most)


def _chosen(path: str, how: dict[str, Any], span: list[float | None], clip: int) -> Chosen:
    with _opened(path) as (container, track):
        return Frames(**how).choose(times_of(container, track, path), (span[0], span[1]), clip)


@contextmanager
def _opened(path: str, kind: str = "video") -> Iterator[tuple[Any, Any]]:
    """The container and its first track of a kind; `Refused` where it has none, or what it holds can't be decoded."""
    import av

    try:
        # the protocol is said, as a name such as `http:x.mp4` is a file's
        with av.open(f"file:{path}", options=OPTIONS, metadata_errors="replace") as container:
            tracks = getattr(container.streams, kind)
            if not tracks:
                there = ", ".join(sorted({track.type for track in container.streams}))
                raise Refused(f"no {kind} track; its tracks: {there}" if there else NOTHING)
            yield container, tracks[0]
    except av.FFmpegError as error:
        if error.errno is not None and error.errno < OWN:  # of the system: a disk, a right
            raise
        raise Refused(f"not a whole, readable video: {error.strerror}") from error


def _require_whole(path: str, track: Any) -> None:
    """`Refused` where the container's index points behind the end of the file."""
    index: Any = getattr(track, "index_entries", ())
    if len(index) and index[-1].pos > 0:
        end, size = index[-1].pos + index[-1].size, os.path.getsize(path)
        if end > size:
            raise Refused(f"a video that is cut short: its last frame ends at byte {end:,}, the file at {size:,}")
