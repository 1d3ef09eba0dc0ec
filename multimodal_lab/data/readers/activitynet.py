"""Reader of ActivityNet Captions (Krishna 2017): long videos of YouTube, whose parts have a sentence each."""

from __future__ import annotations

import math
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
from multimodal_lab.data.readers.video_file import SUFFIXES, Colour
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

# The sentences of its test set are not published: its validation videos are what is tested on.
FILES = {"train": "train.json", "test": "val_1.json"}
AGAIN = "val_2.json"  # other sentences, of another person, of the videos of val_1.json
PLACES = ("annotations", "captions", "")


class ActivityNet(MediaTable):
    """The captioned parts of the videos below `root`: columns `video`, `start`, `end`, `caption` and `split`.

    captions: {split: file} of {video: {duration, timestamps, sentences}}; None: those of `FILES` that are there, also in
    `captions/`: train.json, and val_1.json as the test; val_2.json describes the same videos again, and is left out. Videos are
    found anywhere below the root by their names (`v_QOlSCBRmfWY.mp4`), with or without `v_`. rows: `segment`, a row a sentence
    with its part of the video, or `paragraph`, a row a video with all its sentences as one text (Zhang 2018). Times that are
    turned round, of which the published files have a few, are put in order, and parts without length left out, both with a
    count. A video is in one split. missing: videos that are gone: `drop` leaves them out, with a count.
    """

    requires: ClassVar[dict[str, str]] = {"av": "video"}

    def __init__(
        self,
        root: str,
        *,
        captions: dict[str, str] | None = None,
        rows: Literal["segment", "paragraph"] = "segment",
        missing: Missing = "drop",
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
        places = {PurePosixPath(path).stem.removeprefix("v_"): path for path in find(base, SUFFIXES)}
        made: list[dict[str, Any]] = []
        home: dict[str, str] = {}
        turned, empty = list[str](), list[str]()
        for split, file in files.items():
            found = read_json(given(base, file, f"data.source.captions.{split}"), file, limits)
            for video, (length, parts, texts) in _checked(found, file).items():
                if home.setdefault(video, split) != split:
                    raise DataError(f"{file}: video {video} is in {home[video]}, too; expected each in one split")
                facts = {"video": places.get(video.removeprefix("v_"), f"{video}.mp4"), "split": split}
                if rows == "paragraph":
                    made.append({"id": video, **facts, "seconds": length, "caption": " ".join(texts)})
                    continue
                for k, ((start, end), text) in enumerate(zip(parts, texts)):
                    turned += [f"{video}#{k}"] * (start > end)
                    empty += [f"{video}#{k}"] * (start == end)
                    row = {
                        "id": f"{video}#{k}",
                        **facts,
                        "start": min(start, end),
                        "end": max(start, end),
                        "caption": text,
                    }
                    made += [row] * (start != end)
        again = None if captions else placed(base, PLACES, AGAIN)
        notes = (
            [f"{again}: left out, as it describes the videos of {files['test']} again"]
            if again and "test" in files
            else []
        )
        notes += [f"{len(turned)} parts end before they begin, and are turned round: {some(turned)}"] if turned else []
        notes += [f"{len(empty)} parts have no length, and are left out: {some(empty)}"] if empty else []
        super().__init__(
            base, some(list(files.values())), made, notes, images=[], texts=["caption"],
            media=[VideoColumns(["video"], frames, video_colour, channels, no_sound, shrink, rate)], id="id",
            pieces=None if rows == "paragraph" else {"video": ["start", "end"]},
            missing=missing, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip


def _there(root: Path) -> dict[str, str]:
    found = {split: file for split, name in FILES.items() if (file := placed(root, PLACES, name)) is not None}
    if not found:
        raise DataError(f"{root}: none of {', '.join(FILES.values())} (data.source.captions), there or in captions/")
    return found


def _checked(found: Any, file: str) -> dict[str, tuple[float, list[tuple[float, float]], list[str]]]:
    """{video: (seconds, its parts in seconds, their sentences)}; `DataError` names what is not so."""
    if not isinstance(found, dict):
        raise DataError(f"{file}: expected an object of videos")
    made = {}
    for video, facts in found.items():
        facts = facts if isinstance(facts, dict) else {}
        length, parts, texts = (facts.get(key) for key in ("duration", "timestamps", "sentences"))
        whole = isinstance(parts, list) and isinstance(texts, list) and len(parts) == len(texts) > 0
        if not whole or not isinstance(length, int | float) or not all(isinstance(t, str) for t in texts or ()):
            raise DataError(f"{file}: {video}: expected duration, and as many timestamps as sentences")
        for part in parts or ():
            numbers = isinstance(part, list) and len(part) == 2 and all(isinstance(t, int | float) for t in part)
            if not numbers or not all(math.isfinite(t) for t in part):
                raise DataError(f"{file}: {video}: timestamps {part!r}, expected [start, end] in seconds")
        made[video] = (
            float(length),
            [(float(a), float(b)) for a, b in parts or ()],
            [str(t).strip() for t in texts or ()],
        )
    return made
