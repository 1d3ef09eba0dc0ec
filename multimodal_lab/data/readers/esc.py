"""Reader of ESC-50 and ESC-10 (Piczak 2015): sounds of the environment in five published folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers.audio_file import Channels, Silence
from multimodal_lab.data.readers.columns.audio import AudioColumns
from multimodal_lab.data.readers.folder import existing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.pair_rows import Rows, from_table
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError

FOLDS = 5
META = "meta/esc50.csv"
FILES = (META, "esc50.csv", "index.jsonl")


class Esc(MediaTable):
    """Clips of five seconds in the column `audio`, with their `category`, `fold`, `clip` and `split`.

    file: the table, None for the first of `FILES` that is there: `esc50.csv` of the published archive (clips in `audio/`),
    or JSON lines with `file`, `name` and `fold`. esc10: of the archive, only the ten classes of ESC-10. fold: the test fold;
    val_fold: the validation fold, None for the next one, 0 for none; the others train. `clip` is the recording of Freesound that
    a clip was cut from (the middle of its name, FOLD-CLIP-TAKE): a `clip` in two folds is a `DataError`.
    """

    requires: ClassVar[dict[str, str]] = {"soundfile": "audio", "soxr": "audio"}

    def __init__(
        self,
        root: str,
        *,
        file: str | None = None,
        esc10: bool = False,
        fold: Literal[1, 2, 3, 4, 5] = 1,
        val_fold: Literal[0, 1, 2, 3, 4, 5] | None = None,
        windows: Windows | None = None,
        channels: Channels = "as_stored",
        silence: Silence = "keep",
        rate: Positive | None = None,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        held = fold % FOLDS + 1 if val_fold is None else val_fold
        if held == fold:
            raise DataError(f"data.source.val_fold: {held}, which is data.source.fold, too; expected another")
        named = file or _there(base)
        found, notes = from_table(base, named, limits, ())
        rows = [_row(row, named, fold, held) for row in found if not esc10 or _of_esc10(row, named)]
        _require_whole(rows, named)
        notes.append(f"{named}: test is fold {fold}, val {f'fold {held}' if held else 'none'}, train the others")
        windowed = windows is not None and windows.length is not None
        sounds = [AudioColumns(["audio"], channels, silence, windowed, rate)]
        super().__init__(
            base, named, rows, notes, images=[], texts=[], media=sounds,
            windows=windows, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip


def _there(root: Path) -> str:
    found = next((name for name in FILES if (root / name).is_file()), None)
    if found is None:
        raise DataError(f"{root}: none of {', '.join(FILES)} is there; say which table it is: data.source.file")
    return found


def _row(row: dict[str, Any], file: str, test: int, val: int) -> dict[str, Any]:
    """A clip's facts from either table."""
    published = "filename" in row
    name, category = (row.get("filename"), row.get("category")) if published else (row.get("file"), row.get("name"))
    fold = row.get("fold")
    if not isinstance(name, str) or not isinstance(category, str) or fold is None:
        raise DataError(
            f"{file}: a row with the columns {', '.join(row)}; expected filename, fold and category, or file, fold and name"
        )
    if fold not in range(1, FOLDS + 1):
        raise DataError(f"{file}: {name} is in fold {fold!r}, expected 1 to {FOLDS}")
    stem = Path(name).stem
    parts = stem.split("-")
    clip = row.get("src_file") or (parts[1] if len(parts) > 2 else stem)
    return {
        "id": stem,
        "audio": f"audio/{name}" if published else name,
        "category": category.replace("_", " "),
        "fold": int(fold),
        "clip": str(clip),
        "split": "test" if fold == test else "val" if fold == val else "train",
    }


def _of_esc10(row: dict[str, Any], file: str) -> bool:
    if "esc10" not in row:
        raise DataError(f"{file}: no column 'esc10', which says what is of ESC-10; data.source.esc10=false takes all")
    return str(row["esc10"]).lower() in ("true", "1")


def _require_whole(rows: Rows, file: str) -> None:
    """Refuse a recording whose clips are in two folds: what is tested would be trained on."""
    home: dict[str, dict[str, Any]] = {}
    for row in rows:
        first = home.setdefault(row["clip"], row)
        if first["fold"] != row["fold"]:
            raise DataError(
                f"{file}: {first['audio']} and {row['audio']} are cut from one recording, and are in the folds {first['fold']} "
                f"and {row['fold']}; expected one fold"
            )
