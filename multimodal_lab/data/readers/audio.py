"""Reader of folders of sounds: WAV, FLAC, Ogg, MP3 and AIFF, flat or one folder a class; long ones in windows."""

from __future__ import annotations

from typing import ClassVar, Literal

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers.audio_file import SUFFIXES, Channels, Silence
from multimodal_lab.data.readers.columns.audio import AudioColumns
from multimodal_lab.data.readers.folder import existing, find, table
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.labels import Labels, labelled
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.pair_rows import records
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.streams.labels import COMPLETE

COLUMN = "audio"


class Audio(MediaTable):
    """Every sound below `root`, in the column `audio`; its labels stand in folders, file names or a table, as for images.

    windows: a sample is a window of a file, and the windows of one file, its `recording`, stay in one split. channels, silence,
    rate: see `AudioColumns`. on_error, verify: as in `Data`.
    """

    beside: ClassVar[tuple[str, ...]] = ()
    requires: ClassVar[dict[str, str]] = {"soundfile": "audio", "soxr": "audio"}

    def __init__(
        self,
        root: str,
        *,
        labels: Labels | None = None,
        windows: Windows | None = None,
        channels: Channels = "as_stored",
        silence: Silence = "keep",
        rate: Positive | None = None,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base = existing(root)
        samples, notes = labelled(base, table(find(base, SUFFIXES), SUFFIXES), labels)
        rows = records(samples.rename(columns={"path": COLUMN}))
        windowed = windows is not None and windows.length is not None
        sounds = [AudioColumns([COLUMN], channels, silence, windowed, rate)]
        super().__init__(
            base, str(root), rows, notes, images=[], texts=[], media=sounds,
            missing="keep", windows=windows, listed=True, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip
        self.samples.attrs[COMPLETE] = samples.attrs.get(COMPLETE, {})
