"""Match names written on another system to files: exact first, else by folded path where that is unique."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

# What a file name may end in; the end of any other name, as in `site.1`, is part of it.
SUFFIX = re.compile(
    r"\.(png|jpe?g|jpe|jfif|tiff?|webp|bmp|dib|gif|p[pgn]m|jp2|heic|nef|cr2|arw|dng|npy|mat|h5|hdf5|nc|bil|bip|bsq|img|dat|raw|bin|hdr|txt)$"
)
ELSEWHERE = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|file:")


def parts(name: str) -> tuple[str, ...]:
    """A path as folders and name, folded: case, Unicode form, kind of slash, suffix, leading zeros of a number."""
    text = unicodedata.normalize("NFC", name).casefold().replace("\\", "/")
    found = [p for p in text.split("/") if p not in ("", ".")] or [""]
    stem = SUFFIX.sub("", found[-1])
    return (*found[:-1], (stem.lstrip("0") or "0") if stem.isdecimal() else stem)


def loosely(files: Sequence[str], keys: Sequence[str], left: Sequence[int], free: Sequence[int]) -> dict[int, int]:
    """{place in `files`: place in `keys`} of those in `left` and `free` that name each other, and nothing else does.

    One path is the end of the other; of an absolute path, whose folders are another machine's, the name is enough where
    one file alone has it.
    """
    names = Counter(parts(file)[-1] for file in files)
    rows: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    for key in free:
        folded = parts(keys[key])
        rows.setdefault(folded[-1], []).append((key, folded))
    claims: dict[int, list[int]] = {}
    for file in left:
        mine = parts(files[file])
        there = rows.get(mine[-1], [])
        ends = [key for key, other in there if all(a == b for a, b in zip(reversed(mine), reversed(other)))]
        alone = [key for key, _ in there if names[mine[-1]] == 1 and ELSEWHERE.match(keys[key])]
        claims[file] = ends or alone
    wanted = Counter(key for found in claims.values() for key in found)
    return {file: found[0] for file, found in claims.items() if len(found) == 1 and wanted[found[0]] == 1}


def look_up(root: Path, name: str) -> str | None:
    """The file below `root` that `name` means, relative to it: the name itself, or the only one that folds to an end of it."""
    found = [p for p in unicodedata.normalize("NFC", name).replace("\\", "/").split("/") if p not in ("", ".")]
    if ".." in found:
        return None
    return next((path for start in range(len(found)) if (path := _descend(root, found[start:])) is not None), None)


def _descend(root: Path, pieces: Sequence[str]) -> str | None:
    """The path that goes down by the entries that alone fold to each piece."""
    at, done = root, []
    for piece in pieces:
        try:
            entries = _entries(str(at), at.stat().st_mtime_ns).get(_folded(piece), [])
        except OSError:
            return None
        if len(entries) != 1 and piece not in entries:
            return None
        done.append(piece if piece in entries else entries[0])
        at = at / done[-1]
    return "/".join(done) if done and at.is_file() else None


@lru_cache(maxsize=256)
def _entries(folder: str, changed: int) -> dict[str, list[str]]:
    """What a folder holds, by folded name."""
    found: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        found.setdefault(_folded(name), []).append(name)
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
