import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.labels import Labels
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Band, Stream

RGB = Stream("rgb", bands=(Band("R"), Band("G"), Band("B")))
GREY = Stream("grey", bands=(Band("grey"),))


def pixels(channels: int = 3, dtype: type = np.uint8, height: int = 5, width: int = 7) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def png(path: Path, width: int, height: int, depth: int, rows: bytes) -> None:
    """A colour PNG by hand: Pillow can't write 16 bits, nor a header that lies."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_folder_by_class_reads_back_equal(tmp_path: Path) -> None:
    x = pixels()
    for name in ("b/2.png", "a/1.tiff", "a/3.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(x).save(tmp_path / name)
    source = Images(str(tmp_path), labels=Labels(folders=["species"]))
    assert source.samples.id.tolist() == ["a/1", "a/3", "b/2"]
    assert source.samples.species.tolist() == ["a", "a", "b"]
    assert source.samples[["height", "width"]].to_numpy().tolist() == [[5, 7]] * 3
    for i in range(3):
        raw = source.read(i, [RGB, Stream("red", bands=RGB.bands[:1])])
        assert np.array_equal(raw.inputs["rgb"], x.transpose(2, 0, 1))
        assert np.array_equal(raw.inputs["red"], x.transpose(2, 0, 1)[:1])
        assert raw.full_scale == 255
        assert raw.mask is None


def test_jpeg_is_upright(tmp_path: Path) -> None:
    x = np.zeros((16, 32, 3), np.uint8)
    x[:, :16, 0] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(x).save(tmp_path / "a.jpg", exif=exif, quality=95)
    source = Images(str(tmp_path))
    assert source.samples[["height", "width"]].to_numpy().tolist() == [[32, 16]]
    red = source.read(0, [RGB]).inputs["rgb"][0]
    assert red.shape == (32, 16)
    assert red[:14].min() > 150
    assert red[18:].max() < 50


@pytest.mark.parametrize("kind", ["png", "tif", "planar tif"])
def test_16_bit_colour_keeps_its_bits(tmp_path: Path, kind: str) -> None:
    x = pixels(dtype=np.uint16)
    if kind == "png":
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in x)
        png(tmp_path / "a.png", 7, 5, 16, rows)
    elif kind == "tif":
        tifffile.imwrite(tmp_path / "a.tif", x, photometric="rgb")
    else:
        tifffile.imwrite(tmp_path / "a.tif", x.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    raw = Images(str(tmp_path)).read(0, [RGB])
    assert raw.inputs["rgb"].dtype == np.uint16
    assert np.array_equal(raw.inputs["rgb"], x.transpose(2, 0, 1))
    assert raw.full_scale == 65535


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey(tmp_path: Path, dtype: type, suffix: str) -> None:
    x = pixels(1, dtype)
    Image.fromarray(x).save(tmp_path / f"a{suffix}")
    raw = Images(str(tmp_path), colour="grey").read(0, [GREY])
    assert np.array_equal(raw.inputs["grey"], x[None])
    assert raw.full_scale == np.iinfo(dtype).max
    with pytest.raises(DataError, match=rf"a\{suffix}: a grey image, expected data\.source\.colour=rgb"):
        Images(str(tmp_path))


def test_palette_is_colour(tmp_path: Path) -> None:
    x = (pixels() // 128 * 255).astype(np.uint8)
    Image.fromarray(x).quantize(8).save(tmp_path / "a.png")
    assert np.array_equal(Images(str(tmp_path)).read(0, [RGB]).inputs["rgb"], x.transpose(2, 0, 1))


def test_alpha_means_what_is_said(tmp_path: Path) -> None:
    x = pixels(4)
    x[0, :, 3], x[1:, :, 3] = 0, 255
    Image.fromarray(x).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: has an alpha channel; .*mask, white, black or drop"):
        Images(str(tmp_path))
    stored = x[..., :3].transpose(2, 0, 1)
    for alpha, above in (("drop", stored[:, 0]), ("white", 255), ("black", 0)):
        raw = Images(str(tmp_path), alpha=alpha).read(0, [RGB])
        assert np.array_equal(raw.inputs["rgb"][:, 1:], stored[:, 1:])
        assert (raw.inputs["rgb"][:, 0] == above).all()
    raw = Images(str(tmp_path), alpha="mask").read(0, [RGB])
    assert raw.mask is not None
    assert np.array_equal(raw.mask, x[..., 3] > 0)
    Image.fromarray(pixels()).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png: no alpha channel, expected one in every file"):
        Images(str(tmp_path), alpha="mask")


def test_an_empty_folder_names_itself_and_the_suffixes(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "._a.png").write_text("left by another system")
    with pytest.raises(DataError, match=rf"{tmp_path}: no file that ends in \.png, \.jpg, \.jpeg, \.jpe, .*, \.tiff"):
        Images(str(tmp_path))


def test_what_is_no_image_is_named_at_opening(tmp_path: Path) -> None:
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("a text")
    with pytest.raises(DataError, match=r"b\.png: not a whole, readable image \(PNG, JPEG"):
        Images(str(tmp_path))
    Image.fromarray(pixels()).save(tmp_path / "b.png", format="PCX")
    with pytest.raises(DataError, match=r"b\.png: not a whole, readable image \(PNG, JPEG"):
        Images(str(tmp_path))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_truncated_image_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels(height=64, width=64)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(DataError, match=rf"a\.{suffix}: "):
        Images(str(tmp_path)).read(0, [RGB])


def test_mixed_bit_depths_are_refused(tmp_path: Path) -> None:
    Image.fromarray(pixels(1)).save(tmp_path / "a.png")
    Image.fromarray(pixels(1, np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png: 16 bits, expected 8 as in a\.png"):
        Images(str(tmp_path), colour="grey")


def test_the_pixel_limit_is_checked_from_the_header(tmp_path: Path) -> None:
    png(tmp_path / "bomb.png", 12000, 12000, 8, b"\0")
    with pytest.raises(DataError, match=r"bomb\.png: its header claims 144,000,000 pixels, the limit is 100,000,000"):
        Images(str(tmp_path))
    png(tmp_path / "bomb.png", 60000, 60000, 8, b"\0")
    with pytest.raises(DataError, match=r"bomb\.png"):
        Images(str(tmp_path))
    Image.fromarray(pixels()).save(tmp_path / "bomb.png")
    with pytest.raises(DataError, match=r"35 pixels, the limit is 34"):
        Images(str(tmp_path), limits=Limits(pixels=34))
