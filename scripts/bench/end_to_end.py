"""Benchmark: SimCLR end to end, samples per second against lightly with Lightning and its own transforms.

python scripts/bench/end_to_end.py [rounds] [backbone ...]     three rounds of a backbone take some nine minutes

10,000 PNG images of 32 x 32 pixels in a folder. Both start as a user starts them, each in a process of its own, in
alternation: the same backbone, batch and epochs, on two cores. Wall time, page cache warm. One row for the whole process,
imports and decoding included, one for an epoch alone: a long training less a short one.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _measure import Ratio, row
from PIL import Image

IMAGES, SIDE, BATCH, SHORT, LONG, WORKERS = 10_000, 32, 256, 1, 4, 2
GOAL = 1 / 1.5  # of lightly's time


def draw(folder: Path) -> None:
    """Smooth coloured noise, one PNG an image, in two folders."""
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        coarse = rng.integers(0, 255, (5, 5, 3), dtype=np.uint8)
        where = folder / "ab"[i % 2]
        where.mkdir(exist_ok=True)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(where / f"{i:05d}.png")


def ours(images: Path, backbone: str, epochs: int, out: Path) -> list[str]:
    """The command of a run that trains and scores nothing."""
    return [
        sys.executable, "-m", "multimodal_lab.run", "data=images", f"data.root={images}", "modality=rgb",
        "data.size=32", "data.cache=true", f"data.batch_size={BATCH}",
        f"backbone={backbone}", "fusion=separate", "head=projection", "loss=simclr", "augment=simclr",
        f"train.epochs={epochs}", "train.validate_every=0", "evaluate=[]", "log=none", "figures=[]", f"dir={out}",
    ]  # fmt: skip


def seconds(command: list[str]) -> float:
    """Wall seconds of a process that must end well."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - began


def compare(images: Path, backbone: str, rounds: int) -> None:
    """The rows of one backbone."""
    peer = [sys.executable, str(Path(__file__).with_name("_simclr_lightly.py")), str(images), backbone]
    spent: dict[tuple[str, int], list[float]] = {}
    for i in range(rounds):
        for epochs in (SHORT, LONG):
            with tempfile.TemporaryDirectory() as folder:
                work = {
                    "ours": ours(images, backbone, epochs, Path(folder) / "run"),
                    "lightly": [*peer, str(epochs), str(BATCH), str(WORKERS)],
                }
                for name in sorted(work, reverse=bool(i % 2)):
                    spent.setdefault((name, epochs), []).append(seconds(work[name]))
    whole = {name: spent[name, LONG] for name in ("ours", "lightly")}
    epoch = {n: [b - a for a, b in zip(spent[n, SHORT], spent[n, LONG], strict=True)] for n in ("ours", "lightly")}
    for what, found, passes in (("whole process", whole, LONG), ("an epoch alone", epoch, LONG - SHORT)):
        shares = [a / b for a, b in zip(found["ours"], found["lightly"], strict=True)]
        low, middle, high = statistics.quantiles(shares, n=4) if rounds > 1 else shares * 3
        rate = {name: passes * IMAGES / statistics.median(found[name]) for name in found}
        row(
            f"SimCLR, {backbone}, {what}", Ratio(middle, low, high, 1000 * statistics.median(found["ours"])),
            goal=GOAL if backbone == "convnet" else None, peers=[("lightly", 1.0)],
            note=f"{rate['ours']:.0f} samples/s, lightly {rate['lightly']:.0f}: {1 / middle:.1f} times as fast",
        )  # fmt: skip


def main() -> None:
    """Draw the images, then compare."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        for backbone in sys.argv[2:] or ["convnet", "resnet18"]:
            compare(Path(folder), backbone, rounds)


if __name__ == "__main__":
    main()
