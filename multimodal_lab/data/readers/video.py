"""Reader of folders of videos, flat or one folder a class, with the official lists of UCF-101 where they are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from multimodal_lab.bounds import Count, Positive
from multimodal_lab.data.readers.audio_file import Channels
from multimodal_lab.data.readers.columns.video import VideoColumns
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.delimited import decode
from multimodal_lab.data.readers.folder import existing, find, given, placed, table
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.labels import Labels, labelled
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.pair_rows import records
from multimodal_lab.data.readers.video_file import SUFFIXES, Colour
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.labels import COMPLETE
from multimodal_lab.text import some

COLUMN = "video"
LISTS = {"train": "trainlist{:02d}.txt", "test": "testlist{:02d}.txt"}
PLACES = (".", "ucfTrainTestlist", "annotations", "..", "../ucfTrainTestlist", "../annotations")


class Video(MediaTable):
    """Every video below `root`, in the column `video`, its sound in the field `video.audio`; see `VideoColumns`.

    labels: in folders, file names or a table, as for images. fold: the number of the official lists (`trainlist01.txt`,
    `testlist01.txt`, in the root, beside it, or in `ucfTrainTestlist/`) that give the column `split`; lists: {split: file},
    others of that form: a line a video, `Class/name.avi`, and behind a space the number of its class or nothing. Videos in no
    list are left out with a count. windows: a sample is a window of a video, of which `frames` are taken, and the windows of
    one, its `recording`, stay in one split. on_error, verify: as in `Data`.
    """

    beside: ClassVar[tuple[str, ...]] = ()
    requires: ClassVar[dict[str, str]] = {"av": "video"}

    def __init__(
        self,
        root: str,
        *,
        labels: Labels | None = None,
        fold: Count | None = None,
        lists: dict[str, str] | None = None,
        windows: Windows | None = None,
        frames: Frames | None = None,
        video_colour: Colour = "rgb",
        channels: Channels = "mono",
        rate: Positive | None = None,
        no_sound: Literal["refuse", "missing"] = "refuse",
        shrink: bool = True,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base = existing(root)
        samples, notes = labelled(base, table(find(base, SUFFIXES), SUFFIXES), labels)
        if fold is not None and lists:
            raise DataError(f"data.source.fold={fold} and data.source.lists both say the split; expected one of them")
        if lists := _lists(base, fold) if fold is not None else lists:
            split, told = _split(base, list(samples["path"]), lists)
            samples["split"] = split
            samples = samples[samples["split"].notna()].reset_index(drop=True)
            notes = [*notes, *told]
        rows = records(samples.rename(columns={"path": COLUMN}))
        super().__init__(
            base, str(root), rows, notes, images=[], texts=[], missing="keep",
            media=[VideoColumns([COLUMN], frames, video_colour, channels, no_sound, shrink, rate)],
            windows=windows, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip
        self.samples.attrs[COMPLETE] = samples.attrs.get(COMPLETE, {})


def _lists(root: Path, fold: int) -> dict[str, str]:
    """The official lists of a fold."""
    found = {split: placed(root, PLACES, name.format(fold)) for split, name in LISTS.items()}
    if lacking := [LISTS[split].format(fold) for split, path in found.items() if path is None]:
        raise DataError(
            f"data.source.fold: {fold}, and there is no {lacking[0]} in {root}, in ucfTrainTestlist/ or annotations/ of it, or "
            "beside it; data.source.lists={train: …, test: …} names others"
        )
    return {split: path for split, path in found.items() if path is not None}


def _split(root: Path, paths: list[str], lists: Mapping[str, str]) -> tuple[list[str | None], list[str]]:
    """The split of each video, None of those in no list, and what there is to tell.

    Names are compared without regard to case: the lists of UCF-101 and its archive spell one class differently.
    """
    at: dict[str, str] = {}
    for split, file in lists.items():
        for line in decode(given(root, file, f"data.source.lists.{split}").read_bytes())[0].splitlines():
            if not (name := line.strip().rsplit(" ", 1)[0] if line.strip()[-1:].isdigit() else line.strip()):
                continue
            if at.setdefault(_key(name), split) != split:
                raise DataError(f"{file}: {name} is in the list of {at[_key(name)]}, too; expected each video in one")
    found = [at.get(_key(path)) for path in paths]
    known = {_key(path) for path in paths}
    lacking = [name for name in at if name not in known]
    left = [path for path, split in zip(paths, found, strict=True) if split is None]
    if len(left) == len(paths):
        raise DataError(
            f"{some(list(lists.values()))}: no video of {root} is in these lists, such as {some(lacking[:1])}"
        )
    notes = [f"split: by {some(list(lists.values()))}"]
    notes += [f"warning: left out: {len(left)} of {len(paths)} videos that no list names: {some(left)}"] if left else []
    notes += [f"warning: {len(lacking)} videos of the lists are not there: {some(lacking)}"] if lacking else []
    return found, notes


def _key(name: str) -> str:
    return "/".join(PurePosixPath(name.replace("\\", "/")).parts[-2:]).lower()
