"""Small files that claim to be large: each is refused by its header, at once, and without the memory that it asks for."""

import os
import struct
import sys
import time
import traceback
import zlib
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from multimodal_lab.data.readers.audio import Audio
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.envi import Envi
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.labels import read_table
from multimodal_lab.data.readers.limits import Limits
from multimodal_lab.data.readers.long_table import LongTable
from multimodal_lab.data.readers.masks import Masks
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.readers.pillow import opened
from multimodal_lab.data.readers.scene import Scene
from multimodal_lab.data.readers.series_arrays import SeriesArrays
from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.readers.windows import Windows
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Band, Stream

MEGABYTES = 200


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(folder, side=12000):
    """144 Mpx from a few bytes: Pillow only warns."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(3000))) + chunk(b"IEND", b"")
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    return lambda: Images(str(folder))


def png_of_zeros(folder):
    """Below the limit on pixels, 98 % of it, and a thousandth of that on disk."""
    return png(folder, 9900)


def jpeg(folder):
    Image.new("RGB", (8, 8)).save(folder / "a.jpg")
    content = bytearray((folder / "a.jpg").read_bytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", 65000, 65000)
    (folder / "a.jpg").write_bytes(content)
    return lambda: Images(str(folder))


def tiff_claim(folder):
    tifffile.imwrite(folder / "a.tif", np.zeros((64, 64), np.uint16), compression="zlib", rowsperstrip=64)
    with tifffile.TiffFile(folder / "a.tif", mode="r+b") as tif:
        for tag in ("ImageLength", "ImageWidth", "RowsPerStrip"):
            tif.pages[0].tags[tag].overwrite(60000)
    return lambda: Tiff(str(folder), card=card(["a"]))


def tiff_of_zeros(folder):
    tifffile.imwrite(folder / "a.tif", np.zeros((6000, 12000), np.uint8), compression="zlib", rowsperstrip=6000)
    return lambda: Tiff(str(folder), card=card(["a"]))


def tiff_strip(folder):
    """A header of 64 x 64 pixels over a strip that inflates to 512 MiB."""
    pack = zlib.compressobj(1)
    content = b"".join(pack.compress(bytes(2**22)) for _ in range(128)) + pack.flush()
    tifffile.imwrite(folder / "a.tif", np.zeros((64, 64), np.uint16), compression="zlib", rowsperstrip=64)
    with tifffile.TiffFile(folder / "a.tif", mode="r+b") as tif:
        end = (folder / "a.tif").stat().st_size
        tif.pages[0].tags["StripOffsets"].overwrite(end)
        tif.pages[0].tags["StripByteCounts"].overwrite(len(content))
    with (folder / "a.tif").open("ab") as file:
        file.write(content)
    return lambda: Tiff(str(folder), card=card(["a"])).read(0, [])


def images_tiff(folder):
    tiff_claim(folder)
    return lambda: Images(str(folder), colour="grey")


def hdf5(folder, shape, chunks, dtype="u2"):
    with h5py.File(folder / "a.h5", "w", libver="latest") as file:
        file.create_dataset("x", shape, dtype, chunks=chunks, compression="gzip")
    return lambda: Hdf5(str(folder), datasets={"x": ["a", "b"]}, card=card(["a", "b"]))


def hdf5_volume(folder):
    """1.4 kB that declare 512 GiB."""
    return hdf5(folder, (2**20, 2, 512, 256), (1, 2, 64, 64), "u2")


def hdf5_rows(folder):
    """Little data, but a row of the sample table for each."""
    return hdf5(folder, (2**24, 2, 1, 1), (1024, 2, 1, 1), "u1")


def hdf5_chunk(folder):
    with h5py.File(folder / "a.h5", "w", libver="latest") as file:
        made = file.create_dataset("x", (1, 2, 9000, 9000), "u2", chunks=(1, 2, 9000, 9000), compression="gzip")
        made.id.write_direct_chunk((0, 0, 0, 0), os.urandom(2**21))
    return lambda: Hdf5(str(folder), datasets={"x": ["a", "b"]}, card=card(["a", "b"]))


def scene(folder, write):
    np.save(folder / "map.npy", np.ones((4, 4), np.uint8))
    name = write(folder)
    return lambda: Scene(str(folder), cube=name, map="map.npy", cube_key="x")


def scene_hdf5(folder):
    def write(folder):
        with h5py.File(folder / "c.h5", "w") as file:
            file.create_dataset("x", (20000, 20000, 4), "u2", chunks=(64, 64, 4))
        return "c.h5"

    return scene(folder, write)


def scene_mat(folder):
    def write(folder):
        savemat(folder / "c.mat", {"x": np.zeros((3000, 3000, 10), np.uint8)}, do_compression=True)
        return "c.mat"

    return scene(folder, write)


def scene_npy(folder):
    def write(folder):
        with (folder / "c.npy").open("wb") as file:
            facts = {"descr": "<u2", "fortran_order": False, "shape": (2**17, 2**17, 16)}
            np.lib.format.write_array_header_1_0(file, facts)
            file.write(bytes(100))
        return "c.npy"

    return scene(folder, write)


def envi_header(folder):
    (folder / "a.bil").write_bytes(bytes(100))
    with (folder / "a.hdr").open("wb") as file:
        file.truncate(2**31)
    return lambda: Envi(str(folder))


def envi_sparse(folder):
    text = "ENVI\nsamples = 30000\nlines = 30000\nbands = 5\ndata type = 12\ninterleave = bsq\nbyte order = 0\n"
    (folder / "a.hdr").write_text(text)
    with (folder / "a.bsq").open("wb") as file:
        file.truncate(30000 * 30000 * 5 * 2)
    return lambda: Envi(str(folder))


def sparse(folder, name):
    with (folder / name).open("wb") as file:
        file.truncate(5 * 2**30)
    return folder / name


def csv(folder):
    sparse(folder, "t.csv")
    return lambda: Table(str(folder), file="t.csv", pattern="nm.*")


def jsonl(folder):
    sparse(folder, "index.jsonl")
    return lambda: Pairs(str(folder), images=["a"], texts=["b"])


def parquet(folder):
    """Ten columns of one value repeated: 80 MB from a few kB."""
    pd.DataFrame({f"nm{i}": np.zeros(2**20) for i in range(10)}).to_parquet(folder / "t.parquet", compression="zstd")
    return lambda: read_table(folder / "t.parquet")


def moments(folder, **more):
    """Three rows, the last of which is 30,000 years later."""
    (folder / "a.csv").write_text("r,time,x\na,0,1\na,1,1\na,1e12,2\n")
    return LongTable(str(folder), file="a.csv", pattern="x", recording=["r"], **more)


def series_at_a_rate(folder):
    return lambda: (s := moments(folder)).read(0, [Stream("s", "vector", s.bands, rate=100.0)])


def series_in_windows(folder):
    return lambda: moments(folder, windows=Windows(length=1.0))


def series_npy(folder):
    """Two recordings of 40 GB, none of which is on the disk."""
    with (folder / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2, 1, 10**10)})
        file.truncate(file.tell() + 8 * 10**10)
    return lambda: SeriesArrays(str(folder), arrays={"s": "a.npy"}, axes="NCT")


def sound_of_one_hertz(folder):
    """64 kB that are six hours, 6 GB at 48 kHz."""
    pytest.importorskip("soundfile", reason="soundfile is not installed: pip install -e '.[audio]'")
    body = bytes(range(256)) * 256
    format_ = struct.pack("<HHIIHH", 1, 1, 1, 2, 2, 16)
    parts = [b"WAVE", b"fmt ", struct.pack("<I", 16), format_, b"data", struct.pack("<I", len(body)), body]
    (folder / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", sum(map(len, parts))) + b"".join(parts))
    return lambda: Audio(str(folder)).read(0, [Stream("s", "vector", (Band("mono"),), rate=48000.0)])


def sound_in_windows(folder):
    """A header that tells of 50 days."""
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed: pip install -e '.[audio]'")
    soundfile.write(folder / "a.flac", np.random.default_rng(0).normal(0, 0.1, 1600), 16000)
    content = bytearray((folder / "a.flac").read_bytes())
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4
    (folder / "a.flac").write_bytes(content)
    return lambda: Audio(str(folder), windows=Windows(length=1.0))


BOMBS = [png, png_of_zeros, jpeg, tiff_claim, tiff_of_zeros, tiff_strip, images_tiff, hdf5_volume, hdf5_rows, hdf5_chunk,
         scene_hdf5, scene_mat, scene_npy, envi_header, envi_sparse, csv, jsonl, parquet,
         series_at_a_rate, series_in_windows, series_npy, sound_of_one_hertz, sound_in_windows]  # fmt: skip


def resident(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise AssertionError(name)


def measured(act):
    """(what it said, seconds, MB more) of `act` in a forked process, whose peak of memory is its own."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            Path("/proc/self/clear_refs").write_text("5")
            before, began = resident("VmRSS"), time.monotonic()
            try:
                act()
                said = "accepted"
            except DataError as error:
                said = f"refused: {error}"
            except BaseException:
                said = traceback.format_exc()
            os.write(write, f"{time.monotonic() - began} {resident('VmHWM') - before} {said}".encode()[:4000])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        seconds, grown, said = pipe.read().split(" ", 2)
    os.waitpid(pid, 0)
    return said, float(seconds), float(grown)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda b: b.__name__)
def test_a_bomb_is_refused_at_once_and_takes_no_memory(tmp_path, bomb):
    said, _, grown = measured(bomb(tmp_path))
    assert said.startswith("refused: "), said
    assert grown < MEGABYTES, said


def test_the_ratio_spares_what_is_small_and_what_is_dense():
    limits = Limits(ratio=10)
    limits.swell("x", 2**26, 1)
    limits.swell("x", 2**27, 2**24)
    with pytest.raises(
        DataError, match=r"x: its header claims 134,217,728 bytes from 1,000 stored ones.*limits\.ratio"
    ):
        limits.swell("x", 2**27, 1000)
    with pytest.raises(DataError, match=r"limits\.bytes"):
        Limits(bytes=100).swell("x", 101, 100)


def test_a_raised_limit_goes_beyond_pillows_own_which_stays_that_of_the_process(tmp_path):
    """196 Mpx; Pillow itself refuses more than 179."""
    own = Image.MAX_IMAGE_PIXELS
    assert own is not None, "a reader has taken the limit away from all that open pictures"
    png(tmp_path, 14000)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "a.png").write_bytes((tmp_path / "a.png").read_bytes())
    raised = Limits(pixels=200_000_000, ratio=10**9)
    with opened(tmp_path / "a.png", "a.png", ("PNG",), raised.pixels) as picture:
        assert picture.size == (14000, 14000)
    with pytest.raises(DataError, match=r"a\.png: its header claims 196,000,000 pixels; the limit is 89,478,485"):
        opened(tmp_path / "a.png", "a.png", ("PNG",), own)
    images = Images(str(tmp_path), limits=raised)
    masks = Masks(str(tmp_path), images=images, masks="maps/{stem}.png")
    with pytest.raises(
        DataError, match=r"maps/a\.png: its header claims 196,000,000 pixels[;,] the limit is 100,000,000"
    ):
        masks._values("maps/a.png")
    assert own == Image.MAX_IMAGE_PIXELS
