"""Reader of images, sounds, videos and texts that belong together, from a table or from folders."""

from __future__ import annotations

from typing import Literal

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers.audio_file import Channels, Silence
from multimodal_lab.data.readers.columns.audio import AudioColumns
from multimodal_lab.data.readers.columns.image import ImageColumns
from multimodal_lab.data.readers.columns.medium import Medium
from multimodal_lab.data.readers.columns.video import VideoColumns
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.folder import existing
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.images import Colour
from multimodal_lab.data.readers.joined_texts import join_texts
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.pair_rows import columns_of_texts, from_folders, from_table, the_table
from multimodal_lab.data.readers.video_file import Colour as VideoColour
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some


class Pairs(MediaTable):
    """The rows of a table below `root`: columns of paths of images, sounds and videos, columns of text, and labels, see
    `MediaTable`.

    file: JSONL, CSV, Parquet or COCO's JSON; None takes the only one, or that of a usual name. folders: {column: folder}
    instead of a file: their files are joined by name without suffix. images: columns of paths, relative to `root` and
    inside it (written as on another system where that is unique); None: those that name pictures. audio: columns of paths of
    sounds, video: of videos; None: those that name such. texts: columns of one text or a list of texts; None: those of a usual
    name. A stream names its column by `field`; without it takes the one of its own name, or the only one. joined_texts: {name:
    columns}, more columns of text, made of others, see `join_texts`. id: the column of names; None: `id`, else the image; rows
    that are captions of one image may have the same. labels: columns that must be
    there. separator: of the values of a CSV, one character; None finds commas, semicolons, tabs and bars. channels, silence,
    rate: of sounds, channels and rate of videos', too, see `AudioColumns`; frames, video_colour, no_sound, shrink: of videos,
    see `VideoColumns`.
    """

    def __init__(
        self,
        root: str,
        *,
        file: str | None = None,
        folders: dict[str, str] | None = None,
        images: list[str] | None = None,
        audio: list[str] | None = None,
        video: list[str] | None = None,
        texts: list[str] | None = None,
        joined_texts: dict[str, list[str]] | None = None,
        id: str | None = None,
        labels: list[str] | None = None,
        missing: Missing = "refuse",
        na_values: list[str] | None = None,
        separator: str | None = None,
        colour: Colour | dict[str, Colour] = "rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        channels: Channels | dict[str, Channels] = "as_stored",
        silence: Silence = "keep",
        rate: Positive | None = None,
        frames: Frames | None = None,
        video_colour: VideoColour | dict[str, VideoColour] = "rgb",
        no_sound: Literal["refuse", "missing"] = "refuse",
        shrink: bool = True,
        pieces: dict[str, list[str]] | None = None,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        if separator is not None and len(separator) != 1:
            raise DataError(f"data.source.separator: {separator!r}, expected one character such as ';' or '^'")
        media: list[Medium] = [
            AudioColumns(audio, channels, silence, rate=rate),
            VideoColumns(video, frames, video_colour, channels, no_sound, shrink, rate),
        ]
        if folders:
            named = f"{some(list(folders.values()))} of {root}"
            rows, found, notes = from_folders(base, folders, [ImageColumns, *map(type, media)])
            images, texts = images or found[ImageColumns.key], texts or found["texts"]
            for medium in media:
                medium.asked = medium.columns = list(medium.asked or found[medium.key])
        else:
            named = the_table(base, file)
            rows, notes = from_table(base, named, limits, na_values or (), separator)
        if joined_texts:
            notes += join_texts(rows, joined_texts, named)
            texts = list(dict.fromkeys([*(columns_of_texts(rows) if texts is None else texts), *joined_texts]))
        super().__init__(
            base, named, rows, notes, images=images, texts=texts, media=media, id=id, needed=labels or [], missing=missing,
            colour=colour, alpha=alpha, pieces=pieces, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip
