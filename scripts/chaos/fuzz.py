"""Damaged files of every format, decoded in a child process: what each reader makes of them.

python scripts/chaos/fuzz.py [files a pair, 1000] [seed, 0] [only this pair]

A file of each format is damaged (bits, bytes, blocks, cut short, spliced), and read whole by its reader in a child. The
table counts, of all damaged files: those refused with an error that names something, those that gave the same values,
those that gave others without a word (what the format itself lets through), how many of the latter the content hash of
the data's fingerprint or of the packed store did not notice (must be 0), deaths of the child and hangs of more than
10 s. Exit 1 if a hash missed one, a file hung, or the parent's promise broke.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import numpy as np
import pandas as pd
import tifffile
from PIL import Image
from scipy.io import savemat

from multimodal_lab.data import packing, sealing
from multimodal_lab.data.card import card
from multimodal_lab.data.envi import Envi
from multimodal_lab.data.fingerprint import fingerprint
from multimodal_lab.data.hdf5 import Hdf5
from multimodal_lab.data.images import Images
from multimodal_lab.data.packed import Packed
from multimodal_lab.data.pairs import Pairs
from multimodal_lab.data.probe import probe
from multimodal_lab.data.scene import Scene
from multimodal_lab.data.specimens import Specimens
from multimodal_lab.data.table import Table
from multimodal_lab.data.tiff import Tiff
from multimodal_lab.types import Stream

HANG = 10.0
MEMORY = 8 << 30
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
    plan = packing.begin(source, probe(source), folder, {"fingerprint": "fuzz"})
    packing.write(plan, 1, lambda done, total: None)
    sealing.finish(plan, "fuzz", {}, {}, "report")
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


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One of five sorts of damage; never the same bytes."""
    made = bytearray(content)
    at, sort = int(rng.integers(len(made))), int(rng.integers(5))
    if sort == 0:
        for place in rng.integers(len(made), size=int(rng.integers(1, 4))):
            made[place] ^= 1 << int(rng.integers(8))
    elif sort == 1:
        made[at] = int(rng.integers(256))
    elif sort == 2:
        made[at : at + 64] = bytes(len(made[at : at + 64]))
    elif sort == 3:
        del made[at:]
    else:
        start = int(rng.integers(len(made)))
        made[at : at + 32] = made[start : start + 32]
    return bytes(made) if bytes(made) != content else damaged(content, rng)


def digest(place: Path, opened: Open) -> tuple[str, str]:
    """The hash of every value and label that a reader gives of a folder, and the fingerprint of its data."""
    source = opened(place)
    bands = source.bands
    found = hashlib.sha256(repr((bands, source.samples.to_dict("list"))).encode())
    kind = "vector" if isinstance(source, Table) else "image"
    streams = [Stream("x", kind, bands)]
    if isinstance(source, Pairs):
        streams.append(Stream("text", "text", field="text"))
    for row in range(len(source.samples)):
        raw = source.read(row, streams)
        for x in (*raw.inputs.values(), raw.mask):
            found.update(
                x.tobytes() + str((x.shape, x.dtype)).encode() if isinstance(x, np.ndarray) else repr(x).encode()
            )
    return found.hexdigest(), fingerprint(source, str(place))


def child(end: Any, opened: Open) -> None:
    """Read folder after folder, until the parent hangs up."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    while True:
        try:
            place = end.recv()
        except EOFError:
            return
        try:
            end.send(("read", digest(place, opened)))
        except Exception as error:
            end.send(("refused", f"{type(error).__name__}: {error}"))


class Child:
    """A process that reads; another one takes the place of one that died or hung."""

    def __init__(self, opened: Open) -> None:
        self.opened = opened
        self.start()

    def start(self) -> None:
        context = multiprocessing.get_context("fork")
        self.end, theirs = context.Pipe()
        self.process = context.Process(target=child, args=(theirs, self.opened), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, place: Path) -> tuple[str, Any]:
        """(read | refused | died | hung, what it said)."""
        self.end.send(place)
        if not self.end.poll(HANG):
            said = "hung"
        else:
            try:
                return self.end.recv()
            except (EOFError, ConnectionError):
                said = "died"
        self.process.kill()
        self.process.join()
        self.start()
        return said, None


def trial(make: Callable[[Path], Open], folder: Path, count: int, rng: np.random.Generator) -> dict[str, int]:
    """Damage the files of one pair `count` times."""
    good, bad = folder / "good", folder / "bad"
    good.mkdir()
    opened = make(good)
    shutil.copytree(good, bad)
    reader = Child(opened)
    kind, truth = reader.ask(bad)
    assert kind == "read", truth
    files = sorted(p.name for p in good.iterdir())
    found = dict.fromkeys(("refused", "same", "other", "unnoticed", "died", "hung", "unnamed"), 0)
    for _ in range(count):
        name = files[int(rng.integers(len(files)))]
        (bad / name).write_bytes(damaged((good / name).read_bytes(), rng))
        kind, said = reader.ask(bad)
        if kind == "read":
            same = said[0] == truth[0]
            found["same" if same else "other"] += 1
            found["unnoticed"] += not same and said[1] == truth[1]
        else:
            found[kind] += 1
            found["unnamed"] += kind == "refused" and not said.startswith("DataError")
        shutil.copyfile(good / name, bad / name)
    reader.end.close()
    reader.process.join(5)
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    chosen = {k: v for k, v in PAIRS.items() if len(sys.argv) < 4 or sys.argv[3] in k}
    print(f"{count} damaged files a pair, seed {seed}")
    print(
        f"{'reader / format':32}{'refused':>9}{'same':>7}{'other':>7}{'unnoticed':>11}{'died':>6}{'hung':>6}{'no DataError':>14}"
    )
    failed = False
    for i, (name, make) in enumerate(chosen.items()):
        with tempfile.TemporaryDirectory() as place:
            f = trial(make, Path(place), count, np.random.default_rng([seed, i]))
        row = (
            f"{f['refused']:9}{f['same']:7}{f['other']:7}{f['unnoticed']:11}{f['died']:6}{f['hung']:6}{f['unnamed']:14}"
        )
        print(f"{name:32}{row}", flush=True)
        failed |= bool(f["unnoticed"] or f["hung"])
    sys.exit(failed)


if __name__ == "__main__":
    main()
