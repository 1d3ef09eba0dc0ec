"""COCO's annotation files of captions, and the Karpathy split's: one caption list an image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multimodal_lab.data.readers.delimited import decode
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

# What other annotation files of COCO hold instead of `caption`.
OTHERS = {
    "keypoints": "keypoints of persons",
    "bbox": "boxes and masks of objects",
    "segments_info": "panoptic segments",
}
RESTVAL = "restval"  # of Karpathy's: what is left of COCO's val, which everyone trains on
SPLITS = {"train": "train", RESTVAL: "train", "val": "val", "test": "test"}


@dataclass(slots=True)
class Captioned:
    """One image. folder: the one that the file names, or "". captions: (id, caption) each. split: "" where none is told."""

    id: str
    name: str
    folder: str = ""
    split: str = ""
    captions: list[tuple[str, str]] = field(default_factory=list)


def read_json(path: Path, name: str, limits: Limits) -> Any:
    """The content of a large JSON file, as it is; `DataError` names it."""
    limits.file(name, path)
    with readable(name, "JSON file"):
        return json.loads(decode(path.read_bytes())[0])


def official(found: Any, name: str) -> list[Captioned]:
    """The images of `captions_*.json` with their captions, in the order of its `images`, those without any too.

    `DataError` of a file of something else, of an image or a caption that stands twice, and of captions of images that the file
    does not list, with their share.
    """
    if not isinstance(found, Mapping) or not all(isinstance(found.get(k), list) for k in ("images", "annotations")):
        hint = ", as image_info_test*.json has none" if isinstance(found, Mapping) and "images" in found else ""
        raise DataError(f"{name}: expected `images` and `annotations`, as captions_train2017.json has them{hint}")
    with readable(name, "file of COCO captions"):
        _require_captions(found["annotations"], name)
        images: dict[Any, Captioned] = {}
        for image in found["images"]:
            if image["id"] in images:
                raise DataError(
                    f"{name}: image id {image['id']} stands twice: {images[image['id']].name}, {image['file_name']}"
                )
            images[image["id"]] = Captioned(str(image["id"]), str(image["file_name"]))
        seen: set[Any] = set()
        strange: list[Any] = []
        for number, one in enumerate(found["annotations"]):
            own = one.get("id", f"{one['image_id']}_{number}")
            if own in seen:
                raise DataError(f"{name}: annotation id {own} stands twice")
            seen.add(own)
            if (home := images.get(one["image_id"])) is None:
                strange.append(one["image_id"])
            else:
                home.captions.append((str(own), _text(one["caption"], f"{name}: annotation {own}")))
    if strange:
        share = (
            f"{len(strange)} of {len(found['annotations'])} captions ({len(strange) / len(found['annotations']):.2%})"
        )
        raise DataError(f"{name}: {share} are of images that its `images` does not list: image_id {some(strange)}")
    return list(images.values())


def karpathy(found: Any, name: str) -> list[Captioned]:
    """The images of `dataset_coco.json` or `dataset_flickr30k.json` (Karpathy & Fei-Fei 2015) with captions and split.

    An id is COCO's `cocoid`, else the file's name; `restval` is kept as it is written.
    """
    listed = found.get("images") if isinstance(found, Mapping) else None
    if not isinstance(listed, list) or "annotations" in found:
        what = "captions of COCO itself" if isinstance(found, Mapping) and "annotations" in found else "something else"
        raise DataError(
            f"{name}: {what}, expected the Karpathy split: `images` with `filename`, `split` and `sentences`"
        )
    made: dict[str, Captioned] = {}
    with readable(name, "file of the Karpathy split"):
        for one in listed:
            where = f"{name}: {one['filename']}"
            if one["split"] not in SPLITS:
                raise DataError(f"{where} is in split {one['split']!r}, expected one of {', '.join(SPLITS)}")
            own = str(one.get("cocoid", one["filename"]))
            if own in made:
                raise DataError(f"{name}: image {own} stands twice")
            texts = [
                (str(said.get("sentid", f"{own}_{k}")), _text(said["raw"], where))
                for k, said in enumerate(one["sentences"])
            ]
            made[own] = Captioned(own, str(one["filename"]), str(one.get("filepath", "")), one["split"], texts)
    return list(made.values())


def rows(found: list[Captioned], paths: list[str], each: str) -> list[dict[str, Any]]:
    """A row an image with its captions in a list (`image`), or a row a caption (`caption`), an image without any having one row.

    paths: of each image. A column `split` is there where the images have one.
    """
    made: list[dict[str, Any]] = []
    for one, path in zip(found, paths, strict=True):
        more = {"split": SPLITS[one.split]} if one.split else {}
        if each == "caption" and one.captions:
            made += [{"id": own, "image": path, "caption": text, **more} for own, text in one.captions]
        else:
            made.append({"id": one.id, "image": path, "caption": [text for _, text in one.captions], **more})
    return made


def told(found: list[Captioned], name: str, each: str) -> str:
    """How many images and captions there are."""
    counts = [len(one.captions) for one in found]
    how = "a row an image, of whose captions training draws one an epoch" if each == "image" else "a row a caption"
    return f"{name}: {len(found)} images with {min(counts)} to {max(counts)} captions, {sum(counts)} in all: {how}"


def _require_captions(found: list[Any], name: str) -> None:
    first = found[0] if found else {}
    if not isinstance(first, Mapping) or "caption" in first:
        return
    what = next((said for key, said in OTHERS.items() if key in first), "no captions")
    keys = some(list(first)) if first else "none"
    folder, slash, last = name.rpartition("/")
    nearest = f"{folder}{slash}captions_{last.rpartition('_')[2] if '_' in last else 'train2017.json'}"
    raise DataError(f"{name}: its annotations are {what} (keys {keys}), expected `caption`; nearest: {nearest}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: its caption is {value!r}, expected a text")
    return value
