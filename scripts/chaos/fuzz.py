"""Fuzz the readers: damaged files of every format, decoded in a child process.

python scripts/chaos/fuzz.py [files a pair, 1000] [seed, 0] [only this pair]

A file of each format is damaged (bits, bytes, blocks, cut short, spliced), and read whole by its reader in a child. The
table counts, of all damaged files: those refused with an error that names something, those that gave the same values,
those that gave others without a word (what the format itself lets through), how many of the latter the content hash of
the data's fingerprint or of the packed store did not notice (must be 0), deaths of the child and hangs of more than
10 s. Exit 1 if a hash missed one, a file hung, or the parent's promise broke.
"""

from __future__ import annotations

import hashlib
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

import numpy as np
from _formats import PAIRS, Open

from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.readers.pairs import Pairs
from multimodal_lab.data.readers.table import Table
from multimodal_lab.types import Stream

HANG = 10.0
MEMORY = 8 << 30


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
