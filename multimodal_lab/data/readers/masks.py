"""Reader of images and their maps: another reader's images, and beside each a file of its pixels' classes or numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from multimodal_lab.data.readers.folder import existing, readable
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.pillow import opened
from multimodal_lab.data.readers.tiff_header import OWN_PAGES
from multimodal_lab.data.source import DataError, Raw, Source, need_number
from multimodal_lab.text import some
from multimodal_lab.types import Band, Stream

MAP = "map"  # the field of the maps
COLUMN = "map_path"
FORMATS = ("PNG", "BMP", "GIF", "TIFF", "WEBP")


class Masks:
    """The samples of `images`, each with a map, found by `masks`: a path below `root` in which {stem}, {name} and {folder} stand
    for those of the image's own path.

    A stream of kind map with `field: map` gets what the file stores, not its colours: PNG and other pictures of one channel or
    with a palette, whose places are the classes, TIFF of one band, .npy (H, W). An image without a map has an unknown one with
    `missing=keep`, and is refused otherwise. Other streams are those of `images`.
    """

    def __init__(
        self, root: str, *, images: Source, masks: str, missing: str = "refuse", limits: Limits | None = None
    ) -> None:
        self.root, self.images_of = existing(root), images
        self.limits = limits or Limits()
        if missing not in ("refuse", "keep"):
            raise DataError(f"data.source.missing: {missing!r}, expected refuse or keep")
        if "path" not in images.samples:
            raise DataError(
                f"data.source.images: {type(images).__name__} has no file a sample, by whose name a map could be found"
            )
        if not any(f"{{{word}}}" in masks for word in ("stem", "name", "folder")):
            raise DataError(
                f"data.source.masks: {masks!r} is one file for all; expected {{stem}}, as in masks/{{stem}}.png"
            )
        found = [self._place(masks, Path(str(path))) for path in images.samples["path"]]
        there = [(self.root / own).is_file() for own in found]
        lacking = [str(path) for path, known in zip(images.samples["path"], there) if not known]
        if lacking and (missing == "refuse" or len(lacking) == len(found)):
            raise DataError(
                f"data.source.masks: {len(lacking)} of {len(found)} images have no map, such as {lacking[0]} (looked for "
                f"{self._place(masks, Path(lacking[0]))}); data.source.missing=keep leaves theirs unknown"
            )
        self.samples = images.samples.copy()
        self.samples[COLUMN] = [own if known else None for own, known in zip(found, there)]
        self.bands, self.field_bands = images.bands, {**getattr(images, "field_bands", {}), MAP: (Band(MAP),)}
        self.images = (*getattr(images, "images", ()), COLUMN)
        self.identity = (repr(getattr(images, "identity", None)), masks)
        self.card = getattr(images, "card", None)
        self.notes = [*getattr(images, "notes", [])]
        if lacking:
            self.notes.append(f"maps: {len(lacking)} of {len(found)} images have none ({some(lacking)})")

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """What the images' reader gives, and (1, H, W) of a map as stored."""
        found = self.images_of.read(index, [s for s in streams if s.field != MAP])
        for stream in (s for s in streams if s.field == MAP):
            path = self.samples[COLUMN].iloc[index]
            found.inputs[stream.name] = self._values(path)[None] if isinstance(path, str) else None
        return found

    @staticmethod
    def _place(masks: str, image: Path) -> str:
        return masks.format(stem=image.stem, name=image.name, folder=image.parent.as_posix())

    def _values(self, path: str) -> np.ndarray:
        """(H, W) of one file."""
        file, suffix = self.root / path, Path(path).suffix.lower()
        with readable(path, "map"):
            values: Any
            stored: Any
            if suffix == ".npy":
                stored = np.load(file, mmap_mode="r", allow_pickle=False)
                self.limits.check(path, pixels=stored.size, itemsize=stored.dtype.itemsize)
                values = np.array(stored)
            elif suffix in (".tif", ".tiff"):
                # not by the reader of images, which has no use for a palette
                with tifffile.TiffFile(file, **OWN_PAGES) as tif:
                    stored = tif.series[0]
                    self.limits.check(path, pixels=math.prod(stored.shape), itemsize=stored.dtype.itemsize)
                    values = np.squeeze(stored.asarray())
            else:
                with opened(file, path, FORMATS, self.limits.pixels) as picture:
                    self.limits.check(path, pixels=picture.width * picture.height, bands=1, itemsize=4)
                    if picture.mode not in ("1", "L", "P", "I", "I;16", "I;16B", "F"):
                        raise DataError(
                            f"{path}: a picture of mode {picture.mode}, expected one channel or a palette: colours are no classes"
                        )
                    values = np.asarray(picture)
        if values.ndim != 2:
            raise DataError(f"{path}: an array of shape {values.shape}, expected (H, W)")
        values = values.astype(np.uint8) if values.dtype == bool else values
        need_number(values.dtype, path)
        return np.ascontiguousarray(values)
