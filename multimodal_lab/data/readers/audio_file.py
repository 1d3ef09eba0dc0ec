"""Sound of one file: its header, and the values of all of it or a window, at a rate. WAV, FLAC, Ogg, MP3 and AIFF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from multimodal_lab.data.readers.decode import wave
from multimodal_lab.data.readers.decoder_process import decoded
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Band

SUFFIXES = (".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".w64", ".rf64")
NAMED = frozenset({*SUFFIXES, ".m4a", ".aac", ".wma", ".mp2", ".ac3", ".amr", ".mka", ".caf"})  # meant to be sounds
REQUIRES = {"soundfile": "audio", "soxr": "audio"}
WHAT = "sound (WAV, FLAC, Ogg, MP3 or AIFF)"
LONGEST = 1 << 48  # frames: libsndfile gives about 2^63 of a stream that does not tell its length
Channels = Literal["as_stored", "mono"]
Silence = Literal["keep", "refuse", "missing"]


class AudioHeader(NamedTuple):
    """`rate` in Hz, `channels`, `frames` of a file."""

    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.frames / self.rate


@dataclass
class Sound:
    """values (C, T) float32, full scale 1, at `rate` Hz."""

    values: np.ndarray
    rate: float
    silent: bool = False


def read_header(file: Path, name: str, limits: Limits, whole: bool = True) -> AudioHeader:
    """The header of a sound; `DataError` for a file that is none, is empty or cut off, or decodes to more than the limits.

    whole: it is to be decoded whole, else in windows, whose sizes count.
    """
    found = decoded("sound.header", name, WHAT, {"path": str(file)})
    header = AudioHeader(found["rate"], found["channels"], found["frames"])
    if header.frames < 1 or header.rate < 1 or header.frames > LONGEST:
        told = "holds no sound: 0 frames" if header.frames < 1 else "its header does not tell its length"
        raise DataError(f"{name}: {told}, expected a {WHAT}")
    if whole:
        size = 4 * header.frames * header.channels
        limits.check(name, bands=header.channels, itemsize=4 * header.frames)
        limits.swell(name, size, file.stat().st_size)
    return header


def read_sound(
    file: Path, name: str, *, start: float = 0.0, seconds: float | None = None, rate: float | None = None,
    channels: Channels = "as_stored", check: bool = True, limits: Limits | None = None,
) -> Sound:  # fmt: skip
    """A sound, or `seconds` of it from `start` on, brought to `rate` Hz by soxr (None: as stored); nothing else is decoded.

    channels: `mono` takes the mean of all channels. check: its header was not read before. A file that can't
    be decoded, or becomes more at `rate` than the limits, is a `DataError`.
    """
    args = {
        "path": str(file),
        "start": start,
        "seconds": seconds,
        "rate": rate,
        "mono": channels == "mono",
        "check": check,
        "most": (limits or Limits()).most(file.stat().st_size),
    }
    found = decoded("sound.read", name, WHAT, args)
    return Sound(found["values"], float(found["rate"]), found["silent"])


def resample(x: np.ndarray, rate: float, to: float) -> np.ndarray:
    """A sound (C, T) at `rate` Hz brought to `to` Hz by soxr: (C, T') float32."""
    return np.ascontiguousarray(wave.resample(x.T, rate, to).T)


def bands_of(count: int) -> tuple[Band, ...]:
    """The bands of a sound of so many channels: mono; left, right; else c1, c2, …"""
    names = {1: ["mono"], 2: ["left", "right"]}.get(count, [f"c{i + 1}" for i in range(count)])
    return tuple(Band(name) for name in names)
