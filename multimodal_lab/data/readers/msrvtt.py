"""Reader of MSR-VTT (Xu 2016): 10,000 clips of YouTube with twenty sentences each, in one JSON file or two."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal

from multimodal_lab.bounds import Positive
from multimodal_lab.data.readers.audio_file import Channels
from multimodal_lab.data.readers.coco_captions import read_json
from multimodal_lab.data.readers.columns.video import VideoColumns
from multimodal_lab.data.readers.decode.video_sampling import Frames
from multimodal_lab.data.readers.folder import existing, find, given, placed
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.tables import read_table, require_column
from multimodal_lab.data.readers.video_file import SUFFIXES, Colour
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

FILES = (("MSRVTT_data.json",), ("train_val_videodatainfo.json", "test_videodatainfo.json"), ("videodatainfo.json",))
PLACES = ("", "annotation", "annotations", "msrvtt_data")
SPLITS = {"train": "train", "validate": "val", "val": "val", "test": "test"}
# of the 1k-A split (Yu 2018, Gabeur 2020): 9,000 videos to train, 1,000 to test, one sentence each
ONE_K = {"train": "MSRVTT_train.9k.csv", "test": "MSRVTT_JSFUSION_test.csv"}


class MsrVtt(MediaTable):
    """The videos of MSR-VTT below `root`: columns `video`, `caption`, `category` and `split`; see `VideoColumns`.

    captions: files with `videos` and `sentences`; None: those of `FILES` that are there, also in `annotation/` or
    `msrvtt_data/`. Videos are found anywhere below the root by their names (`video7.mp4`). protocol: `official`, 6,513, 497 and
    2,990 videos; or `1k-a`, by the tables of `ONE_K`: videos in neither are left out, and a test video has the one sentence
    that its table says. rows: `video`, a row a video with a list of sentences, or `caption`. missing: videos that are not
    there: `drop` leaves them out with a count.
    """

    requires: ClassVar[dict[str, str]] = {"av": "video"}

    def __init__(
        self,
        root: str,
        *,
        captions: list[str] | None = None,
        protocol: Literal["official", "1k-a"] = "official",
        rows: Literal["video", "caption"] = "video",
        missing: Missing = "refuse",
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
        base, limits = existing(root), limits or Limits()
        files = captions or _there(base)
        videos: dict[str, dict[str, Any]] = {}
        for file in files:
            _add(videos, read_json(given(base, file, "data.source.captions"), file, limits), file)
        if protocol == "1k-a":
            videos = _one_k(base, videos, limits)
        places = {PurePosixPath(path).stem: path for path in find(base, SUFFIXES)}
        for name, row in videos.items():
            row["video"] = places.get(name, f"{name}.mp4")
        made = list(videos.values())
        if rows == "caption":
            made = [
                {**row, "id": f"{row['id']}#{k}", "caption": text}
                for row in made
                for k, text in enumerate(row["caption"])
            ]
        super().__init__(
            base, some(files), made, [], images=[], texts=["caption"],
            media=[VideoColumns(["video"], frames, video_colour, channels, no_sound, shrink, rate)],
            id="id", missing=missing, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip


def _there(root: Path) -> list[str]:
    for names in FILES:
        if found := [file for name in names if (file := placed(root, PLACES, name)) is not None]:
            return found
    expected = ", or ".join(" and ".join(names) for names in FILES)
    raise DataError(
        f"{root}: no captions of MSR-VTT (data.source.captions), there or in annotation/; expected {expected}"
    )


def _add(videos: dict[str, dict[str, Any]], found: Any, file: str) -> None:
    """The videos of one file, and their sentences."""
    if not isinstance(found, dict) or not all(isinstance(found.get(key), list) for key in ("videos", "sentences")):
        raise DataError(f"{file}: expected an object with the lists `videos` and `sentences`")
    for key in ("videos", "sentences"):
        if other := [i for i, one in enumerate(found[key]) if not isinstance(one, dict)]:
            raise DataError(f"{file}: {key}[{other[0]}] is {str(found[key][other[0]])[:40]!r}, expected an object")
    for number, video in enumerate(found["videos"]):
        name, split = video.get("video_id"), SPLITS.get(str(video.get("split")))
        if not isinstance(name, str) or split is None:
            raise DataError(
                f"{file}: videos[{number}] has video_id {name!r} and split {video.get('split')!r}; expected a name, and one of "
                f"{', '.join(SPLITS)}"
            )
        if name in videos:
            raise DataError(f"{file}: video {name} is there twice")
        videos[name] = {"id": name, "caption": [], "category": video.get("category"), "split": split}
    for number, sentence in enumerate(found["sentences"]):
        name, text = sentence.get("video_id"), sentence.get("caption")
        if not isinstance(name, str) or name not in videos or not isinstance(text, str):
            raise DataError(
                f"{file}: sentences[{number}] is of video {name!r}, which `videos` does not have, or has no caption"
            )
        videos[name]["caption"].append(text)


def _one_k(root: Path, videos: dict[str, dict[str, Any]], limits: Limits) -> dict[str, dict[str, Any]]:
    """The videos of the 1k-A split."""
    made: dict[str, dict[str, Any]] = {}
    for split, name in ONE_K.items():
        file = placed(root, PLACES, name) or name
        table, _ = read_table(given(root, file, "data.source.protocol=1k-a"), "video_id", limits)
        require_column(table, "video_id", file)
        for row in table.to_dict("records"):
            known = videos.get(str(row["video_id"]))
            if known is None:
                raise DataError(f"{file}: video {row['video_id']}, which no file of captions has")
            if known["id"] in made:
                raise DataError(f"{file}: video {known['id']} is there twice")
            texts = [row["sentence"]] if split == "test" and isinstance(row.get("sentence"), str) else known["caption"]
            made[known["id"]] = {**known, "split": split, "caption": texts}
    return made
