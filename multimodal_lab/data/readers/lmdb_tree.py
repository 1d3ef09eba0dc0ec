"""The pages of an LMDB that lead to its values, looked at before the library reads them: it takes their numbers as they are,
and a damaged one ends the process.

Pages and nodes are as lmdb 0.9 writes them (mdb.c: MDB_page, MDB_node, MDB_db), 64-bit, little-endian.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np

from multimodal_lab.data.source import DataError

HEAD, NODE = 16, 8  # bytes of the header of a page, and of a node
BRANCH, LEAF = 1, 2  # flags of pages
FAR = 1  # of a node: its value lies on pages of its own
PAGE = struct.Struct("<Q 2x H H H")  # number, flags, where the places of the nodes end, where the nodes begin
ROOT = struct.Struct("<I H H 32x Q")  # of the database of all keys: its depth is the third, its root the last
AT = HEAD + 24 + 48  # where that stands in the first two pages
EMPTY = 2**64 - 1
DEEPEST = 32


def require_tree(data: Path, name: str, header: int, page: int, last: int) -> None:
    """`DataError` where a branch, a leaf or a value of an LMDB is not where a page says that it is.

    header: the place of the newest of the two headers; page: bytes of one; last: the number of the last page in use. Keys,
    and the values that lie on pages of their own, are not read.
    """
    with data.open("rb") as file:
        number = file.fileno()
        found = os.pread(number, ROOT.size, header + AT)
        _, _, depth, root = ROOT.unpack(found)
        level = [] if root == EMPTY else [root]
        if depth > DEEPEST or bool(level) != bool(depth):
            raise _damaged(data, name, 0)
        seen = 0
        for above in range(depth, 0, -1):
            seen += len(level)
            if seen > last + 1:
                raise _damaged(data, name, level[0])
            level = [own for at in level for own in _below(number, at, page, last, above == 1, data, name)]


def _below(file: int, at: int, size: int, last: int, leaf: bool, data: Path, name: str) -> list[int]:
    """The pages that a branch leads to; none of a leaf, whose values are looked for."""
    raw = os.pread(file, size, at * size) if 1 < at <= last else b""
    if len(raw) < size:
        raise _damaged(data, name, at)
    number, flags, lower, upper = PAGE.unpack_from(raw)
    count = (lower - HEAD) // 2
    if number != at or flags & 7 != (LEAF if leaf else BRANCH) or not HEAD <= lower <= upper <= size or lower % 2:
        raise _damaged(data, name, at)
    places = np.frombuffer(raw, "<u2", count, HEAD).astype(np.int64)
    if count < 1 or places.min() < upper or places.max() > size - NODE:
        raise _damaged(data, name, at)
    content = np.frombuffer(raw, np.uint8)
    low, high, of, key = (_two(content, places + k) for k in (0, 2, 4, 6))
    if not leaf:
        pages = low | high << 16 | of << 32
        if (places + NODE + key > size).any() or (pages > last).any() or (pages < 2).any():
            raise _damaged(data, name, at)
        return [int(p) for p in pages]
    length, far = low | high << 16, (of & FAR) > 0
    ends = places + NODE + key + np.where(far, 8, length)
    if (ends > size).any():
        raise _damaged(data, name, at)
    starts = (places + NODE + key)[far, None] + np.arange(8)
    first = np.ascontiguousarray(content[starts]).view("<u8")[:, 0]
    pages = -(-(length[far] + HEAD) // size)
    if (first > last).any() or (first < 2).any() or (first.astype(np.int64) + pages - 1 > last).any():
        raise _damaged(data, name, at)
    return []


def _two(content: np.ndarray, at: np.ndarray) -> np.ndarray:
    found: np.ndarray = content[at].astype(np.int64) | content[at + 1].astype(np.int64) << 8
    return found


def _damaged(data: Path, name: str, page: int) -> DataError:
    return DataError(
        f"{name}: damaged: page {page} of {data.name} leads elsewhere; copy it again (mdb_copy makes a whole one)"
    )
