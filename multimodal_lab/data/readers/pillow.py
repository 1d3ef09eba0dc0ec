"""Open a picture with Pillow by its header alone, bounded by the reader's own limit in place of Pillow's."""

from __future__ import annotations

import re
import threading
import warnings
from pathlib import Path
from typing import IO

from PIL import Image

from multimodal_lab.data.source import DataError

_OWN = Image.MAX_IMAGE_PIXELS
RAISED = " (data.source.limits.pixels raises it)"
_LIMIT = threading.Lock()  # it is one of the process, and pictures are opened by several threads


def opened(file: Path | IO[bytes], name: str, formats: tuple[str, ...], pixels: int, hint: str = RAISED) -> Image.Image:
    """The picture in `file`, of one of `formats`; nothing is decoded. name: of the file, for messages, which end in `hint`.

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
            found = re.search(r"\d+", str(error))  # all that Pillow tells of the size
            claims = f"{int(found[0]):,} pixels" if found else "more pixels"
            raise DataError(f"{name}: its header claims {claims}; the limit is {pixels:,}{hint}") from error
