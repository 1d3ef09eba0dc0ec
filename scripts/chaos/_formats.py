"""A small file of every readable format, and how its reader opens it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import tifffile
from PIL import Image
from scipy.io import savemat

from multimodal_lab.data.packed import finalize, writer
from multimodal_lab.data.packed.probe import probe
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.envi import Envi
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.images import Images
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.readers.scene import Scene
from multimodal_lab.data.readers.table import Table
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.synthetic.specimens import Specimens

Open = Callable[[Path], Any]


def smooth(shape: tuple[int, ...], dtype: str = "u2") -> np.ndarray:
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(shape[-2]), np.arange(shape[-1])) * 3.0
    return (ramp + rng.normal(20, 4, shape)).clip(1, 255 if dtype == "u1" else 4095).astype(dtype)


def tiff(folder: Path, **how: Any) -> Open:
    tifffile.imwrite(folder / "a.tif", smooth((3, 32, 32)), photometric="minisblack", planarconfig="separate", **how)
    return lambda place: Tiff(str(place), card=card(["R", "G", "UV"]))


def image(folder: Path, suffix: str) -> Open:
    Image.fromarray(np.moveaxis(smooth((3, 32, 32), "u1"), 0, 2)).save(folder / f"a.{suffix}")
    return lambda place: Images(str(place))


def envi(folder: Path) -> Open:
    smooth((3, 32, 32)).tofile(folder / "a.bsq")
    text = "ENVI\nsamples = 32\nlines = 32\nbands = 3\ndata type = 12\ninterleave = bsq\nbyte order = 0\n"
    (folder / "a.hdr").write_text(text)
    return lambda place: Envi(str(place))


def hdf5(folder: Path, libver: str) -> Open:
    with h5py.File(folder / "a.h5", "w", libver=libver) as file:
        file.create_dataset(
            "x", data=smooth((4, 3, 16, 16)), chunks=(1, 3, 16, 16), compression="gzip", fletcher32=True
        )
    return lambda place: Hdf5(str(place), datasets={"x": ["R", "G", "UV"]}, card=card(["R", "G", "UV"]))


def scene(folder: Path, suffix: str) -> Open:
    cube, classes = np.moveaxis(smooth((3, 16, 16)), 0, 2), np.ones((16, 16), np.uint8)
    classes[8:] = 2
    for name, values in (("cube", cube), ("map", classes)):
        if suffix == "npy":
            np.save(folder / f"{name}.npy", values)
        else:
            savemat(folder / f"{name}.mat", {"x": values}, do_compression=True)
    key = None if suffix == "npy" else "x"
    return lambda place: Scene(
        str(place), cube=f"cube.{suffix}", map=f"map.{suffix}", cube_key=key, map_key=key, patch=3, block=4, stride=3
    )


def table(folder: Path, suffix: str) -> Open:
    frame = pd.DataFrame(smooth((20, 8)).astype(float), columns=[f"nm{n}" for n in range(300, 700, 50)])
    frame = frame.assign(kind=["a", "b"] * 10)
    frame.to_csv(folder / "t.csv", index=False) if suffix == "csv" else frame.to_parquet(folder / "t.parquet")
    return lambda place: Table(str(place), file=f"t.{suffix}", pattern=r"nm(?P<nm>\d+)")


def pairs(folder: Path) -> Open:
    Image.fromarray(np.moveaxis(smooth((3, 16, 16), "u1"), 0, 2)).save(folder / "a.png")
    rows = [{"id": str(i), "image": "a.png", "text": f"a bird of kind {i}"} for i in range(8)]
    (folder / "index.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    return lambda place: Pairs(str(place), images=["image"], texts=["text"])


def packed(folder: Path) -> Open:
    source = Specimens(individuals=8, species=2, size=16)
    plan = writer.begin(source, probe(source), folder, {"fingerprint": "fuzz"})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "fuzz", {}, {}, "report")
    return lambda place: Packed(str(place))


PAIRS: dict[str, Callable[[Path], Open]] = {
    "Tiff / TIFF, raw": tiff,
    "Tiff / TIFF, zlib": lambda f: tiff(f, compression="zlib"),
    "Images / PNG": lambda f: image(f, "png"),
    "Images / JPEG": lambda f: image(f, "jpg"),
    "Images / TIFF": lambda f: image(f, "tif"),
    "Envi / ENVI": envi,
    "Hdf5 / HDF5, libver=latest": lambda f: hdf5(f, "latest"),
    "Hdf5 / HDF5, libver=earliest": lambda f: hdf5(f, "earliest"),
    "Scene / npy": lambda f: scene(f, "npy"),
    "Scene / MATLAB 5": lambda f: scene(f, "mat"),
    "Table / CSV": lambda f: table(f, "csv"),
    "Table / Parquet": lambda f: table(f, "parquet"),
    "Pairs / JSONL and PNG": pairs,
    "Packed / packed store": packed,
}
