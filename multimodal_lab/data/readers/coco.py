"""Reader of COCO captions as published: its annotation files and image folders, by the official or the Karpathy split."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from multimodal_lab.data.readers import coco_captions
from multimodal_lab.data.readers.coco_captions import RESTVAL, Captioned
from multimodal_lab.data.readers.folder import existing, given
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.images import Colour
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.media_table import MediaTable
from multimodal_lab.data.readers.places import Places
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some


class Coco(MediaTable):
    """The captions of COCO (Lin 2014, Chen 2015) below `root`: columns `image`, `caption` and `split`, see `MediaTable`.

    year: of the official split, 2017 or 2014. captions: {split: annotation file}, folders: {split: folder of images}; None:
    annotations/captions_trainYEAR.json and trainYEAR for train, and those of val for **test**: COCO's own test captions are
    not published, its val is what papers report, and our val is carved out of train. karpathy: `dataset_coco.json` instead
    (Karpathy & Fei-Fei 2015: 113,287 for training, restval among them, 5,000 and 5,000); images are found in the folders of
    2014 that it names, else by number in `folders`. rows: `image`, a row an image with a list of captions, or `caption`.
    """

    def __init__(
        self,
        root: str,
        *,
        year: Literal[2017, 2014] = 2017,
        captions: dict[str, str] | None = None,
        folders: dict[str, str] | None = None,
        karpathy: str | None = None,
        rows: Literal["image", "caption"] = "image",
        missing: Missing = "refuse",
        colour: Colour = "to_rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        captions = captions or {
            "train": f"annotations/captions_train{year}.json",
            "test": f"annotations/captions_val{year}.json",
        }
        folders = folders or {"train": f"train{year}", "test": f"val{year}"}
        if karpathy is not None:
            found, notes = _karpathy(base, karpathy, limits)
            paths = _by_number(base, found, list(folders.values()))
            file = karpathy
        else:
            found, paths = _official(base, captions, folders, limits)
            notes = []
            file = some(list(captions.values()))
        made = coco_captions.rows(found, paths, rows)
        notes.append(coco_captions.told(found, file, rows))
        super().__init__(
            base, file, made, notes, images=["image"], texts=["caption"], id="id", missing=missing, colour=colour,
            alpha=alpha, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip


def _official(
    root: Path, captions: dict[str, str], folders: dict[str, str], limits: Limits
) -> tuple[list[Captioned], list[str]]:
    """The images of every annotation file with their captions, and their paths; no image may be in two."""
    if wrong := [split for split in captions if split not in ("train", "val", "test")]:
        raise DataError(f"data.source.captions: {wrong[0]!r}, expected train, val or test")
    if lacking := [split for split in captions if split not in folders]:
        raise DataError(f"data.source.folders: none for {lacking[0]}, which data.source.captions has")
    all_of: list[Captioned] = []
    paths: list[str] = []
    home: dict[str, str] = {}
    for split, file in captions.items():
        path = given(root, file, f"data.source.captions.{split}")
        found = coco_captions.official(coco_captions.read_json(path, file, limits), file)
        folder = folders[split].strip("/")
        for one in found:
            one.split = split
            if home.setdefault(one.id, file) != file:
                raise DataError(f"{file}: image {one.id} stands in {home[one.id]} too")
        all_of += found
        paths += [f"{folder}/{one.name}" for one in found]
    return all_of, paths


def _karpathy(root: Path, file: str, limits: Limits) -> tuple[list[Captioned], list[str]]:
    path = given(root, file, "data.source.karpathy")
    found = coco_captions.karpathy(coco_captions.read_json(path, file, limits), file)
    rest = sum(one.split == RESTVAL for one in found)
    return found, [f"{file}: {rest} images of restval are trained on, as is usual"] if rest else []


def _by_number(root: Path, found: list[Captioned], folders: list[str]) -> list[str]:
    """The path of each image: in the folder that the file names (2014), else by its name or number in `folders` (2017)."""
    places = Places(root)
    paths = []
    for one in found:
        named = f"{one.folder}/{one.name}" if one.folder else one.name
        number = [f"{int(one.id):012d}.jpg"] if one.id.isdecimal() and len(one.id) <= 12 else []
        others = [f"{folder.strip('/')}/{name}" for folder in folders for name in (one.name, *number)]
        paths.append(next((path for path in (named, *others) if places.has(path)), named))
    return paths
