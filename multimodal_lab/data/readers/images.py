"""Reader of image folders: PNG, JPEG, TIFF, WebP, BMP, GIF and PPM, 8 or 16 bit, flat or one folder per class."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from multimodal_lab.data.readers import coordinates, nodata, tiles, to_rgb
from multimodal_lab.data.readers.card import requested_bands
from multimodal_lab.data.readers.folder import existing, find, readable
from multimodal_lab.data.readers.headers import LazyHeaders, Verify, headers, readable_header, sized
from multimodal_lab.data.readers.labels import Labels, labelled
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.pillow import opened
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams.bands import need_kind
from multimodal_lab.types import Band, Stream

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp", ".dib", ".gif", ".ppm", ".pgm", ".pnm",
)  # fmt: skip
POINTER = b"version https://git-lfs"
# Of what Pillow opens: formats of plain pixels, whose decoders start no other program and load no other file.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM")
GREY = ("L", "LA", "I;16", "I;16B")
COLOUR = ("RGB", "RGBA", "P")
Colour = Literal["rgb", "grey", "to_rgb"]
Alpha = Literal["refuse", "drop", "mask", "white", "black"]
Stored = Path | bytes  # a file, or what one holds


@dataclass(frozen=True)
class Header:
    """Size as shown (a JPEG's EXIF rotation applied), colour, alpha channel, bits per value of one image, a TIFF's nodata,
    Pillow's mode, and the EXIF orientation, 1 where it is upright as stored."""

    height: int
    width: int
    grey: bool
    alpha: bool
    bits: int
    nodata: nodata.Value = None
    mode: str = "RGB"
    orientation: int = 1


class Images:
    """Every picture of one of `FORMATS` below `root`, as bands R, G, B, or `grey`; colour=to_rgb makes RGB of any, see `to_rgb`.

    Opening reads headers only and raises `DataError` for a file that is no image, is beyond the limits, has another
    colour than `colour`, or another bit depth than the first. `alpha` says what an alpha channel means: `mask` makes it
    the specimen's mask (then every file needs one), `white` and `black` put the image on that ground, `drop` forgets
    it. on_error, verify: as in `Data`; unless that is `raise`, a file with a bad header is reported when it is read.
    georeference: the columns of `coordinates`, of TIFF files.
    """

    beside: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        root: str,
        *,
        colour: Colour = "rgb",
        alpha: Alpha = "refuse",
        labels: Labels | None = None,
        limits: Limits | None = None,
        on_error: Literal["raise", "skip", "substitute"] = "raise",
        verify: Verify = "all",
        georeference: bool = False,
    ) -> None:
        self.root = existing(root)
        self.colour, self.alpha = colour, alpha
        self.identity = (colour, alpha)
        self.limits = limits or Limits()
        self.bands: tuple[Band, ...] = bands_of(colour)
        paths = find(self.root, SUFFIXES)
        self._headers = headers(paths, self._header, on_error, verify)
        self.samples, self.notes = labelled(self.root, sized(paths, SUFFIXES, self._headers), labels)
        if isinstance(self._headers, LazyHeaders):
            self.notes = [*self.notes, self._headers.note()]
        else:
            self.notes = [*self.notes, *to_rgb.notes("images", dict(zip(paths, self._headers)), colour == "to_rgb")]
        if georeference:
            coordinates.need_headers(self._headers)
            self.samples, told = coordinates.located(self.samples, [coordinates.of_tiff(self.root, p) for p in paths])
            self.notes = [*self.notes, *told]
        tiles.mark(self)

    def _header(self, path: str, first: tuple[str, Header] | None) -> Header:
        header = read_header(self.root / path, path, self.colour, self.alpha, self.limits)
        if first and header.bits != first[1].bits:
            raise DataError(f"{path}: {header.bits} bits, expected {first[1].bits} as in {first[0]}")
        if self.alpha == "mask" and not header.alpha:
            raise DataError(f"{path}: no alpha channel, expected one in every file (data.source.alpha=mask)")
        return header

    def read(self, index: int, streams: Sequence[Stream]) -> Raw:
        """(C, H, W) uint8 or uint16, and the mask where alpha is one; a truncated file is a `DataError`."""
        path = str(self.samples.path.iloc[index])
        need_kind(streams, ["image"], path)
        needed, places = requested_bands(self.bands, streams)
        header = readable_header(self._headers[index])
        values, mask = decode(self.root / path, path, self.colour, self.alpha, self.limits)
        full, gone = float(np.iinfo(values.dtype).max), nodata.missing(values, [header.nodata] * len(values))
        missing = {} if gone is None else {name: gone[needed][p] for name, p in places.items()}
        return Raw({name: values[needed][p] for name, p in places.items()}, mask, full, missing)


def bands_of(colour: Colour) -> tuple[Band, ...]:
    """The bands of an ordinary image."""
    return (Band("grey"),) if colour == "grey" else (Band("R"), Band("G"), Band("B"))


def read_header(file: Stored, name: str, colour: Colour, alpha: Alpha, limits: Limits) -> Header:
    """Check one image's header against the limits and what is expected of its colour and alpha channel."""
    with readable(name, "image"), _opened(file, name, limits) as image:
        return _checked(image, file, name, colour, alpha, limits)


def decode(
    file: Stored, name: str, colour: Colour, alpha: Alpha, limits: Limits
) -> tuple[np.ndarray, np.ndarray | None]:
    """(C, H, W) uint8 or uint16, and with alpha=mask where alpha > 0 (H, W) bool; the header is checked first."""
    with readable(name, "image: its pixels can't be decoded"), _opened(file, name, limits) as image:
        header = _checked(image, file, name, colour, alpha, limits)
        x = _deep(file, image) if header.bits == 16 and image.mode not in GREY else _shallow(image)
    count = 1 if header.grey else 3
    x, mask = _without_alpha(x[:count], x[count] if header.alpha else None, alpha)
    return (np.repeat(x, 3, axis=0) if header.grey and colour == "to_rgb" else x), mask


def _opened(file: Stored, name: str, limits: Limits) -> Image.Image:
    with readable(name, "image (PNG, JPEG, TIFF, WebP, BMP, GIF or PPM)"):
        try:
            return opened(_stream(file), name, FORMATS, limits.pixels)  # the limit is checked right after
        except UnidentifiedImageError:
            if _head(file, len(POINTER)) == POINTER:
                raise DataError(f"{name}: a pointer of Git LFS without its file (git lfs pull fetches it)") from None
            raise


def _stream(file: Stored) -> Path | io.BytesIO:
    return io.BytesIO(file) if isinstance(file, bytes) else file


def _head(file: Stored, count: int) -> bytes:
    if isinstance(file, bytes):
        return file[:count]
    with file.open("rb") as stream:
        return stream.read(count)


def _checked(image: Image.Image, file: Stored, name: str, colour: Colour, alpha: Alpha, limits: Limits) -> Header:
    if image.mode not in (*GREY, *COLOUR, *(to_rgb.OTHER if colour == "to_rgb" else ())):
        cure = " (data.source.colour=to_rgb converts it)" if image.mode in to_rgb.OTHER else ""
        raise DataError(f"{name}: pixels of kind {image.mode}, expected grey or RGB of 8 or 16 bits{cure}")
    # A JPEG of several frames is a photograph with its own previews: the first is the photograph.
    if image.format not in ("JPEG", "MPO") and getattr(image, "n_frames", 1) != 1:
        raise DataError(f"{name}: {getattr(image, 'n_frames', 1)} images in one file, expected 1")
    has_alpha = image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info
    grey = image.mode in GREY or (image.mode == "1" and not has_alpha)
    if colour != "to_rgb" and grey != (colour == "grey"):
        cure = " (to_rgb makes RGB of it)" if grey else ""
        raise DataError(f"{name}: a {'grey' if grey else 'colour'} image, expected data.source.colour={colour}{cure}")
    if has_alpha and alpha == "refuse":
        raise DataError(
            f"{name}: has an alpha channel; say what it means: data.source.alpha=mask, white, black or drop"
        )
    bits = _bits(image, file)
    if bits not in (8, 16) or (bits == 16 and image.mode in to_rgb.OTHER):
        of = f" of {image.mode}" if image.mode in to_rgb.OTHER else ""
        raise DataError(f"{name}: {bits} bits per value{of}, expected 8{'' if of else ' or 16'}")
    width, height = image.size
    bands = len(bands_of(colour))
    limits.check(name, pixels=width * height, bands=bands, itemsize=bits // 8)
    stored = len(file) if isinstance(file, bytes) else file.stat().st_size
    limits.swell(name, width * height * bands * bits // 8, stored)
    # Asking a PNG for EXIF would decode it; a PNG is taken as stored.
    orientation = 1 if image.format == "PNG" else image.getexif().get(0x0112, 1)
    turned = orientation in (5, 6, 7, 8)
    if orientation != 1 and bits == 16 and not grey:
        raise DataError(f"{name}: EXIF orientation {orientation} in a 16-bit colour image, expected 1")
    declared = getattr(image, "tag_v2", {}).get(nodata.TAG) if image.format == "TIFF" else None
    value = None if declared is None else nodata.parsed(declared, np.dtype(f"u{bits // 8}"))[0]
    size = (width, height) if turned else (height, width)
    return Header(*size, grey, has_alpha, bits, value, image.mode, orientation)


def _bits(image: Image.Image, file: Stored) -> int:
    if image.mode.startswith("I;16"):
        return 16
    if image.mode == "P":
        return 8
    if image.format == "PNG":
        # Pillow reads 16-bit colour as 8 bits without a word; the depth stands in the file's first chunk.
        return max(8, _head(file, 25)[24])
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        return max(8, int(bits[0] if isinstance(bits, tuple) else bits))
    return 8


def _shallow(image: Image.Image) -> np.ndarray:
    upright = to_rgb.plain(image if image.format == "PNG" else ImageOps.exif_transpose(image))
    if "transparency" in upright.info or upright.mode == "P":
        see_through = "transparency" in upright.info
        grey = upright.mode in GREY
        upright = upright.convert(("LA" if grey else "RGBA") if see_through else "RGB")
    x = np.array(upright)
    x = x[None] if x.ndim == 2 else np.moveaxis(x, 2, 0)
    return np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))


def _deep(file: Stored, image: Image.Image) -> np.ndarray:
    """16-bit colour, which Pillow can't hold: (C, H, W) uint16."""
    if image.format == "TIFF":
        import tifffile

        x = tifffile.imread(_stream(file), key=0)  # its own pixels, whatever files a description names
        return np.ascontiguousarray(x if x.shape[0] in (3, 4) and x.shape[-1] not in (3, 4) else np.moveaxis(x, -1, 0))
    import torch
    from torchvision.io import ImageReadMode, decode_png

    data = torch.frombuffer(bytearray(file if isinstance(file, bytes) else file.read_bytes()), dtype=torch.uint8)
    return np.asarray(decode_png(data, ImageReadMode.UNCHANGED).numpy())


def _without_alpha(x: np.ndarray, opacity: np.ndarray | None, alpha: Alpha) -> tuple[np.ndarray, np.ndarray | None]:
    if opacity is None or alpha == "drop":
        return x, None
    if alpha == "mask":
        return x, opacity > 0
    top = np.iinfo(x.dtype).max
    share = opacity / top
    ground = top if alpha == "white" else 0
    return np.rint(x * share + ground * (1 - share)).astype(x.dtype), None
