"""Benchmark: what it costs to tell every pixel of a large scene, in seconds and memory.

python scripts/bench/scene.py [side=4000] [window=64] [threads=2]

A run on a small made-up scene of four bands and three classes is trained, then a scene of side x side pixels (uint16, deflate,
tiles of 256) is told to a GeoTIFF in a process of its own: seconds of CPU and of wall time, the peak of its memory, and the
share of right pixels. Goal: 4,000 x 4,000 pixels of four bands within 2 GB.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

NAMES = ("B02", "B03", "B04", "B08")
LOOKS = np.array([[900, 700, 400, 200], [300, 500, 300, 3000], [800, 1000, 1300, 1900]])
SMALL, FIELD, GOAL = 128, 16, 2.0  # pixels a side of the scene that is learnt and of a field; GB
CARD = "{_target_: multimodal_lab.data.readers.card.card, bands: [B02, B03, B04, B08]}"
MAP = "{kind: map, role: target, field: map, bands: all, names: {1: water, 2: forest, 3: field}}"
RUN = [
    "data=scene_tiles", "data.source.cube=cube.npy", "data.source.map=map.npy", "data.source.patch=32", "data.source.block=32",
    f"+data.source.card={CARD}", "~modality.rgb", "~modality.uv", "+modality.s2={kind: image, bands: all}",
    f"+modality.cover={MAP}",
    "backbone.widths=[16,32]", "fusion=separate", "head=segment", "loss=segment", "augment=flips", "evaluate=[head]",
    "label=cover", "log=none", "figures=[]", "data.batch_size=4", "train.epochs=40", "train.validate_every=0", "optim.lr=5e-3",
]  # fmt: skip


def made(side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A cube (side, side, 4) uint16 and the class 1, 2, 3 of each pixel, field by field."""
    draw = np.random.default_rng(seed)
    fields = draw.integers(0, 3, (-(-side // FIELD), -(-side // FIELD)))
    place = fields.repeat(FIELD, 0).repeat(FIELD, 1)[:side, :side].astype(np.uint8)
    noise = draw.integers(-150, 151, (side, side, 4), dtype=np.int16)
    return (LOOKS.astype(np.int16)[place] + noise).clip(1).astype(np.uint16), place + np.uint8(1)


def main() -> None:
    """Train, tell, and print one line."""
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    side, window, threads = (int(words.get(k, v)) for k, v in (("side", 4000), ("window", 64), ("threads", 2)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cube, classes = made(SMALL, 0)
        np.save(folder / "cube.npy", cube)
        np.save(folder / "map.npy", classes)
        _call("run", *RUN, f"data.root={folder}", f"dir={folder / 'run'}")
        cube, classes = made(side, 1)
        scene, out = folder / "scene.tif", folder / "map.tif"
        tifffile.imwrite(
            scene, np.moveaxis(cube, 2, 0), tile=(256, 256), compression="zlib", photometric="minisblack", planarconfig="separate"
        )  # fmt: skip
        del cube
        began, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        resource_kb = _call(
            "predict", f"run={folder / 'run'}", f"scene={scene}", f"out={out}", "bands=run", f"window={window}", threads=threads
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        right = float((tifffile.imread(out) == classes).mean())
        print(f"{'scene':>14}{'CPU s':>9}{'wall s':>9}{'GB':>7}{'goal':>7}{'right':>8}")
        size = f"{side} x {side} x {len(NAMES)}"
        print(f"{size:>14}{cpu:9.1f}{time.time() - began:9.1f}{resource_kb / 1e6:7.2f}{GOAL:7.2f}{right:8.3f}")


def _call(command: str, *words: str, threads: int = 2) -> int:
    """Run a command of the package; the peak of its memory in kB."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen([sys.executable, "-m", f"multimodal_lab.{command}", *words], env=env)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_maxrss


if __name__ == "__main__":
    main()
