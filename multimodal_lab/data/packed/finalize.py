"""Finalise a packed store (table, split, statistics, manifest) and verify an existing one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab import files
from multimodal_lab.data.packed import pool
from multimodal_lab.data.packed.format import (
    FORMAT,
    MANIFEST,
    PLAN,
    TABLE,
    VERSION,
    file_hash,
    plain_part,
    read_manifest,
    seal,
    shard_name,
    write_table,
)
from multimodal_lab.data.packed.reader import Packed
from multimodal_lab.data.packed.writer import Packing
from multimodal_lab.data.source import DataError, Source
from multimodal_lab.data.split.auto import choose
from multimodal_lab.data.split.split import Split, SplitRows
from multimodal_lab.data.streams import taken_frames
from multimodal_lab.data.streams.labels import CLASSES
from multimodal_lab.text import show, some


def split_of(plan: Packing, split: Split, labels: list[str] | str | None) -> SplitRows:
    """The split that the packed choices give, {} where they can't give one (each run then says why)."""
    table = plan.source.samples
    try:
        together = getattr(plan.source, "together", None)
        return choose(table, labels, split, set(plan.offer.texts), together).split.assign(table)
    except DataError:
        return {}


def finish(
    plan: Packing, fingerprint: str, choices: dict[str, Any], splits: SplitRows, duplicates: str
) -> dict[str, Any]:
    """Write table and manifest; returns the manifest.

    duplicates: `refuse` raises a `DataError` for samples of equal content in two splits, `report` only lists them.
    """
    source, folder = plan.source, plan.folder
    index = np.concatenate([_index(plan, s) for s in range(plan.shards)])
    names = [str(i) for i in source.samples["id"]]
    leaks = shared(index, names, splits)
    if leaks and duplicates == "refuse":
        raise DataError(
            f"{len(leaks)} pairs of samples hold equal values in two splits: {some(leaks)}; take the copies out, group "
            "them by data.split.by, or pack them all the same with duplicates=report"
        )
    write_table(folder / TABLE, source.samples)
    moments = np.concatenate([np.load(_place(plan, s, ".moments"), allow_pickle=False) for s in range(plan.shards)])
    made: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "count": len(index),
        "bands": [[b.name, b.nm, b.unit] for b in plan.offer.bands],
        "parts": [plain_part(p) for p in plan.offer.parts],
        "fields": plan.offer.fields,
        "texts": plan.offer.texts,
        "aliases": dict(getattr(source, "aliases", {})),
        "scaled": plan.offer.scaled if plan.offer.resize else [],
        "resize": plan.offer.resize,
        "sampled": dict(getattr(source, "sampled", {})),
        "text_columns": list(getattr(source, "text_columns", ())),
        "labels": [str(c) for c in source.samples.columns],
        "fingerprint": fingerprint,
        "notes": list(getattr(source, "notes", [])),
        "together": getattr(source, "together", None),
        "items": getattr(source, "items", {}),
        "overlapping": source.samples.attrs.get("overlapping"),
        CLASSES: source.samples.attrs.get(CLASSES, {}),
        "card": repr(getattr(source, "card", None)),
        "data": choices,
        "splits": {name: len(rows) for name, rows in splits.items()},
        "statistics": _statistics(plan, moments, splits),
        "duplicates": leaks,
        "hash": plan.hash_name,
        "table": file_hash(folder / TABLE),
        "shards": [_facts(plan, s) for s in range(plan.shards)],
    }
    made = files.finite(made)  # the seal is of what a reader of the file finds
    files.write_json(folder / MANIFEST, {**made, "seal": seal(made)})
    for shard in range(plan.shards):
        _place(plan, shard, ".moments").unlink()
    for left in folder.glob(files.BESIDE):
        left.unlink()
    (folder / PLAN).unlink()
    return read_manifest(folder)


def require_same(folder: Path, source: Source, fingerprint: str, resize: Mapping[str, Any]) -> None:
    """`DataError` where a finished store was packed from other data, with other choices of frames, or at another size."""
    found, cure = read_manifest(folder), "give another out=DIR, or empty this one"
    for field, how in getattr(source, "sampled", {}).items():
        here, there = taken_frames.difference(how, found.get("sampled", {}).get(field, {}))
        if here:
            raise DataError(f"{folder}: a store of {field} with the frames of {there}, and {here} is asked for; {cure}")
    if found.get("scaled") and found["resize"] != resize:
        there, here = (", ".join(f"{k}={show(v)}" for k, v in of.items()) for of in (found["resize"], resize))
        raise DataError(f"{folder}: a store of frames at {there}, and {here} is asked for; {cure}")
    if found["fingerprint"] != fingerprint:
        raise DataError(f"{folder}: a store of other data, or of other choices of data.source; {cure}")


def shared(index: np.ndarray, names: list[str], splits: SplitRows) -> list[str]:
    """Samples of equal content in two splits, as `a (train) = b (test)`, the first pair of each content."""
    home = {int(row): split for split, rows in splits.items() for row in rows}
    first: dict[bytes, int] = {}
    found = []
    for row in range(len(index)):
        content = index[row].tobytes()[16:]  # hash, sizes and presence
        one = first.setdefault(content, row)
        if index[row]["bytes"] and home.get(one) != home.get(row):
            found.append(f"{names[one]} ({home.get(one)}) = {names[row]} ({home.get(row)})")
    return found


def verify(folder: Path, workers: int, progress: Callable[[int, int], None]) -> list[str]:
    """What is damaged in a store, a sentence each: every record is read and hashed again."""
    source = Packed(str(folder), verify="never")
    parts = np.array_split(np.arange(len(source.samples)), max(1, len(source.samples) // 256))
    found: list[str] = []
    done = 0
    with pool.pool_of(workers, source) as helpers:
        for part, bad in zip(parts, helpers.map(_damaged, parts)):
            found += bad
            done += len(part)
            progress(done, len(source.samples))
    return found


def _damaged(rows: np.ndarray) -> list[str]:
    source: Packed = pool.shared()
    return [bad for row in rows if (bad := source.damage(int(row)))]


def _place(plan: Packing, shard: int, suffix: str) -> Path:
    return plan.folder / shard_name(shard, suffix)


def _index(plan: Packing, shard: int) -> np.ndarray:
    return np.asarray(np.load(_place(plan, shard, ".npy"), allow_pickle=False))


def _facts(plan: Packing, shard: int) -> dict[str, Any]:
    size = _place(plan, shard, ".bin").stat().st_size
    index = file_hash(_place(plan, shard, ".npy"))
    return {"bytes": size, "samples": len(plan.rows(shard)), "index": index}


def _statistics(plan: Packing, moments: np.ndarray, splits: SplitRows) -> list[dict[str, Any]]:
    """Mean and deviation of every band in stored units, over the training split's pixels inside the mask."""
    rows = splits.get("train", np.arange(len(moments)))
    count, mean, square = moments[rows].transpose(2, 0, 1)
    total = count.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (count * mean).sum(0) / total
        deviation = np.sqrt((square + count * (mean - centre) ** 2).sum(0) / total)
    made, at = [], 0
    for part in (p for p in plan.offer.parts if p.kind not in ("mask", "missing")):
        each = slice(at, at + part.planes)
        at += part.planes
        facts = {"mean": _finite(centre[each]), "std": _finite(deviation[each]), "pixels": total[each].tolist()}
        bands = [plan.offer.bands[i].name for i in part.bands]
        made.append({"kind": part.kind, "field": part.field, "bands": bands, **facts})
    return made


def _finite(values: np.ndarray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
