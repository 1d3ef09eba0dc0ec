"""Open a picture with Pillow by its header alone, bounded by the reader's own limit in place of Pillow's."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import IO

from PIL import Image

from multimodal_lab.data.source import DataError

_OWN = Image.MAX_IMAGE_PIXELS
_LIMIT = threading.Lock()  # it is one of the process, and pictures are opened by several threads


def opened(file: Path | IO[bytes], name: str, formats: tuple[str, ...], pixels: int) -> Image.Image:
    """The picture in `file`, of one of `formats`; nothing is decoded. name: of the file, for messages.

    pixels: the most that the caller takes (`Limits.pixels`), and holds the size against. Pillow refuses more than twice its own
    limit, which is raised to that for as long as the header is read; what it refuses then is a `DataError`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            if _OWN is None or pixels <= 2 * _OWN:
                return Image.open(file, formats=formats)
            with _LIMIT:
                Image.MAX_IMAGE_PIXELS = pixels
                try:
                    return Image.open(file, formats=formats)
                finally:
                    Image.MAX_IMAGE_PIXELS = _OWN
        except Image.DecompressionBombError as error:
            raise DataError(
                f"{name}: its header claims more pixels than the limit, {pixels:,} (data.source.limits.pixels raises it)"
            ) from error
