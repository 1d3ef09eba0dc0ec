"""Reader of Flickr30k (Young 2014) as people have it: its token file, Kaggle's CSV, Karpathy's JSON or the hub's table."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from multimodal_lab.data.readers import coco_captions
from multimodal_lab.data.readers.coco_captions import Captioned
from multimodal_lab.data.readers.delimited import decode
from multimodal_lab.data.readers.folder import existing, given, readable
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.images import Colour
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

# Files of captions, those that tell the split first, and folders of the images.
FILES = ("dataset_flickr30k.json", "flickr_annotations_30k.csv", "results_20130124.token", "results.csv")
FOLDERS = ("flickr30k_images", "flickr30k-images")
TOKEN = re.compile(r"(?P<name>.+)#(?P<number>\d+)\t(?P<text>.*)")
BAR = re.compile(r"(?P<name>[^|]+)\|\s*(?P<number>\d+)\s*\|(?P<text>.*)")
# Line 19,999 of results.csv lacks its second bar: `2199200615.jpg| 4   A dog runs across the grass .`
NO_BAR = re.compile(r"(?P<name>[^|]+)\|\s*+(?P<number>\d++)\s++(?P<text>[^|]*)")


class Flickr30k(MediaTable):
    """The 31,783 images of Flickr30k below `root`, five captions each: columns `image`, `caption`, see `MediaTable`.

    captions: the file, None for the first of `FILES` that is there. `dataset_flickr30k.json` and the hub's
    `flickr_annotations_30k.csv` tell the Karpathy split (29,000, 1,014 and 1,000 of 31,014 images): column `split`. The token
    file and Kaggle's CSV have none. folder: of the images, None for the one of `FOLDERS` that is there. rows: `image`, a row an
    image with a list of captions, or `caption`.
    """

    def __init__(
        self,
        root: str,
        *,
        captions: str | None = None,
        folder: str | None = None,
        rows: Literal["image", "caption"] = "image",
        missing: Missing = "refuse",
        colour: Colour = "to_rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        file = captions or _there(base, FILES, "captions", "is_file")
        place = folder or _there(base, FOLDERS, "folder", "is_dir")
        path = given(base, file, "data.source.captions")
        found, notes = read(path, file, limits)
        paths = ["/".join([*([] if place == "." else [place.strip("/")]), one.name]) for one in found]
        made = coco_captions.rows(found, paths, rows)
        notes.append(coco_captions.told(found, file, rows))
        super().__init__(
            base, file, made, notes, images=["image"], texts=["caption"], id="id", missing=missing, colour=colour,
            alpha=alpha, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip


def read(path: Path, file: str, limits: Limits) -> tuple[list[Captioned], list[str]]:
    """The images of a file of captions, and what to tell of it."""
    if path.suffix.lower() == ".json":
        return coco_captions.karpathy(coco_captions.read_json(path, file, limits), file), []
    limits.file(file, path)
    with readable(file, "file of captions"):
        text = decode(path.read_bytes())[0]
    if path.suffix.lower() == ".csv" and "sentids" in text.partition("\n")[0]:
        return _of_the_hub(text, file), []
    return _lines(text, file, path.suffix.lower() == ".token")


def _lines(text: str, file: str, token: bool) -> tuple[list[Captioned], list[str]]:
    """A line a caption: NAME#NUMBER, a tab and the caption, or NAME| NUMBER| CAPTION below a header."""
    form, says = (TOKEN, "NAME#NUMBER, a tab and a caption") if token else (BAR, "NAME| NUMBER| CAPTION")
    images: dict[str, Captioned] = {}
    mended, seen = list[str](), set[tuple[str, str]]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or (number == 1 and not token and line.lower().startswith("image_name")):
            continue
        found = form.fullmatch(line)
        if found is None and not token and (found := NO_BAR.fullmatch(line)):
            mended.append(f"line {number}: {line.strip()!r}")
        if found is None:
            raise DataError(f"{file}: line {number} is {line[:80]!r}, expected {says}")
        name = found["name"].strip()
        if (name, found["number"]) in seen:
            raise DataError(f"{file}: line {number}: caption {found['number']} of {name} stands twice")
        seen.add((name, found["number"]))
        images.setdefault(name, Captioned(name, name)).captions.append(
            (f"{name}#{found['number']}", found["text"].strip())
        )
    if not images:
        raise DataError(f"{file}: no caption; expected lines {says}")
    broken = f"{file}: {len(mended)} lines lack the bar before the caption, which is taken as meant: {some(mended)}"
    return list(images.values()), [broken] if mended else []


def _of_the_hub(text: str, file: str) -> list[Captioned]:
    """The table of nlphuji/flickr30k: a row an image, whose column `raw` is a JSON list of captions."""
    made: dict[str, Captioned] = {}
    with readable(file, "table of captions"):
        for row in csv.DictReader(io.StringIO(text)):
            name, said = str(row["filename"]), json.loads(row["raw"])
            if name in made:
                raise DataError(f"{file}: image {name} stands twice")
            if row["split"] not in coco_captions.SPLITS or not isinstance(said, list):
                raise DataError(
                    f"{file}: {name}: expected a split and a JSON list of captions, found {row['split']!r}, {said!r}"
                )
            texts = [(f"{name}#{k}", str(one)) for k, one in enumerate(said)]
            made[name] = Captioned(name, name, "", row["split"], texts)
    return list(made.values())


def _there(root: Path, names: tuple[str, ...], key: str, kind: str) -> str:
    """The first of some names that is there, in `root` or in a folder of the images."""
    found: Iterator[str] = (
        place for folder in ("", *FOLDERS) for name in names
        if getattr(root / (place := f"{folder}/{name}".lstrip("/")), kind)() and (kind == "is_file" or not _holds(root / place))
    )  # fmt: skip
    if first := next(found, None):
        return first
    raise DataError(f"{root}: none of {', '.join(names)} is there; say which it is: data.source.{key}")


def _holds(folder: Path) -> bool:
    """Whether a folder holds another of the images, as Kaggle's archive does."""
    return any((folder / name).is_dir() for name in FOLDERS)
