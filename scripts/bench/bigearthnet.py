"""Benchmark: what the start of a run on all of BigEarthNet v2 costs, and how many pairs a second are read from each layout.

python scripts/bench/bigearthnet.py start [pairs=549488] [data=DIR] [KEY=VALUE …]
python scripts/bench/bigearthnet.py read [pairs=256] [rounds=5]

start: an LMDB of tiny patches (6, 3 and 1 pixels a side) and a table of as many rows as are published, made once: in `data`,
where it is kept, else in a temporary folder; a run in a process of its own, from the launch to the first step. The first start
knows nothing, the second what the first has learnt. read: made-up patches at full size as LMDB, folders and packed store,
page cache warm, all 14 bands of a pair at 120 pixels, in one process: medians over rounds in rotated order; last the least that
any reader of files may take, the system's copy of the packed bytes into an array. Where `configilm` is
installed (`pip install --no-deps configilm`), its reader of the same LMDB beside ours, to nearest neighbours as ours.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lmdb
import numpy as np
import pandas as pd
import tifffile
from _start import started, until_the_first_step
from safetensors.numpy import save
from scale import line

from multimodal_lab.data.packed import finalize, writer
from multimodal_lab.data.packed.format import shard_name
from multimodal_lab.data.packed.probe import probe
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.readers.bigearthnet import BigEarthNet
from multimodal_lab.data.readers.bigearthnet_facts import COARSE, NINETEEN, S1, S2
from multimodal_lab.data.synthetic.sentinel import Sentinel
from multimodal_lab.data.synthetic.sentinel_tiles import COUNTRIES
from multimodal_lab.types import Stream

PAIRS, GOAL = 549_488, (60.0, 1.5)  # of both tables; seconds of CPU, GB
STREAMS = [Stream("s2", bands=S2), Stream("s1", bands=S1)]
RUN = [
    "data=bigearthnet", "modality=s1_s2", "backbone=convnet", "fusion=concat", "head=classifier", "loss=bce", "augment=none",
    "log=none", "figures=[]", "evaluate=[head]", "data.size=32", "data.batch_size=64", "data.verify=headers",
]  # fmt: skip


# LMDB keeps a value of less than half a page beside its key: as those of real patches, these lie in pages of their own.
PADDING = {"padding": "x" * 2048}


def names(count: int) -> Iterator[tuple[str, str, str]]:
    """Names of Sentinel-2 and Sentinel-1 patches and their country, of days enough for as many as are asked."""
    made = 0
    for day in range(1, 29):
        for country, tiles in COUNTRIES.items():
            for tile in tiles:
                for place in range(8100):
                    if made == count:
                        return
                    made += 1
                    end = f"{place // 90:02d}_{place % 90:02d}"
                    yield (
                        f"S2A_MSIL2A_201706{day:02d}T101031_N9999_R022_T{tile}_{end}",
                        f"S1A_IW_GRDH_1SDV_201706{day:02d}T165043_{tile}_{end}",
                        country,
                    )


def values(source: Sentinel, i: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The bands of one made-up pair as they are stored, 20 and 60 m coarse."""
    s2 = {b.name: x[:: COARSE.get(b.name, 1), :: COARSE.get(b.name, 1)].copy() for b, x in zip(S2, source.s2(i))}
    return s2, {b.name: x for b, x in zip(S1, source.s1(i))}


def fill(folder: Path, rows: pd.DataFrame, stored: Callable[[int], tuple[bytes, bytes]], size: int) -> None:
    """BENv2.lmdb and metadata.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder / "BENv2.lmdb"), map_size=size, sync=False, writemap=True) as made:
        for first in range(0, len(rows), 8192):
            with made.begin(write=True) as writing:
                for i, row in enumerate(rows[first : first + 8192].itertuples(), first):
                    for key, value in zip((row.patch_id, row.s1_name), stored(i)):
                        writing.put(str(key).encode(), value)
    rows.to_parquet(folder / "metadata.parquet")


def tiny(folder: Path, count: int) -> None:
    """As many pairs as are published, of a few pixels; 64 different ones."""
    rng = np.random.default_rng(0)
    source = Sentinel(patches=64, tiles=20, size=8)
    side = {1: 6, 2: 3, 6: 1}
    kept = []
    for i in range(64):
        parts = [{k: (x, side[COARSE.get(k, 1)]) for k, x in of.items()} for of in values(source, i)]
        cut = [{k: np.ascontiguousarray(x[:n, :n]) for k, (x, n) in part.items()} for part in parts]
        of_s2, of_s1 = (save(part, PADDING) for part in cut)
        kept.append((of_s2, of_s1))
    s2, s1, country = zip(*names(count))
    labels = [[NINETEEN[k] for k in np.sort(rng.choice(19, n, replace=False))] for n in rng.integers(1, 6, 4096)]
    split = rng.choice(["train", "validation", "test"], count, p=[0.5, 0.25, 0.25])
    facts = {"labels": [labels[i % 4096] for i in range(count)], "split": split, "country": country, "s1_name": s1}
    flags = {"s2v1_name": s2, "contains_seasonal_snow": False, "contains_cloud_or_shadow": False}
    fill(folder, pd.DataFrame({"patch_id": s2, **facts, **flags}), lambda i: kept[i % 64], 1 << 34)


def start(words: dict[str, str], rest: list[str]) -> None:
    """Two starts on the whole table."""
    count = int(words.get("pairs", PAIRS))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(words.get("data", temporary)) / "bigearthnet"
        if not (folder / "metadata.parquet").exists():
            began = time.time()
            tiny(folder, count)
            print(f"{count:,} pairs written in {time.time() - began:.0f} s")
        print(f"{'':34}" + "".join(f"{name:>10}" for name in ("wall s", "CPU s", "GB")))
        line("goal".ljust(34), "", *GOAL)
        for statistics, turns in (
            ("+data/statistics=bigearthnet_v2", ("first", "second")),
            ("data.statistics=4096", ("first",)),
        ):
            for turn in turns:
                out = Path(temporary) / f"{len(statistics)}{turn}"
                more = {"XDG_CACHE_HOME": f"{temporary}/{len(statistics)}"}
                found = started(__file__, [*RUN, statistics, f"data.root={folder}", f"dir={out}", *rest], more)
                label = f"{turn}, {statistics.removeprefix('+').removeprefix('data/').removeprefix('data.')}"
                line(label.ljust(34), found["start_s"], found["start_cpu"], found["start_gb"])


def layouts(folder: Path, count: int) -> dict[str, Any]:
    """The same pairs as LMDB, folders and packed store, opened."""
    source = Sentinel(patches=count, tiles=min(20, count))
    pairs = [values(source, i) for i in range(count)]
    rows = source.samples[["patch_id", "s1_name", "labels", "split", "country"]]
    fill(folder / "lmdb", rows, lambda i: (save(pairs[i][0]), save(pairs[i][1])), 1 << 34)
    for (_, row), pair in zip(rows.iterrows(), pairs):
        for place, name, cut, bands in (("S2", row.patch_id, 2, pair[0]), ("S1", row.s1_name, 3, pair[1])):
            below = folder / "folders" / f"BigEarthNet-{place}" / name.rsplit("_", cut)[0] / name
            below.mkdir(parents=True)
            for band, x in bands.items():
                tifffile.imwrite(below / f"{name}_{band}.tif", x)
    rows.to_parquet(folder / "folders/metadata.parquet")
    opened = {name: BigEarthNet(str(folder / name), made=source) for name in ("lmdb", "folders")}
    plan = writer.begin(opened["lmdb"], probe(opened["lmdb"]), folder / "packed", {})
    writer.write(plan, 1, lambda done, total: None)
    finalize.finish(plan, "", {}, {}, "report")
    return {**opened, "packed store": Packed(str(folder / "packed"), verify="never")}


class ConfigILM:
    """Their reader of the same files, asked as ours are; a pair is a tensor of 14 bands in float32."""

    def __init__(self, folder: Path) -> None:
        from configilm.extra.BENv2_utils import BENv2LDMBReader, stack_and_interpolate

        own = shutil.copytree(folder, folder.with_name("configilm"))  # a process may open an LMDB once
        bands = [band.name for band in (*S2, *S1)]
        self.reader = BENv2LDMBReader(
            own / "BENv2.lmdb", own / "metadata.parquet", bands=bands, process_bands_fn=stack_and_interpolate
        )
        self.names = pd.read_parquet(own / "metadata.parquet")["patch_id"].tolist()

    def read(self, index: int, streams: list[Stream]) -> Any:
        """Bands and labels of a pair."""
        return self.reader[self.names[index]]


class Bytes:
    """The records of a packed store, copied from the page cache and left as they are."""

    def __init__(self, packed: Packed) -> None:
        shards = [packed.root / shard_name(i, ".bin") for i in range(len(packed.shards))]
        files = np.repeat([os.open(path, os.O_RDONLY) for path in shards], [s["samples"] for s in packed.shards])
        self.places = [
            *zip(files.tolist(), packed.index["offset"].tolist(), packed.index["bytes"].tolist(), strict=True)
        ]

    def read(self, index: int, streams: list[Stream]) -> Any:
        """The bytes of a pair."""
        file, offset, size = self.places[index]
        record = np.empty(size, dtype=np.uint8)
        os.preadv(file, [record], offset)
        return record


def read(words: dict[str, str]) -> None:
    """Pairs a second of each layout."""
    count, rounds = int(words.get("pairs", 256)), int(words.get("rounds", 5))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = layouts(folder, count)
        if find_spec("configilm") is not None:
            sources["ConfigILM, LMDB"] = ConfigILM(folder / "lmdb")
        sources["bytes of the packed store"] = Bytes(sources["packed store"])
        order = np.random.default_rng(0).permutation(count).tolist()
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
        for turn in range(rounds + 1):
            for name in [*sources][turn % len(sources) :] + [*sources][: turn % len(sources)]:
                wall, cpu = time.perf_counter(), time.process_time()
                for i in order:
                    sources[name].read(i, STREAMS)
                seen[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        rates = {name: [count / median(x) for x in zip(*of[1:])] for name, of in seen.items()}  # the first warms
    print(f"{count} pairs of 14 bands; pairs a second{'':10}{'of wall':>10}{'of CPU':>10}{'to LMDB':>10}")
    for name, (wall, cpu) in rates.items():
        line(name.ljust(45), wall, cpu, cpu / rates["lmdb"][1])


def main() -> None:
    """One of the two parts."""
    what, *given = sys.argv[1:] or ["read"]
    known = {"pairs", "data", "rounds"}
    words = dict(w.split("=", 1) for w in given if w.split("=")[0] in known)
    rest = [w for w in given if w.split("=")[0] not in known]
    start(words, rest) if what == "start" else read(words)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watched"]:
        sys.argv.pop(1)
        until_the_first_step()
    else:
        main()
