"""Reader of AudioCaps (Kim 2019): captions of ten seconds of YouTube, whose sounds everyone has fetched alone."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers import captioned_sounds
from multimodal_lab.data.readers.audio_file import SUFFIXES, Channels, Silence
from multimodal_lab.data.readers.captioned_sounds import Captioned, Each
from multimodal_lab.data.readers.columns.audio import AudioColumns
from multimodal_lab.data.readers.folder import existing, find, given
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.tables import read_table, require_column
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
PLACES = ("", "dataset", "dataset2.0", "csv")  # folders of the tables
NAMES = ("{id}", "Y{id}", "{id}_{start}", "Y{id}_{start}", "{id}_{ms}", "Y{id}_{ms}", "{id}_{start}_{end}", "{cap}")


class AudioCaps(MediaTable):
    """The clips of AudioCaps below `root`: columns `audio`, `caption` and `split`.

    tables: {split: file} with the columns audiocap_id, youtube_id, start_time, caption; None: train.csv, val.csv and test.csv,
    in the root, `dataset/`, `dataset2.0/` or `csv/`. Training clips have one caption, the others five. Sounds are found
    anywhere below the root by name: the YouTube id, with or without a `Y` before it, alone or followed by `_START` (seconds or
    milliseconds) or `_START_END`, or the audiocap_id. rows: `audio`, a row a clip with a list of captions, or `caption`.
    missing: clips whose sound is gone, which many are: `drop` leaves them out with a count.
    """

    requires: ClassVar[dict[str, str]] = {"soundfile": "audio", "soxr": "audio"}

    def __init__(
        self,
        root: str,
        *,
        tables: dict[str, str] | None = None,
        rows: Each = "audio",
        missing: Missing = "drop",
        channels: Channels = "mono",
        silence: Silence = "keep",
        rate: Positive | None = None,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        tables = tables or _tables(base)
        if wrong := [split for split in tables if split not in ("train", "val", "test")]:
            raise DataError(f"data.source.tables: {wrong[0]!r}, expected train, val or test")
        sounds: dict[str, list[str]] = {}
        for path in find(base, SUFFIXES):
            sounds.setdefault(PurePosixPath(path).stem, []).append(path)
        found: dict[str, Captioned] = {}
        for split, file in tables.items():
            _add(found, base, file, split, sounds, limits)
        named = some(list(tables.values()))
        made = captioned_sounds.rows(found.values(), rows)
        media = [AudioColumns(["audio"], channels, silence, rate=rate)]
        super().__init__(
            base, named, made, [], images=[], texts=["caption"], media=media, id="id",
            missing=missing, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip


def _tables(root: Path) -> dict[str, str]:
    for folder in PLACES:
        names = {split: f"{folder}/{split}.csv".lstrip("/") for split in ("train", "val", "test")}
        if there := {split: name for split, name in names.items() if (root / name).is_file()}:
            return there
    raise DataError(
        f"{root}: none of train.csv, val.csv, test.csv, there or in dataset/ or dataset2.0/; name them: data.source.tables"
    )


def _add(
    found: dict[str, Captioned], root: Path, file: str, split: str, sounds: dict[str, list[str]], limits: Limits
) -> None:
    """The clips of one table, each once; a clip in two splits is refused."""
    rows, _ = read_table(given(root, file, f"data.source.tables.{split}"), "youtube_id", limits)
    for column in COLUMNS:
        require_column(rows, column, file)
    for number, (cap, clip, start, text) in enumerate(zip(*(rows[c] for c in COLUMNS), strict=True), 2):
        if not isinstance(clip, str) or start is None or start != start:
            raise DataError(f"{file}: line {number} has no youtube_id or start_time")
        begins = int(start)
        key = f"{clip}_{begins}"
        if key not in found:
            path = _path(clip, begins, str(cap), split, sounds, f"{file}: line {number}")
            found[key] = Captioned(key, path, split)
        if found[key].split != split:
            raise DataError(f"{file}: line {number}: clip {key} is in {found[key].split}, too")
        if isinstance(text, str) and text.strip():
            found[key].captions.append(text)


def _path(clip: str, start: int, cap: str, split: str, sounds: dict[str, list[str]], where: str) -> str:
    """Where a clip's sound lies; of several, that in a folder called as the split; else the name that it was expected by."""
    facts = {"id": clip, "start": start, "ms": start * 1000, "end": start + 10, "cap": cap}
    there = [path for name in NAMES for path in sounds.get(name.format(**facts), [])]
    own = [path for path in there if split in PurePosixPath(path).parts[:-1]] or there
    if len(own) > 1:
        raise DataError(f"{where}: several sounds of {clip}: {some(own)}; expected one")
    return own[0] if own else f"{clip}.wav"
