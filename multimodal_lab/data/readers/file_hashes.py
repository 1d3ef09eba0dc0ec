"""Content hashes of files: every byte counts, and a file that nobody has touched is read once, not at every run."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import xxhash

from multimodal_lab.device import distributed
from multimodal_lab.files import read_json, retried, user_cache, write_json

SEGMENT = 1 << 26  # bytes that one thread hashes at a time, so that several share a large file
CHUNK = 1 << 22  # bytes of one read
WORTH = 1 << 20  # bytes: less is read again sooner than it is remembered
# A file that was changed so shortly before may be changed again within one tick of its clock (2 s on FAT), unseen.
FRESH = 2 * 10**9  # nanoseconds
THREADS = 8  # a network file system answers several at a time
PATIENCE = 5.0  # seconds between two words on the way
UNREAD = "unread"


def content_hashes(base: Path, paths: Sequence[str]) -> dict[str, str]:
    """{path: its size and the XXH3 of its content} of the regular files among `paths`, relative to `base`.

    Known hashes come from the user's cache, of files whose size, times and inode are as they were; what is read is
    remembered there. Any number of processes may do so at once. What can't be read counts as unread: its reader says why.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        stamps = dict(zip(paths, pool.map(lambda path: stamp(base / path), paths)))
        files = {path: stamp for path, stamp in stamps.items() if stamp}
        memory = user_cache() / "hashes" / f"{hashlib.sha256(os.fsencode(base)).hexdigest()[:32]}.json"
        known = _known(memory, files)
        missing = [path for path in files if path not in known]
        if sum(_size(files[path]) for path in missing) < WORTH:
            return known | _read(pool, base, missing, files)
        with _alone(memory, base):
            known |= _known(memory, files)  # another process may have read them meanwhile
            missing = [path for path in missing if path not in known]
            began = time.time_ns()
            found = _read(pool, base, missing, files)
            again = zip(missing, pool.map(lambda path: stamp(base / path), missing))
            still = [path for path, stamp in again if stamp == files[path] and settled(stamp, began)]
            whole = [path for path in still if UNREAD not in found[path]]
            _remember(memory, base, {path: f"{files[path]} {found[path]}" for path in whole})
        return known | found


def sizes_and_times(base: Path, paths: Sequence[str]) -> dict[str, str]:
    """{path: its size and the time of its last change} of the regular files among `paths`, relative to `base`."""
    with ThreadPoolExecutor(THREADS) as pool:
        stamps = zip(paths, pool.map(lambda path: stamp(base / path), paths))
        return {path: " ".join(stamp.split()[:2]) for path, stamp in stamps if stamp}


def stamp(path: Path) -> str:
    """`size mtime ctime inode` of a regular file, "" of anything else; the ctime moves where the mtime is set back."""
    try:
        found = retried(lambda: path.stat())
    except OSError:
        return ""
    facts = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    return " ".join(map(str, facts)) if stat.S_ISREG(found.st_mode) else ""


def _size(stamp: str) -> int:
    return int(stamp.partition(" ")[0])


def settled(stamp: str, now: int) -> bool:
    """Whether a file of this stamp was last changed long enough before `now` that a later change would show."""
    _, changed, touched, _ = map(int, stamp.split())
    return now - max(changed, touched) > FRESH


def _read(pool: ThreadPoolExecutor, base: Path, paths: Sequence[str], stamps: dict[str, str]) -> dict[str, str]:
    """{path: size and hash}; the hash of a large file is that of its segments' hashes."""
    sizes = {path: _size(stamps[path]) for path in paths}
    jobs = [
        (path, start, min(SEGMENT, size - start))
        for path, size in sizes.items()
        for start in range(0, max(1, size), SEGMENT)
    ]
    total, done = sum(sizes.values()), 0
    parts: dict[str, list[bytes]] = {path: [] for path in paths}
    began = told = time.monotonic()
    for (path, _, length), part in zip(jobs, pool.map(lambda job: _segment(base / job[0], *job[1:]), jobs)):
        parts[path].append(part)
        done += length
        if (now := time.monotonic()) - told > PATIENCE and distributed.rank() == 0:
            told, left = now, (now - began) * (total - done) / max(done, 1)
            print(f"hashing the data: {done / 1e9:.1f} of {total / 1e9:.1f} GB, {left:.0f} s left", flush=True)
    return {path: f"{sizes[path]} {_joined(found)}" for path, found in parts.items()}


def _joined(parts: list[bytes]) -> str:
    if b"" in parts:
        return UNREAD
    return (parts[0] if len(parts) == 1 else xxhash.xxh3_128_digest(b"".join(parts))).hex()


def _segment(path: Path, start: int, length: int) -> bytes:
    try:
        return retried(lambda: _hash(path, start, length))
    except OSError:
        return b""


def _hash(path: Path, start: int, length: int) -> bytes:
    made, buffer = xxhash.xxh3_128(), memoryview(bytearray(min(CHUNK, length)))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while length and (got := file.readinto(buffer[:length])):
            made.update(buffer[:got])
            length -= got
    return made.digest()


def _known(memory: Path, stamps: dict[str, str]) -> dict[str, str]:
    """{path: size and hash} of the files whose stamp is as it was; a memory that is damaged says nothing."""
    try:
        found = read_json(memory)["files"]
        stored = {path: str(found[path]).split() for path in stamps if path in found}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {path: " ".join(w[4:]) for path, w in stored.items() if len(w) == 6 and " ".join(w[:4]) == stamps[path]}


def _remember(memory: Path, base: Path, new: dict[str, str]) -> None:
    """Add to what others have written; a cache that can't be written costs the next run its time, and no more."""
    if not new:
        return
    try:
        files = dict(read_json(memory)["files"])
    except (OSError, ValueError, KeyError, TypeError):
        files = {}
    with contextlib.suppress(OSError):
        write_json(memory, {"root": str(base), "files": files | new})


@contextlib.contextmanager
def _alone(memory: Path, base: Path) -> Iterator[None]:
    """One process of this machine at a time reads the files of one root: the ranks of a run, or the jobs of a sweep."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # no cache, or a file system without such locks: then several read the same
            memory.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(memory.with_suffix(".lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"hashing the data: another process reads {base}; waiting for what it finds", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
