"""Check a picture that was uploaded, and lay it where the run's reader finds it."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from multimodal_lab.data.readers.images import FORMATS, GREY
from multimodal_lab.data.readers.pillow import opened
from multimodal_lab.data.source import DataError
from multimodal_lab.serve.limits import MIB, Limits
from multimodal_lab.serve.problem import too_large, unusable

SUFFIX = {"PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp", "DIB": ".dib",
          "GIF": ".gif", "PPM": ".ppm"}  # fmt: skip
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TYPES = ("image/png", "image/jpeg", "image/tiff", "image/webp", "image/bmp", "image/gif", "image/x-portable-pixmap")
SORTS = {
    "picture": TYPES,
    "sound": ("audio/wav", "audio/x-wav", "audio/wave", "audio/flac", "audio/x-flac", "audio/ogg", "audio/opus", "audio/mpeg",
              "audio/aiff", "audio/x-aiff"),
    "video": ("video/mp4", "video/quicktime", "video/webm", "video/x-matroska", "video/x-msvideo", "video/mpeg", "video/ogg"),
}  # fmt: skip
EXPECTED = "expected a PNG, JPEG, TIFF, WebP, BMP, GIF or PPM"
OPAQUE = 255


def sort_of(content_type: str) -> str | None:
    """Whether a body of a Content-Type is a picture, a sound or a video; None of any other."""
    return {"image": "picture", "audio": "sound", "video": "video"}.get(content_type.partition("/")[0])


@dataclass(frozen=True)
class Wanted:
    """What a run reads pictures as. whole: a file holds all bands of a sample, as the run's own do. colour: its bands are R, G
    and B alone. alpha: what the run takes an alpha channel for."""

    whole: bool = False
    colour: bool = True
    alpha: str = "refuse"


@dataclass(frozen=True)
class Upload:
    """What a predictor takes, and what was done to it, in sentences."""

    value: Path | Image.Image
    notes: list[str] = field(default_factory=list)


def laid(content: bytes, name: str, folder: Path, wanted: Wanted, limits: Limits) -> Upload:
    """A picture as a file in `folder`, checked by its header alone; `name` is the stream, for messages.

    A grey picture for a run of colours becomes one of three equal bands, and an alpha channel that hides nothing is left out,
    which changes no pixel and is told; all else is as the run's reader has it.
    """
    if len(content) > limits.bytes:
        raise too_large(
            f"{name}: a picture of {len(content) / MIB:,.1f} MiB; the limit is {limits.bytes / MIB:,.1f} MiB"
        )
    if not content:
        raise unusable(f"{name}: an empty file; {EXPECTED}")
    image = _opened(content, name, wanted, limits)
    if image is None:  # of bands that only the run's own reader knows
        return Upload(_written(content, folder, f"{name}.tif"))
    if wanted.whole and image.format != "TIFF" and not wanted.colour:
        return Upload(_loaded(image, name))
    made, notes = _as_wanted(image, content, name, wanted)
    return Upload(_written(made, folder, name + (".png" if notes else SUFFIX[str(image.format)])), notes)


def _opened(content: bytes, name: str, wanted: Wanted, limits: Limits) -> Image.Image | None:
    try:
        image = opened(io.BytesIO(content), name, FORMATS, limits.pixels, hint="")
    except DataError as error:
        raise too_large(str(error)) from None
    except UnidentifiedImageError:
        if wanted.whole and content.startswith(TIFF):
            return None
        raise unusable(f"{name}: no picture; {EXPECTED}") from None
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        raise unusable(f"{name}: a damaged picture ({error})") from None
    width, height = image.size
    if width * height > limits.pixels:
        raise too_large(f"{name}: its header claims {width:,} x {height:,} pixels; the limit is {limits.pixels:,}")
    return image


def _as_wanted(image: Image.Image, content: bytes, name: str, wanted: Wanted) -> tuple[bytes, list[str]]:
    if getattr(image, "n_frames", 1) != 1 and image.format != "MPO":
        return content, []  # the reader refuses it, with its words
    deep = image.mode.startswith("I") or (image.format == "PNG" and content[24:25] > b"\x08") or image.format == "TIFF"
    if not wanted.colour or deep:
        return content, []
    notes = []
    transparent = image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info
    if transparent and wanted.alpha == "refuse":
        alpha: Any = _loaded(image, name).convert("RGBA").getchannel("A")
        if alpha.getextrema()[0] == OPAQUE:
            image, transparent = _loaded(image, name), False
            notes.append(f"{name}: an alpha channel that hides nothing was left out")
    if image.mode in GREY:
        notes.append(f"{name}: a grey picture; its values stand for R, G and B")
    if not notes:
        return content, []
    out = io.BytesIO()
    from PIL import ImageOps

    upright = image if image.format == "PNG" else ImageOps.exif_transpose(_loaded(image, name))
    upright.convert("RGBA" if transparent else "RGB").save(out, "PNG", compress_level=1)
    return out.getvalue(), notes


def _loaded(image: Image.Image, name: str) -> Image.Image:
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, struct.error, IndexError) as error:
        raise unusable(f"{name}: a picture whose pixels can't be decoded ({error})") from None
    return image


def _written(content: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path
