"""Decode sound by libsndfile (WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF), resample it by soxr."""

from __future__ import annotations

import math
import os
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from multimodal_lab.data.readers.decode import Refused
from multimodal_lab.data.readers.decode.wave import QUIET, resample

if TYPE_CHECKING:
    from multimodal_lab.data.readers.decode.child import Room

LOUD = 8.0  # times full scale: decoders overshoot 1 by a little, numbers that were never divided by 32768 by far
EDGE = 0.1  # seconds read on both sides of a window, longer than the resampler's filter
UNKNOWN = (0, 0xFFFFFFFF)  # the length of a WAV that was written to a pipe
TAIL = 1 << 16  # bytes: no page of Ogg is longer


def header(room: Room, path: str) -> dict[str, Any]:
    """`rate` in Hz, `channels`, `frames` of a file, its `format`; refused if it is cut off, as far as its ends tell."""
    import soundfile

    _require_whole(path)
    with soundfile.SoundFile(path) as file:
        return {"rate": file.samplerate, "channels": file.channels, "frames": file.frames, "format": file.format}


def read(
    room: Room, path: str, start: float, seconds: float | None, rate: float | None, mono: bool, check: bool, most: int
) -> dict[str, Any]:
    """`values` (C, T) float32 of `seconds` from `start` on, at `rate` Hz (None: as stored), of all channels or their mean.

    Also their `rate`, and whether what is stored is `silent`. Of a window at another rate the steps are those that the whole
    file would have there. check: refuse what `header` would; most: bytes that a sound may become.
    """
    import soundfile

    if check:
        _require_whole(path)
    with soundfile.SoundFile(path) as file:
        native, channels = int(file.samplerate), int(file.channels)
        to = native if rate is None else round(rate)
        first, count, skip, steps = _extent(start, seconds, native, to, file.frames)
        if first >= file.frames:
            raise Refused(f"has {file.frames / native:g} s, and is asked for what begins at {start:g} s")
        if first:
            file.seek(first)
        grown = 4 * channels * math.ceil(count * max(1.0, to / native))
        if grown > most:
            raise Refused(
                f"{count:,} frames of {native} Hz become {grown:,} bytes at {to} Hz, the limit is {most:,} "
                "(data.source.limits.bytes and ratio raise it)"
            )
        x = room.array((count, channels))
        got = len(file.read(count, out=x))
        subtype = file.subtype
    if got < count:
        raise Refused(f"cut off: {got} of the {count} frames that its header tells of can be read")
    peak = _peak(x)
    if subtype in ("FLOAT", "DOUBLE"):
        _require_scale(x, peak)
    if mono and channels > 1:
        x = x.mean(1, keepdims=True, dtype=np.float32)
    if to != native:
        x = resample(x, native, to)
    x = x[skip:] if steps is None else x[skip : skip + steps]
    return {"values": x.T, "rate": to, "silent": peak <= QUIET}


def _extent(start: float, seconds: float | None, native: int, to: int, frames: int) -> tuple[int, int, int, int | None]:
    """The first stored frame and how many to read; how many resampled ones to skip, and how many then to take (None: all)."""
    if to == native:
        first = round(start * native)
        count = frames - first if seconds is None else min(round(seconds * native), frames - first)
        return first, max(0, count), 0, None
    # stored and new frames meet `common` times a second: a window begins to read at such a meeting
    common = math.gcd(native, to)
    meeting = max(0, math.floor((start - EDGE) * common))
    first, begins = meeting * (native // common), meeting * (to // common)
    skip = round(start * to) - begins
    if seconds is None:
        return first, max(0, frames - first), skip, None
    end = math.ceil((start + seconds + EDGE) * native)
    return first, max(0, min(end, frames) - first), skip, round(seconds * to)


def _peak(x: np.ndarray) -> float:
    return float(max(x.max(), -x.min())) if x.size else 0.0


def _require_scale(x: np.ndarray, peak: float) -> None:
    """Refuse floats that are no sound at full scale 1."""
    if not math.isfinite(peak):
        raise Refused(f"{int((~np.isfinite(x)).sum())} of its {x.size} values are NaN or infinite")
    if peak > LOUD:
        raise Refused(f"floating-point values up to {peak:g}, expected -1 to 1 (integers in floats? divide by 32768)")


def _require_whole(path: str) -> None:
    """Refuse an empty file, an uncompressed one that is shorter than it says, and an Ogg file without its last page.

    libsndfile takes what is there of these without a word.
    """
    size = os.path.getsize(path)
    if size == 0:
        raise Refused("an empty file, expected a sound (WAV, FLAC, Ogg, MP3)")
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] == b"OggS":
            file.seek(max(0, size - TAIL))
            end = file.read()
            at = end.rfind(b"OggS")
            if at < 0 or len(end) < at + 27 or not end[at + 5] & 4 or not _page_whole(end[at:]):
                raise Refused("cut off: an Ogg file without its last page")
            return
        told = _claimed(file, head)
        if told is not None and told not in UNKNOWN and told > (left := size - file.tell()):
            raise Refused(f"cut off: {left:,} of the {told:,} bytes of sound that its header tells of")


def _claimed(file: BinaryIO, head: bytes) -> int | None:
    """How many bytes of sound the header of an uncompressed file tells of; None of others. The file is left where they begin."""
    if head[:4] == b".snd":  # AU
        start, length = struct.unpack(">II", head[4:])
        file.seek(start)
        return int(length)
    if head[:4] == b"riff":  # Wave64: chunks of a GUID and a length that counts both
        file.seek(40)
        while len(chunk := file.read(24)) == 24:
            length = struct.unpack("<Q", chunk[16:])[0] - 24
            if chunk[:4] == b"data":
                return int(length)
            file.seek(length + -length % 8, 1)
        return None
    order, data = {b"RIFF": ("<", b"data"), b"RF64": ("<", b"data"), b"FORM": (">", b"SSND")}.get(head[:4], ("", b""))
    large = None  # of RF64, which tells it elsewhere
    while order and len(chunk := file.read(8)) == 8:
        length = struct.unpack(f"{order}I", chunk[4:])[0]
        if chunk[:4] == data:
            return int(length if large is None else large)
        if chunk[:4] == b"ds64":
            body = file.read(length)
            large = struct.unpack("<Q", body[8:16])[0] if len(body) >= 16 else None
            continue
        file.seek(length + length % 2, 1)
    return None


def _page_whole(page: bytes) -> bool:
    count = page[26]
    return len(page) >= 27 + count + sum(page[27 : 27 + count])
