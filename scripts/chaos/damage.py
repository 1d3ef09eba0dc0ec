"""Damage checkpoints (bits, truncation, blocks, swaps): none may be loaded; the newest valid one must be used."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import _trial

from multimodal_lab.checkpoint.manifest import verify
from multimodal_lab.checkpoint.store import CheckpointStore

KINDS = ("flips", "cuts", "blocks", "swaps")


def main() -> None:
    a = _trial.arguments(__doc__, flips=1000, cuts=500, blocks=300, swaps=50, seed=0)
    random.seed(a.seed)
    with tempfile.TemporaryDirectory() as base:
        run = Path(base, "run")
        knobs = ("train.epochs=4", "train.keep_last=3")
        assert _trial.wait(_trial.start(_trial.config(run, *knobs))) == 0, _trial.tail(run)
        store = CheckpointStore(run / "checkpoints", 3)
        *_, before, newest = store.all()
        whole = Path(base, "whole")
        shutil.copytree(store.folder, whole)
        damages: dict[str, Callable[[Path], None]] = {
            "flips": _flip, "cuts": _cut, "blocks": _zero, "swaps": lambda p: _swap(p, before),
        }  # fmt: skip
        lost, done = [], 0
        for kind in KINDS:
            for _ in range(getattr(a, kind)):
                victim = random.choice([p for p in newest.iterdir() if kind != "blocks" or p.stat().st_size > 4096])
                damages[kind](victim)
                lost += [f"{kind} of {victim.name}: {x}" for x in _judged(store, before, newest, victim.name)]
                done += 1
                shutil.rmtree(store.folder)
                shutil.copytree(whole, store.folder)
        lost += _all_bad(store)
        told = (
            ", ".join(f"{getattr(a, k)} {k}" for k in KINDS) + " over every file of a checkpoint, and all of them bad"
        )
        _trial.finish("damage", lost, told)


def _judged(store: CheckpointStore, before: Path, newest: Path, name: str) -> list[str]:
    """What went wrong: the damage not seen, another checkpoint used, file or reason not told."""
    said, wrong = io.StringIO(), []
    reason = verify(newest)
    with contextlib.redirect_stdout(said):
        found = store.newest()
    if found != before:
        wrong.append(f"{found and found.name} was used")
    if reason is None or reason not in said.getvalue() or not (name in reason or "manifest" in reason):
        wrong.append(f"the message was {said.getvalue()!r}")
    return wrong


def _all_bad(store: CheckpointStore) -> list[str]:
    """All checkpoints damaged: the real command must stop, and never begin again from nothing."""
    for path in store.all():
        _flip(path / "model.safetensors")
    run = store.folder.parent
    code = _trial.wait(_trial.start(_trial.config(run, "train.epochs=4", "train.keep_last=3", "resume=auto")))
    said = _trial.tail(run)
    return [] if code == 1 and "all checkpoints are damaged" in said else [f"all bad: exit {code}: {said}"]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: random.randrange(len(content))])


def _zero(path: Path) -> None:
    content = bytearray(path.read_bytes())
    while True:  # a block that holds something: zeros over zeros are no damage
        start = random.randrange(0, len(content), 4096)
        block = content[start : start + 4096]
        if any(block):
            break
    content[start : start + 4096] = bytes(len(block))
    path.write_bytes(content)


def _swap(path: Path, other: Path) -> None:
    same = other / path.name
    whole_other = same.read_bytes() != path.read_bytes()
    shutil.copy(same if whole_other else other / "model.safetensors", path)


if __name__ == "__main__":
    main()
