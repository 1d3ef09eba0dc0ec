"""Reader of image–text pairs, and of images that belong together, from a table or from folders."""

from __future__ import annotations

from typing import Literal

from multimodal_lab.data.readers.folder import existing, some
from multimodal_lab.data.readers.gaps import Missing
from multimodal_lab.data.readers.headers import Verify
from multimodal_lab.data.readers.image_texts import ImageTexts
from multimodal_lab.data.readers.images import SUFFIXES, Colour
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.pair_rows import from_folders, from_table, the_table
from multimodal_lab.data.source import DataError


class Pairs(ImageTexts):
    """The rows of a table below `root`: columns of image paths, columns of text, and labels, see `ImageTexts`.

    file: JSONL, CSV, Parquet or COCO's JSON; None takes the only one, or that of a usual name. folders: {column: folder}
    instead of a file: their files are joined by name without suffix. images: columns of paths, relative to `root` and
    inside it (written as on another system where that is unique); None: those that name pictures. texts: columns of one
    text or a list of texts; None: those of a usual name. A stream names its column by `field`; without it takes the one
    of its own name, or the only one. id: the column of names; None: `id`, else the image; rows that are captions of one
    image may have the same. labels: columns that must be there. separator: of the values of a CSV, one character; None finds
    commas, semicolons, tabs and bars.
    """

    def __init__(
        self,
        root: str,
        *,
        file: str | None = None,
        folders: dict[str, str] | None = None,
        images: list[str] | None = None,
        texts: list[str] | None = None,
        id: str | None = None,
        labels: list[str] | None = None,
        missing: Missing = "refuse",
        na_values: list[str] | None = None,
        separator: str | None = None,
        colour: Colour | dict[str, Colour] = "rgb",
        alpha: Literal["refuse", "drop", "white", "black"] = "refuse",
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
    ) -> None:
        base, limits = existing(root), limits or Limits()
        if separator is not None and len(separator) != 1:
            raise DataError(f"data.source.separator: {separator!r}, expected one character such as ';' or '^'")
        if folders:
            named = f"{some(list(folders.values()))} of {root}"
            rows, *columns, notes = from_folders(base, folders, SUFFIXES)
            images, texts = images or columns[0], texts or columns[1]
        else:
            named = the_table(base, file)
            rows, notes = from_table(base, named, limits, na_values or (), separator)
        super().__init__(
            base, named, rows, notes, images=images, texts=texts, id=id, needed=labels or [], missing=missing,
            colour=colour, alpha=alpha, limits=limits, on_error=on_error, verify=verify,
        )  # fmt: skip
