"""Columns of sounds: WAV, FLAC, Ogg, MP3 and AIFF, see `readers/audio_file.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from multimodal_lab.data.readers import audio_file
from multimodal_lab.data.readers.audio_file import AudioHeader, Channels, Silence, bands_of
from multimodal_lab.data.readers.columns.medium import WHOLE, Decoded, Medium, Piece
from multimodal_lab.data.readers.header_memory import HeaderMemory
from multimodal_lab.data.readers.headers import LazyHeaders
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream


class AudioColumns(Medium):
    """Sounds as vectors with steps (C, T), at their own rate or that of the modality.

    channels: `as_stored`, where all files of a column have one number of channels (mono; left, right; c1, c2, …), or `mono`, the
    mean of all, or {column: one of these}. silence: what a file that never leaves one step of 16 bits does: `keep`, `refuse`,
    or `missing`. windowed: files are read in pieces, so that a long one needn't fit into memory. rate: in Hz, to which a sound is
    brought where the modality does not say it: for what is packed.
    """

    key: ClassVar[str] = "audio"
    called: ClassVar[str] = "sound"
    suffixes: ClassVar[tuple[str, ...]] = audio_file.SUFFIXES
    named: ClassVar[frozenset[str]] = audio_file.NAMED
    kind: ClassVar[str] = "vector"
    timed: ClassVar[bool] = True
    apart: ClassVar[bool] = True
    requires: ClassVar[dict[str, str]] = audio_file.REQUIRES

    def __init__(
        self,
        columns: Sequence[str] | None,
        channels: Channels | dict[str, Channels] = "as_stored",
        silence: Silence = "keep",
        windowed: bool = False,
        rate: float | None = None,
    ) -> None:
        super().__init__(columns)
        self.channels, self.silence, self.windowed, self.rate = channels, silence, windowed, rate
        self.rates: dict[str, Counter[int]] = {}
        self.lengths: dict[str, float] = {}  # seconds, by path
        self.bad: dict[str, DataError] = {}  # by path
        self.known: set[str] = set()  # columns whose headers are all read

    @property
    def identity(self) -> Any:
        """The choices that change values."""
        return (self.columns, self.channels, self.silence, *((self.rate,) if self.rate else ()))

    @property
    def by_column(self) -> dict[str, Any]:
        """What is made of channels."""
        return {"channels": self.channels}

    def mixing(self, column: str) -> Channels:
        """What is made of the channels of a column."""
        return self.channels.get(column, "as_stored") if isinstance(self.channels, dict) else self.channels

    def open(self, column: str, paths: Sequence[str]) -> list[str]:
        """All sounds of a column have one number of channels, unless it becomes one."""
        of = self.opening

        def read(file: Path, path: str) -> AudioHeader:
            return audio_file.read_header(file, path, of.limits, not self.windowed)

        memory = HeaderMemory(of.root, ("sound", of.limits, self.windowed), paths, read, _written, _parsed)
        found = self.headers(column, paths, memory)
        named = [found.first] if isinstance(found, LazyHeaders) else list(zip(paths, found, strict=True))
        if not isinstance(found, LazyHeaders):
            self.known.add(column)
            self.bad |= {path: error for path, error in named if isinstance(error, DataError)}
        good = [(path, h) for path, h in named if isinstance(h, AudioHeader)]
        self.rates[column] = Counter(h.rate for _, h in good)
        notes = [f"{column}: {found.note()}"] if isinstance(found, LazyHeaders) else []
        self.lengths |= {path: h.seconds for path, h in good}
        first = {h.channels: path for path, h in reversed(good)}
        if self.mixing(column) == "mono":
            self.bands[column] = bands_of(1)
            if several := sum(h.channels > 1 for _, h in good):
                notes.append(
                    f"{column}: of {several} of {len(paths)} sounds with several channels the mean is taken "
                    "(data.source.channels=mono)"
                )
        elif len(first) > 1:
            shown = " and ".join(f"{n} ({path})" for n, path in sorted(first.items()))
            raise DataError(
                f"{of.file}: {column}: sounds of several numbers of channels, {shown}; expected one; data.source.channels=mono "
                "takes the mean of all channels"
            )
        else:
            self.bands[column] = bands_of(next(iter(first), 1))
        return notes

    def seconds(self, column: str, path: str) -> float:
        """By its header, read now where `verify=none` has left it; 0 of a bad one, whose reading says why."""
        if path not in self.lengths and path not in self.bad:
            of = self.opening
            header = audio_file.read_header(of.place(path), path, of.limits, not self.windowed)
            self.lengths[path] = header.seconds
        return self.lengths.get(path, 0.0)

    def read(self, field: str, path: str, stream: Stream, piece: Piece = WHOLE) -> Decoded:
        """(C, T) float32 of a sound."""
        of = self.opening
        known = self.rates[field]
        if (rate := stream.rate or self.rate) is None and len(known) > 1:
            shown = ", ".join(f"{n} of {hz} Hz" for hz, n in known.most_common(4))
            raise DataError(
                f"stream {stream.name}: {of.file}: {field}: sounds of several rates: {shown}; expected one rate in a stream; "
                f"modality.{stream.name}.rate={known.most_common(1)[0][0]} resamples all, and data.source.rate "
                "where they are packed"
            )
        if path in self.bad:
            raise self.bad[path]
        place = of.place(path)
        sound = audio_file.read_sound(
            place, path, start=piece.start, seconds=piece.seconds, rate=rate, channels=self.mixing(field),
            check=field not in self.known, limits=of.limits,
        )  # fmt: skip
        if sound.silent and self.silence != "keep":
            if self.silence == "missing":
                return Decoded(None)
            raise DataError(
                f"{path}: silence; data.source.silence=keep takes it, missing counts it as a sample without this stream"
            )
        return Decoded(sound.values, sound.rate)


def _written(header: AudioHeader) -> str:
    return " ".join(map(str, header))


def _parsed(text: str) -> AudioHeader | None:
    words = text.split(" ")
    return AudioHeader(*map(int, words)) if len(words) == 3 and all(w.isdecimal() for w in words) else None
