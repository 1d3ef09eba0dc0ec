"""Columns of videos: MP4, Matroska, WebM, AVI, MPEG, see `readers/video_file.py`; their sound is a field of its own."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from multimodal_lab.data.readers import video_file
from multimodal_lab.data.readers.audio_file import Channels
from multimodal_lab.data.readers.audio_file import bands_of as sound_bands
from multimodal_lab.data.readers.columns.medium import WHOLE, Decoded, Medium, Piece
from multimodal_lab.data.readers.decode.video_sampling import KEY, Frames, Span
from multimodal_lab.data.readers.folder import inside
from multimodal_lab.data.readers.header_memory import HeaderMemory
from multimodal_lab.data.readers.headers import LazyHeaders
from multimodal_lab.data.readers.video_file import Colour, VideoHeader
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.data.streams.steps import SAME_RATE
from multimodal_lab.text import some
from multimodal_lab.types import Stream

SOUND = ".audio"  # of a field: the sound of that column's videos


class VideoColumns(Medium):
    """Videos as images with steps (C, T, H, W), of the frames that `frames` takes; the audio track of a column `clip` is its
    field `clip.audio`, a vector with steps (C, T) that begins and ends with those frames.

    colour: of all columns, or {column: colour}; `grey` and `depth` take the brightness alone. channels, rate: of the sound, as
    of `AudioColumns`. no_sound: a video without an audio track, where one is asked for, is an error, or lacks that stream.
    shrink: frames of 8 bits are scaled down to the stream's size as they are decoded, see `video_file.read_clip`.
    """

    key: ClassVar[str] = "video"
    called: ClassVar[str] = "video"
    suffixes: ClassVar[tuple[str, ...]] = video_file.SUFFIXES
    named: ClassVar[frozenset[str]] = frozenset(video_file.SUFFIXES)
    kind: ClassVar[str] = "image"
    timed: ClassVar[bool] = True
    apart: ClassVar[bool] = True
    requires: ClassVar[dict[str, str]] = video_file.REQUIRES

    def __init__(
        self,
        columns: Sequence[str] | None,
        frames: Frames | None = None,
        colour: Colour | dict[str, Colour] = "rgb",
        channels: Channels | dict[str, Channels] = "as_stored",
        no_sound: Literal["refuse", "missing"] = "refuse",
        shrink: bool = True,
        rate: float | None = None,
    ) -> None:
        super().__init__(columns)
        self.frames, self.colour, self.channels = frames or Frames(), colour, channels
        self.no_sound, self.shrink, self.rate = no_sound, shrink, rate
        self.found: dict[str, dict[str, VideoHeader]] = {}
        self.bad: set[str] = set()
        self.resizes: Mapping[str, Resize] = {}
        if doubts := self.frames.doubts():
            raise DataError(doubts)

    @property
    def identity(self) -> Any:
        """The choices that change values."""
        own = (self.columns, self.frames, self.colour, self.channels, self.shrink)
        more = [self.rate] if self.rate else []
        return (*own, *more, *([self.frames.damaged] if self.frames.damaged != "refuse" else []))

    @property
    def clips(self) -> int:
        """How many rows one of the table makes."""
        return self.frames.rows if self.columns else 1

    @property
    def by_column(self) -> dict[str, Any]:
        """The colour of frames, and what is made of the channels of their sound."""
        return {"video_colour": self.colour, "channels": self.channels}

    def fields(self) -> dict[str, str]:
        """The frames of each column, and the sound where any of its videos has one."""
        heard = {f"{c}{SOUND}": "vector" for c in self.columns if f"{c}{SOUND}" in self.bands}
        return super().fields() | heard

    def column(self, field: str) -> str:
        """The column of a field."""
        return field if field in self.columns else field.removesuffix(SOUND)

    def seconds(self, column: str, path: str) -> float:
        """By its header, read now where `verify=none` has left it; 0 of a bad one, whose reading says why."""
        known = self.found[column]
        if path not in known and path not in self.bad:
            known[path] = video_file.read_header(
                inside(self.opening.root, path, self.opening.file), path, self.opening.limits
            )
        return known[path].seconds if path in known else 0.0

    def to_size(self, resizes: Mapping[str, Resize]) -> None:
        """Frames are scaled down by these as they are decoded."""
        self.resizes = resizes

    def scaled(self) -> list[str]:
        """The frames of every column, where they shrink."""
        return self.columns if self.shrink else []

    def sampled(self) -> dict[str, dict[str, Any]]:
        """The one choice for all columns; their sound begins and ends with these frames."""
        return {field: asdict(self.frames) for field in self.fields()}

    def wanted(self, stream: Stream) -> Hashable:
        """The rate of a sound, the size of frames."""
        resize = self.resizes.get(stream.name) if self.shrink and stream.kind == self.kind else None
        return (stream.rate, stream.steps, None if resize is None else tuple(resize.keys().values()))

    def open(self, column: str, paths: Sequence[str]) -> list[str]:
        """All videos of a column have one bit depth, and those with sound one number of channels, unless it becomes one."""
        of = self.opening

        def read(file: Path, path: str) -> VideoHeader:
            return video_file.read_header(file, path, of.limits)

        memory = HeaderMemory(of.root, ("video", of.limits), paths, read, _written, _parsed)
        found = self.headers(column, paths, memory)
        named = [found.first] if isinstance(found, LazyHeaders) else list(zip(paths, found, strict=True))
        good = self.found[column] = {path: h for path, h in named if isinstance(h, VideoHeader)}
        self.bad |= {path for path, h in named if isinstance(h, DataError)}
        self.bands[column] = video_file.bands_of(self._of(self.colour, column, "rgb"))
        self._one(column, "bit depths", {h.bits: path for path, h in reversed([*good.items()])})
        heard = {path: h for path, h in good.items() if h.sound}
        if heard:
            first = {h.channels: path for path, h in reversed([*heard.items()])}
            if self._of(self.channels, column, "as_stored") != "mono":
                self._one(
                    column, "numbers of channels", first, "; data.source.channels=mono takes the mean of all channels"
                )
            mono = self._of(self.channels, column, "as_stored") == "mono"
            self.bands[f"{column}{SOUND}"] = sound_bands(1 if mono else next(iter(first)))
        notes = [f"{column}: {found.note()}"] if isinstance(found, LazyHeaders) else []
        return [*notes, *self._told(column, good, heard)]

    def read(self, field: str, path: str, stream: Stream, piece: Piece = WHOLE) -> Decoded:
        """(C, T, H, W) of the frames of a video, or (C, T) float32 of their sound; `piece.clip` says which of several clips."""
        of = self.opening
        place = inside(of.root, path, of.file)
        span: Span = (piece.start or None, None if piece.seconds is None else piece.start + piece.seconds)
        if field not in self.columns:
            return self._sound(field, place, path, stream, span, piece.clip)
        self._one_rate(field, stream)
        resize = self.resizes.get(stream.name) if self.shrink else None
        colour = self._of(self.colour, field, "rgb")
        clip = video_file.read_clip(
            place, path, self.frames, colour=colour, limits=of.limits, span=span, clip=piece.clip, resize=resize
        )
        return Decoded(clip.values, clip.rate, float(np.iinfo(clip.values.dtype).max))

    def _sound(self, field: str, place: Path, path: str, stream: Stream, span: Span, clip: int) -> Decoded:
        column = self.column(field)
        known = Counter(h.sound for h in self.found[column].values() if h.sound)
        if (rate := stream.rate or self.rate) is None and len(known) > 1:
            shown = ", ".join(f"{n} of {hz} Hz" for hz, n in known.most_common(4))
            raise DataError(
                f"stream {stream.name}: {self.opening.file}: {field}: sound of several rates: {shown}; expected one rate in a "
                f"stream; modality.{stream.name}.rate={known.most_common(1)[0][0]} resamples all, and data.source.rate where "
                "they are packed"
            )
        header = self.found[column].get(path)
        if header is not None and not header.sound:
            if self.no_sound == "missing":
                return Decoded(None)
            raise DataError(
                f"{path}: a video without an audio track; data.source.no_sound=missing counts its sound as missing"
            )
        mono = self._of(self.channels, column, "as_stored") == "mono"
        track = video_file.read_track(
            place, path, self.frames, rate=rate, mono=mono, limits=self.opening.limits, span=span, clip=clip
        )
        return Decoded(track.values, track.rate)

    def _one_rate(self, column: str, stream: Stream) -> None:
        """`DataError` where dense frames would have several rates, or another than the modality says."""
        if self.frames.sampling == "uniform":
            if stream.rate is not None:
                raise DataError(
                    f"modality.{stream.name}.rate: {stream.rate:g} Hz, and {KEY}.sampling=uniform takes as many frames of any "
                    f"length: they have no one rate; {KEY}.sampling=dense {KEY}.rate={stream.rate:g} has"
                )
            return
        if self.frames.rate is not None:
            return
        known = Counter(round(h.rate, 2) for h in self.found[column].values() if h.rate)
        rates = sorted(known)
        if known and not math.isclose(rates[0], rates[-1], rel_tol=SAME_RATE):
            shown = ", ".join(f"{n} of {rate:g}" for rate, n in known.most_common(4))
            raise DataError(
                f"stream {stream.name}: {self.opening.file}: {column}: frames of several rates a second: {shown}; expected one "
                f"in a stream; {KEY}.rate={rates[0] / self.frames.stride:g} takes them at one"
            )
        own = rates[0] / self.frames.stride if rates else None
        if own and stream.rate and not math.isclose(own, stream.rate, rel_tol=SAME_RATE):
            raise DataError(
                f"modality.{stream.name}.rate: {stream.rate:g} Hz, and frames are taken at {own:g}; {KEY}.rate={stream.rate:g} "
                "takes them at that"
            )

    def _told(self, column: str, good: Mapping[str, VideoHeader], heard: Mapping[str, VideoHeader]) -> list[str]:
        notes = []
        if heard and len(heard) < len(good):
            silent = [path for path in good if path not in heard]
            notes.append(f"{column}: {len(silent)} of {len(good)} videos have no audio track: {some(silent)}")
        if oblong := [path for path, h in good.items() if not h.square]:
            notes.append(
                f"{column}: {len(oblong)} of {len(good)} videos have pixels that aren't square, which are taken as stored: "
                f"{some(oblong)}"
            )
        return notes

    def _one(self, column: str, what: str, first: Mapping[int, str], cure: str = "") -> None:
        if len(first) > 1:
            shown = " and ".join(f"{n} ({path})" for n, path in sorted(first.items()))
            raise DataError(f"{self.opening.file}: {column}: videos of several {what}, {shown}; expected one{cure}")

    def _of(self, choice: Any, column: str, usual: Any) -> Any:
        return choice.get(column, usual) if isinstance(choice, dict) else choice


def _written(header: VideoHeader) -> str:
    return json.dumps(header, separators=(",", ":"))


def _parsed(text: str) -> VideoHeader | None:
    try:
        return VideoHeader(*json.loads(text))
    except (ValueError, TypeError):
        return None
