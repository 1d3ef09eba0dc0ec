"""Digests of content: what each sample holds, by which it is known again under any name."""

from __future__ import annotations

import base64
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from multimodal_lab.data.packed.format import best_hash, hasher
from multimodal_lab.data.source import Raw

ENOUGH = 16  # numbers from which equal content can't be chance
LEARNT_FROM = ("train", "val")  # parts of a split that a run is trained or chosen on


class Content:
    """digests[stream] (N,) uint64 of the stored numbers of each row; 0 where they aren't known, or may be equal by chance.

    By chance: fewer than 16 numbers, or one number throughout. Names, paths, scaling and size play no part; the type and the
    choice of bands do.
    """

    def __init__(self, streams: Collection[str], rows: int) -> None:
        self.digests = {name: np.zeros(rows, dtype=np.uint64) for name in streams}
        self._hash = best_hash()  # by its name, which goes to loading processes
        self._last: dict[str, tuple[Hashable, int]] = {}  # {stream: (identity, row)} of the last that was hashed

    def see(self, row: int, raw: Raw) -> None:
        """Take in what was read of a row."""
        digest = hasher(self._hash)
        for name, known in self.digests.items():
            x, identity = raw.inputs.get(name), raw.identities.get(name)
            before = self._last.get(name)
            if x is not None and identity is not None and before is not None and before[0] == identity:
                known[row] = known[before[1]]
            elif isinstance(x, np.ndarray) and not known[row] and x.size >= ENOUGH and (x != x.flat[0]).any():
                facts = f"{x.dtype.str} {x.shape}".encode()
                known[row] = np.frombuffer(digest(facts + np.ascontiguousarray(x).tobytes())[:8], np.uint64)[0]
                self._last[name] = identity, row

    def recorded(self, splits: Mapping[str, np.ndarray]) -> dict[str, dict[str, str]]:
        """{stream: {part: its digests}} of the parts that a run learns from, for its record."""
        own = {part: rows for part, rows in splits.items() if part in LEARNT_FROM}
        return {
            name: {part: packed(known[rows][known[rows] > 0]) for part, rows in own.items()}
            for name, known in self.digests.items()
        }


def packed(digests: np.ndarray) -> str:
    """Base64 of little-endian 64-bit integers."""
    return base64.b64encode(digests.astype("<u8").tobytes()).decode()


def unpacked(text: str) -> np.ndarray:
    """The reverse; ValueError where it is none."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<u8").astype(np.uint64)


def learnt_from(record: Mapping[str, Any], stream: str, parts: Sequence[str]) -> np.ndarray | None:
    """The digests of the rows of `parts` in a run's record; None where it tells of none, as of an earlier version.

    ValueError where they are damaged.
    """
    own = record.get("content", {})
    own = own.get(stream) if isinstance(own, dict) else None
    if not isinstance(own, dict) or not any(own.get(part) for part in parts):
        return None
    return np.concatenate([unpacked(str(own.get(part, ""))) for part in parts])
