"""Write a packed store in parallel: each shard atomically, so that a killed run continues."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab import files
from multimodal_lab.data.packed import pool
from multimodal_lab.data.packed.format import (
    PLAN,
    aligned,
    best_hash,
    hasher,
    index_dtype,
    plain_part,
    read_json,
    shard_name,
)
from multimodal_lab.data.packed.probe import Offer
from multimodal_lab.data.packed.sample import record
from multimodal_lab.data.source import DataError, Source

SHARD_BYTES = 1 << 30
SHARDS = 16  # at least, where there are samples enough: what a few processes share out evenly
Progress = Callable[[int, int], None]


@dataclass
class Packing:
    """One store being written: `offer` as `probe` found it, `samples` of a shard, the name of the hash."""

    source: Source
    offer: Offer
    folder: Path
    samples: int
    hash_name: str

    @property
    def shards(self) -> int:
        """How many."""
        return -(-len(self.source.samples) // self.samples)

    def rows(self, shard: int) -> range:
        """The samples of one shard."""
        first = shard * self.samples
        return range(first, min(first + self.samples, len(self.source.samples)))

    def done(self, shard: int) -> bool:
        """Whether a shard is complete: its index is written last."""
        return (self.folder / shard_name(shard, ".npy")).is_file()


def begin(source: Source, offer: Offer, folder: Path, facts: dict[str, Any]) -> Packing:
    """Start a store in `folder`, or continue one begun there with the same `facts`; `DataError` if it holds another."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PLAN
    hash_name = best_hash()
    entry, _, _ = record(source, offer, 0, hasher(hash_name))
    most = max(1, SHARD_BYTES // max(1, len(entry)))
    size = max(1, min(most, -(-len(source.samples) // SHARDS)))
    plan = {
        "facts": facts,
        "parts": [plain_part(p) for p in offer.parts],
        "samples": size,
        "hash": hash_name,
    }
    if path.is_file():
        found = read_json(path)
        if changed := [k for k in plan if found.get(k) != json.loads(files.as_json(plan[k]))]:
            raise DataError(
                f"{folder}: begun with another {', '.join(changed)}; give another out=DIR, or empty this one"
            )
    elif any(folder.iterdir()):
        raise DataError(f"{folder}: not empty, and no store that was begun; give out= a folder of its own")
    else:
        files.write_json(path, plan)
    return Packing(source, offer, folder, size, hash_name)


def write(packing: Packing, workers: int, progress: Progress) -> None:
    """Write the shards that are not there yet, in `workers` processes; a bad sample, or a dead process, is a `DataError`."""
    todo = [s for s in range(packing.shards) if not packing.done(s)]
    done = sum(len(packing.rows(s)) for s in range(packing.shards) if s not in set(todo))
    progress(done, len(packing.source.samples))
    for shard in _written(packing, todo, workers):
        done += len(packing.rows(shard))
        progress(done, len(packing.source.samples))


def _written(packing: Packing, todo: list[int], workers: int) -> Iterator[int]:
    if workers < 2 or len(todo) < 2:
        yield from (write_shard(packing, s) for s in todo)
        return
    with pool.pool_of(workers, packing) as helpers:
        waiting = [helpers.submit(_write_shard, s) for s in todo]
        try:
            yield from (future.result() for future in as_completed(waiting))
        except BrokenProcessPool as error:
            left = [s for s in todo if not packing.done(s)]
            first = packing.rows(left[0]) if left else range(0)
            raise DataError(
                f"a packing process died (killed, out of memory, or a decoder crashed) in one of shards "
                f"{left[:4]}, the first from sample {packing.source.samples['id'].iloc[first.start]!r} on; workers=1 "
                "finds the sample; the same command continues"
            ) from error
        finally:
            # after an error the shards that are not begun are not wanted any more
            helpers.shutdown(wait=False, cancel_futures=True)


def _write_shard(shard: int) -> int:
    return write_shard(pool.shared(), shard)


def write_shard(packing: Packing, shard: int) -> int:
    """Write one shard, then its moments, then its index, each flushed to the disk and renamed; returns its number."""
    digest = hasher(packing.hash_name)
    rows = packing.rows(shard)
    index = np.zeros(len(rows), index_dtype(packing.offer.parts))
    measured: list[np.ndarray] = []

    def records(file: io.BufferedWriter) -> None:
        offset = 0
        for at, row in enumerate(rows):
            content, entry, moments = record(packing.source, packing.offer, row, digest)
            entry["offset"] = offset
            index[at] = entry
            measured.append(moments)
            file.write(content)
            padding = aligned(len(content)) - len(content)
            file.write(bytes(padding))
            offset += len(content) + padding

    place = packing.folder / shard_name(shard, "")
    files.atomic_write(place.with_suffix(".bin"), records)
    files.atomic_write(place.with_suffix(".moments"), lambda file: np.save(file, np.stack(measured)))
    # last: a shard with an index is whole, and is not written again (see `Packing.done`)
    files.atomic_write(place.with_suffix(".npy"), lambda file: np.save(file, index))
    return shard


def require_space(packing: Packing) -> None:
    """`DataError` if the disk can't hold the shards that are left, as far as the first sample tells."""
    entry, _, _ = record(packing.source, packing.offer, 0, hasher(packing.hash_name))
    left = sum(len(packing.rows(s)) for s in range(packing.shards) if not packing.done(s))
    needed, free = left * aligned(len(entry)), shutil.disk_usage(packing.folder).free
    if needed > free:
        raise DataError(f"out={packing.folder}: about {needed:,} bytes are needed, {free:,} are free")
