"""Reader of Clotho (Drossos 2020): sounds of 15 to 30 seconds, five captions each, in the published folders."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers import captioned_sounds
from multimodal_lab.data.readers.audio_file import Channels, Silence
from multimodal_lab.data.readers.captioned_sounds import Captioned, Each
from multimodal_lab.data.readers.columns.audio import AudioColumns
from multimodal_lab.data.readers.folder import existing
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.places import Places
from multimodal_lab.data.readers.tables import read_table, require_column
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

PARTS = {"development": "train", "validation": "val", "evaluation": "test"}  # {folder: split}
TABLE = "clotho_captions_{}.csv"
NAME, CAPTIONS = "file_name", tuple(f"caption_{k}" for k in range(1, 6))
FOLDERS = ("{}", "audio/{}", "clotho_audio_{}", "clotho_audio_{0}/{0}", "clotho_audio_files/{}")


class Clotho(MediaTable):
    """The sounds of Clotho below `root`: columns `audio`, `caption` and `split`.

    The tables are `clotho_captions_development.csv` (train), `…_validation.csv` and `…_evaluation.csv` (test), in the root or one
    folder below; at least that of development must be there. Their `file_name` lies in a folder called as the part, or
    `clotho_audio_PART`. rows: `audio`, a row a sound, or `caption`. channels, silence, rate: see `AudioColumns`.
    """

    requires: ClassVar[dict[str, str]] = {"soundfile": "audio", "soxr": "audio"}

    def __init__(
        self,
        root: str,
        *,
        rows: Each = "audio",
        missing: Missing = "refuse",
        channels: Channels = "mono",
        silence: Silence = "keep",
        rate: Positive | None = None,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        found: list[Captioned] = []
        tables = _tables(base)
        for part, file in tables.items():
            found += _of_part(base, part, file, limits)
        made = captioned_sounds.rows(found, rows)
        sounds = [AudioColumns(["audio"], channels, silence, rate=rate)]
        super().__init__(
            base, some(list(tables.values())), made, [], images=[], texts=["caption"],
            media=sounds, id="id", missing=missing, limits=limits, on_error=on_error,
            verify=verify,
        )  # fmt: skip


def _tables(root: Path) -> dict[str, str]:
    names = {part: TABLE.format(part) for part in PARTS}
    found = {part: p for part, name in names.items() for p in [*root.glob(name), *sorted(root.glob(f"*/{name}"))][:1]}
    if "development" not in found:
        raise DataError(f"{root}: no {names['development']}, there or in a folder below, expected the published tables")
    return {part: path.relative_to(root).as_posix() for part, path in found.items()}


def _of_part(root: Path, part: str, file: str, limits: Limits) -> list[Captioned]:
    rows, _ = read_table(root / file, NAME, limits)
    for column in (NAME, *CAPTIONS):
        require_column(rows, column, file)
    places, made = Places(root), list[Captioned]()
    folders = [folder.format(part) for folder in FOLDERS]
    for row in rows.to_dict("records"):
        name = str(row[NAME])
        path = next((p for folder in folders if places.has(p := f"{folder}/{name}")), f"{part}/{name}")
        texts = [text for column in CAPTIONS if isinstance(text := row[column], str) and text.strip()]
        made.append(Captioned(f"{part}/{name.rpartition('.')[0]}", path, PARTS[part], texts))
    return made
