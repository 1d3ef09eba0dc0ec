"""Benchmark: training CLIP on 100,000 images with captions, images per second and memory, against open_clip's own training.

python scripts/bench/clip.py [speed] [memory] [data=DIR] [images=100000] [rounds=15] [steps=4]

A quarter of an hour and 2 GB of disk, so no part of `make bench`; `data=DIR` keeps what was made for the next time, `speed`
or `memory` alone measures that.

Drawn images of 64 pixels with five captions each are written as COCO has them, packed by scripts/pack.py, and put into the
tars of webdataset, on which open_clip's users train (one caption an image). Both sides are their own command line, with the
same modules (open_clip's CLIP, 8.9 M parameters), crop, AdamW, schedule, clipping and fp32, one thread to train and one to
read, which is a thread of ours and a process of open_clip's. They train in turn, so many steps at a time, while the other
stands still. Needs `open_clip_torch[training]`: webdataset after 0.2.86 gives what open_clip's reader ends at.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _clip_data import pack, write
from _clip_sides import CONTEXT, DECAY, NAME, RATE, WARMUP, tokenizer
from _measure import Ratio, row

BATCH, LARGE, PART = 256, 4096, 256


def ours(root: Path, folder: Path, batch: int, *more: str) -> list[str]:
    """The words of a run."""
    crop = "{_target_: multimodal_lab.augment.geometry.RandomResizedCrop, scale: [0.9, 1.0], ratio: [0.75, 1.3333], p: 1.0}"
    return [
        "experiment=clip", "data=packed", f"data.root={root / 'packed'}", f"data.batch_size={batch}", "data.workers=1",
        f"modality.text.tokens={root / 'tokens'}", f"modality.text.length={CONTEXT}", f"+augment.ops.crop={crop}",
        f"optim.lr={RATE}", f"optim.weight_decay={DECAY}", f"train.warmup_steps={WARMUP}", "train.epochs=100",
        "train.validate_every=0", "log=none", "evaluate=[]", "figures=[]", f"dir={folder / 'run'}", *more,
    ]  # fmt: skip


def peer(root: Path, folder: Path, batch: int, *more: str) -> list[str]:
    """The words of `open_clip_train.main`."""
    tars = sorted((root / "tars").iterdir())
    found = {
        "model": NAME, "train-data": f"{root / 'tars'}/{{{tars[0].stem}..{tars[-1].stem}}}.tar", "dataset-type": "webdataset",
        "train-num-samples": count(root), "batch-size": batch, "workers": 1, "epochs": 100, "lr": RATE, "wd": DECAY,
        "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "warmup": WARMUP, "grad-clip-norm": 1.0, "precision": "fp32",
        "device": "cpu", "logs": folder / "logs", "log-every-n-steps": 10,
    }  # fmt: skip
    return [*(word for key, value in found.items() for word in (f"--{key}", str(value))), *more]


def count(root: Path) -> int:
    """How many images the tars hold."""
    return int((root / "count").read_text())


class Side:
    """One of both, which waits after every chunk for `turn`."""

    def __init__(self, name: str, folder: Path, steps: int, words: list[str]) -> None:
        folder.mkdir()
        told, theirs = os.pipe()
        waits, self.go = os.pipe()
        script = Path(__file__).with_name("_clip_sides.py")
        self.command = [sys.executable, str(script), name, str(folder), str(steps), str(theirs), str(waits), *words]
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=subprocess.STDOUT, pass_fds=(theirs, waits), start_new_session=True
            )
        os.close(theirs)
        os.close(waits)
        self.lines = os.fdopen(told)

    def heard(self) -> dict[str, float]:
        """What it has to tell, and then stop it with its workers."""
        line = self.lines.readline()
        if not line:
            said = "\n".join(self.log.read_text().splitlines()[-20:])
            raise SystemExit(f"{' '.join(self.command)}\n{said}")
        os.killpg(self.process.pid, signal.SIGSTOP)
        found: dict[str, float] = json.loads(line)
        return found

    def turn(self) -> dict[str, float]:
        """Go on for a chunk; what it took."""
        os.killpg(self.process.pid, signal.SIGCONT)
        os.write(self.go, b".")
        return self.heard()

    def end(self) -> None:
        """Whatever it is doing."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def speed(root: Path, folder: Path, rounds: int, steps: int) -> None:
    """A chunk each in turn; before, the first steps one after the other."""
    words = {"ours": ours(root, folder / "ours", BATCH), "peer": peer(root, folder / "peer", BATCH)}
    sides: dict[str, Side] = {}
    try:
        for name, own in words.items():
            began = time.perf_counter()
            sides[name] = Side(name, folder / name, steps, own)
            first = sides[name].heard()
            took = f"{time.perf_counter() - began:.1f} s, {first['cpu']:.1f} of CPU"
            print(f"{name}: {took}, to the third step", flush=True)
        spent = [{name: sides[name].turn() for name in sorted(sides, reverse=bool(i % 2))} for i in range(rounds)]
    finally:
        for side in sides.values():
            side.end()
    clocks = {"wall": "wall time", "cpu": "CPU time, reading included", "thread": "CPU time of the thread that trains"}
    for clock, what in clocks.items():
        each = [{name: took[clock] for name, took in turn.items()} for turn in spent]
        low, middle, high = statistics.quantiles([t["ours"] / t["peer"] for t in each], n=4)
        median = {name: statistics.median(t[name] for t in each) for name in words}
        rate = {name: steps * BATCH / seconds for name, seconds in median.items()}
        row(
            f"CLIP, {count(root):,} images, batch {BATCH}, {what} of a step",
            Ratio(middle, low, high, 1000 * median["ours"] / steps),
            goal=1.0 if clock == "wall" else None, peers=[("open_clip", 1.0)],
            note=f"{rate['ours']:.0f} images/s, open_clip {rate['peer']:.0f}: {1 / middle:.2f} times as fast",
        )  # fmt: skip


def memory(root: Path, folder: Path) -> None:
    """The first step at the large batch, each way in a process of its own."""
    micro = [f"train.micro_batch={PART}"]
    accumulated = peer(root, folder / "accumulated", PART, "--accum-freq", str(LARGE // PART))
    ways = {
        f"ours, micro_batch={PART}": ("ours", ours(root, folder / "0", LARGE, *micro)),
        "ours, all at once": ("ours", ours(root, folder / "1", LARGE)),
        "open_clip": ("peer", peer(root, folder / "2", LARGE)),
        f"open_clip, accum-freq={LARGE // PART}": ("peer", accumulated),
        "open_clip, grad-checkpointing": ("peer", peer(root, folder / "4", LARGE, "--grad-checkpointing")),
    }
    found = {}
    for i, (what, (name, words)) in enumerate(ways.items()):
        side = Side(name, folder / str(i), 0, words)
        try:
            found[what] = side.heard()
        finally:
            side.end()
    whole = found["open_clip"]["mb"]
    for what, took in found.items():
        row(
            f"extra peak memory, batch {LARGE}: {what}", took["mb"] / whole, goal=0.5 if "micro" in what else None,
            peers=[("open_clip", 1.0)], note=f"{took['mb']:.0f} MB, {took['thread']:.0f} s of CPU",
        )  # fmt: skip


def made(root: Path, images: int) -> None:
    """Draw and pack what is not there yet, and tell what that took."""
    for what, there, work in (
        ("drawn and written", root / "count", lambda: write(root, images, images // 100)),
        ("packed", root / "packed/manifest.json", lambda: pack(root)),
        ("tokenizer", root / "tokens", lambda: tokenizer(root / "tokens")),
    ):
        if not there.exists():
            began = time.perf_counter()
            work()
            print(f"{what}: {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    """Print the table."""
    os.environ |= {"OMP_NUM_THREADS": "1"}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that both sides end, too
    asked = [word for word in sys.argv[1:] if "=" not in word] or ["speed", "memory"]
    given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    with tempfile.TemporaryDirectory() as temporary:
        root, folder = Path(given.get("data", temporary)) / "clip", Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        made(root, int(given.get("images", 100_000)))
        for part in asked:
            (folder / part).mkdir()
        if "speed" in asked:
            speed(root, folder / "speed", int(given.get("rounds", 15)), int(given.get("steps", 4)))
        if "memory" in asked:
            memory(root, folder / "memory")


if __name__ == "__main__":
    main()
