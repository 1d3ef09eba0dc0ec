"""Benchmark: reading of packed stores, TIFF and HDF5 crops, and the loader, against a plain copy of the same bytes.

python scripts/bench/read.py [rounds]

Made-up data in a temporary folder, page cache warm. Ratios of CPU time, except the loader's, which are of wall time;
median and 25..75 % over rounds in which every candidate runs once, in rotated order.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import numpy as np
import tifffile
import torch
from _measure import ratios, row
from _read_passes import (
    COUNT,
    CROP,
    CUBE,
    DEPTH,
    SIDE,
    Pass,
    each,
    mapped,
    plain_crops,
    raw_crops,
    raw_files,
    raw_records,
)
from torch.utils.data import DataLoader, Dataset

from multimodal_lab.data.dataset import Data
from multimodal_lab.data.packed import finalize, writer
from multimodal_lab.data.packed.probe import probe
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.readers.card import card
from multimodal_lab.data.readers.hdf5 import Hdf5
from multimodal_lab.data.readers.tiff import Tiff
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.scaling import DtypeMax
from multimodal_lab.types import Stream

SEVEN = card(["R", "G", "B", "UV1", "UV2", "UV3", "NIR"])


def scene(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A smooth scene and noise, 12 bit in uint16."""
    down, across = np.mgrid[: shape[1], : shape[2]]
    smooth = 2000 + 1000 * np.sin(down / 20 + rng.random()) * np.cos(across / 30)
    return (smooth + rng.normal(0, 40, shape)).clip(1, 4095).astype(np.uint16)


def compared(
    what: str, passes: dict[str, Pass], reads: int, rounds: int, clock: Callable[[], float], goals: dict[str, float]
) -> None:
    """Every candidate of ours beside the first one, the bare reading, and the peers (`peer …`); what one read costs."""
    found = ratios(passes, next(iter(passes)), rounds, clock)
    limit = next(iter(passes))
    peers = [(name.removeprefix("peer "), ratio) for name, ratio in found.items() if name.startswith("peer ")]
    for name, ratio in found.items():
        if name != limit and not name.startswith("peer "):
            note = f"{1000 * ratio.ms / reads:.1f} us each"
            row(f"{what}: {name}", ratio, goal=goals.get(name), peers=peers, limit=(limit, 1.0), note=note)


def packed_store(source: Any, folder: Path) -> str:
    plan = writer.begin(source, probe(source), folder, {"fingerprint": "bench"})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "bench", {}, {}, "report")
    return str(folder)


def images(folder: Path, rounds: int) -> None:
    """7 bands of 256 x 256, 16 bit: one file a sample, and packed."""
    rng = np.random.default_rng(0)
    (folder / "tif").mkdir()
    for i in range(COUNT):
        cube = scene(rng, (7, SIDE, SIDE))
        tifffile.imwrite(folder / f"tif/s{i:03d}.tif", cube, photometric="minisblack", planarconfig="separate")
    source = Tiff(str(folder / "tif"), card=SEVEN)
    root = packed_store(source, folder / "packed")
    streams = [Stream("all", "image", source.bands)]
    order = rng.permutation(COUNT)
    size = 7 * SIDE * SIDE * 2
    with (folder / "flat.bin").open("wb") as file:
        for i in range(COUNT):
            file.write(source.read(i, streams).inputs["all"].tobytes())
    paths = [folder / f"tif/s{i:03d}.tif" for i in order]
    compared(
        f"7 bands of {SIDE} x {SIDE} uint16",
        {
            "raw readinto": raw_records(folder / "flat.bin", size, order),
            "peer memory map, copied": mapped(folder / "flat.bin", order),
            "packed": each(Packed(root), streams, order),
            "packed, verify=never": each(Packed(root, verify="never"), streams, order),
            "packed, verify=every": each(Packed(root, verify="every"), streams, order),
            "packed, 3 of 7 bands": each(Packed(root), [Stream("rgb", "image", source.bands[:3])], order),
        },
        COUNT,
        rounds,
        time.process_time,
        {"packed": 1.3},
    )
    compared(
        f"7 bands of {SIDE} x {SIDE} uint16, a file each",
        {
            "raw open, readinto": raw_files(paths),
            "Tiff": each(source, streams, order),
            "peer tifffile.imread": lambda: [tifffile.imread(p) is None for p in paths],
        },
        COUNT,
        rounds,
        time.process_time,
        {"Tiff": 1.6},
    )


def crops(folder: Path, rounds: int) -> None:
    """64 x 64 x 408 out of one cube."""
    rng = np.random.default_rng(0)
    (folder / "h5").mkdir()
    cube = np.moveaxis(scene(rng, (1, CUBE, CUBE)), 0, 2) + rng.integers(0, 60, (CUBE, CUBE, DEPTH)).astype(np.uint16)
    with h5py.File(folder / "h5/cube.h5", "w", libver="latest") as file:
        file.create_dataset("cube", data=cube, chunks=(32, 32, DEPTH))
    names = [f"B{i:03d}" for i in range(DEPTH)]
    how = {"datasets": {"cube": names}, "card": card(names), "axes": "hwc", "crop": CROP}
    source = Hdf5(str(folder / "h5"), **how, stride=CROP // 2, cache_mb=256)
    small = Hdf5(str(folder / "h5"), **how, stride=CROP // 2)
    streams = [Stream("all", "image", source.bands)]
    order = rng.permutation(len(source.samples))[:24]
    cube.tofile(folder / "cube.raw")
    shutil.copy(folder / "h5/cube.h5", folder / "peer.h5")  # two handles on one file would share one cache
    compared(
        f"a crop of {CROP} x {CROP} x {DEPTH} from a cube",
        {
            "raw readinto of its rows": raw_crops(folder / "cube.raw", source, order),
            "Hdf5, cache of 256 MB": each(source, streams, order),
            "Hdf5, cache as by default": each(small, streams, order),
            "peer h5py": plain_crops(folder / "peer.h5", source, order),
        },
        24,
        rounds,
        time.process_time,
        {"Hdf5, cache of 256 MB": 1.7},
    )


class Rows(Dataset[Any]):
    """The usual way: one sample an index, collated by the loader."""

    def __init__(self, source: Packed, streams: list[Stream]) -> None:
        self.source, self.streams = source, streams

    def __len__(self) -> int:
        return len(self.source.samples)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.source.read(index, self.streams).inputs["all"])


class Batches(Dataset[Any]):
    """Whole batches by the project's own function: the same work in other hands."""

    def __init__(self, prepared: Any, rows: list[np.ndarray]) -> None:
        self.prepared, self.rows = prepared, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.prepared.batch(self.rows[index], 0).inputs


def drained(batches: Iterator[Any]) -> None:
    for _ in batches:
        pass


def loaders(folder: Path, rounds: int) -> None:
    """A pass over the packed images, in batches of 16."""
    root = str(folder / "packed")
    split = Split(train=1.0, val=0.0, test=0.0)
    facts = {"scaling": DtypeMax(), "split": split, "labels": [], "batch_size": 16}
    modality = {"all": {"kind": "image", "bands": "all"}}
    made = {w: Data(Packed(root), workers=w, **facts).prepare(modality, 0) for w in (0, 2)}
    store, streams = Packed(root), [made[0].reader.plans["all"].stored]
    parts = [made[0].splits["train"][i : i + 16] for i in range(0, COUNT, 16)]
    how: dict[str, Any] = {"num_workers": 2, "persistent_workers": True}
    plain = DataLoader(Rows(store, streams), batch_size=16, shuffle=True, **how)
    whole = DataLoader(Batches(made[0], parts), batch_size=None, **how)
    raw = raw_records(folder / "flat.bin", 7 * SIDE * SIDE * 2, np.random.default_rng(0).permutation(COUNT))
    times = 4
    peer, bare = "DataLoader, 2 workers", "raw readinto"
    work: dict[str, Pass] = {
        peer: lambda: [drained(iter(whole)) for _ in range(times)],
        "DataLoader, stored values": lambda: [drained(iter(plain)) for _ in range(times)],
        bare: lambda: [raw() for _ in range(times)],
        "2 threads": lambda: [drained(made[2].batches("train", epoch=0, shuffle=True)) for _ in range(times)],
        "no threads": lambda: [drained(made[0].batches("train", epoch=0, shuffle=True)) for _ in range(times)],
    }
    found = ratios(work, peer, rounds, time.perf_counter)
    peers = [(name, found[name]) for name in (peer, "DataLoader, stored values")]
    for name, goal in (("2 threads", 0.5), ("no threads", None)):
        row(
            f"a pass in batches of 16, {name}, wall time",
            found[name],
            goal=goal,
            peers=peers,
            limit=(bare, found[bare]),
        )


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        images(Path(name), rounds)
        crops(Path(name), rounds)
        loaders(Path(name), rounds)


if __name__ == "__main__":
    main()
