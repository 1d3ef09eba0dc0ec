"""Benchmark: near copies among images: how many are found, how many distinct pairs are taken for copies, and the time.

python scripts/bench/audit.py rates [SETS]     about a minute a set, of those that are there
python scripts/bench/audit.py time [COUNTS]    5,000 and 10,000 made images of 64 pixels; some 7 s of CPU a thousand

Half of each set is the training part. 30 of it are planted into the test part, changed in each way; a pair of others that is
called a copy is a false alarm, though drawings of one series may well be copies. In brackets: how many of the 30 are called a
copy of any image, where some are taken for one of another than their own.
"""

from __future__ import annotations

import io
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import pandas as pd
from _audit_sets import SETS, SIDE, each
from PIL import Image

from multimodal_lab.data.audit import near_images
from multimodal_lab.data.audit.membership import Parts, parts
from multimodal_lab.data.audit.signature import thumbnail

PLANTED, MOST = 30, 1600
Change = Callable[[np.ndarray], np.ndarray]


def cropped(part: float, rng: np.random.Generator) -> Change:
    """A part of the side, anywhere, brought to the size of the whole."""

    def change(x: np.ndarray) -> np.ndarray:
        size = round(SIDE * part)
        top, left = rng.integers(0, SIDE - size + 1, 2)
        box = (left, top, left + size, top + size)
        return each(x, lambda image: image.crop(box).resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    return change


def rotated(degrees: float, rng: np.random.Generator) -> Change:
    """To the left or to the right; what comes in is black."""

    def change(x: np.ndarray) -> np.ndarray:
        angle = degrees * rng.choice([-1, 1])
        return each(x, lambda image: image.rotate(angle, Image.Resampling.BICUBIC))

    return change


def shifted(x: np.ndarray, down: int, right: int) -> np.ndarray:
    """Moved; what comes in is the edge."""
    rows, columns = (np.clip(np.arange(SIDE) - by, 0, SIDE - 1) for by in (down, right))
    return x[:, rows][:, :, columns]


def jpeg(x: np.ndarray) -> np.ndarray:
    """Written at quality 85 and read; of other than three bands each by itself."""
    if len(x) != 3:
        return each(x, _jpeg)
    return np.moveaxis(np.asarray(_jpeg(Image.fromarray(np.moveaxis(x, 0, -1)))), -1, 0)


def _jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return Image.open(buffer)


def grey(x: np.ndarray) -> np.ndarray:
    """As image libraries make it, in as many bands."""
    return x if len(x) < 3 else np.stack([np.round(np.tensordot([0.299, 0.587, 0.114], x, 1)).astype(np.uint8)] * 3)


def changes(rng: np.random.Generator) -> dict[str, Change]:
    """What may be done to a copy."""
    ways = [(4, 0), (-4, 0), (0, 4), (0, -4), (4, 4), (-4, 4)]
    return {
        "mirrored": lambda x: x[..., ::-1],
        "turned by 90°": lambda x: np.rot90(x, 1, (1, 2)),
        "turned by 180°": lambda x: np.rot90(x, 2, (1, 2)),
        "turned by 5°": rotated(5, rng),
        "95 % of the side": cropped(0.95, rng),
        "85 % of the side": cropped(0.85, rng),
        "shifted by 4 pixels": lambda x: shifted(x, *ways[rng.integers(len(ways))]),
        "grey": grey,
        "JPEG": jpeg,
        "resized": lambda x: each(x, lambda image: image.resize((45, 45)).resize((SIDE, SIDE))),
        "brighter": lambda x: np.clip(np.round(x * 1.15 + 8), 0, 255).astype(np.uint8),
    }


def split(train: int, test: int) -> Parts:
    """The first rows are trained on, the others tested."""
    rows = {"train": np.arange(train), "test": np.arange(train, train + test)}
    return parts(rows, pd.DataFrame({"id": [str(i) for i in range(train + test)]}), np.arange(train + test), None)


def rates(name: str) -> None:
    """One line of what is found in a set."""
    rng = np.random.default_rng(0)
    x = SETS[name]()
    x = x[rng.permutation(len(x))][:MOST]
    half, made = len(x) // 2, changes(rng)
    planted = rng.permutation(half)[:PLANTED]
    copies = [np.stack([change(x[i]) for i in planted]) for change in made.values()]
    thumbs = thumbnail(np.concatenate([x, *copies]).astype(np.float32))
    own = split(half, len(thumbs) - half)
    found = near_images.near(thumbs, np.ones(len(thumbs), dtype=bool), np.arange(len(thumbs)), own)
    true = dict(zip(range(len(x), len(thumbs)), np.tile(planted, len(made)).tolist(), strict=True))
    right = {h for h, f in zip(found.held.tolist(), found.first.tolist(), strict=True) if true.get(h) == f}
    hits = {
        change: (_planted(right, k, len(x)), _planted(found.held.tolist(), k, len(x))) for k, change in enumerate(made)
    }
    wrong = int((found.held < len(x)).sum())
    told = ", ".join(f"{change} {own}" + (f" ({some})" if some > own else "") for change, (own, some) in hits.items())
    print(
        f"{name}: of {PLANTED} each: {told}; {wrong} of {len(x) - half} others ({wrong / half / (len(x) - half):.1e} of pairs)"
    )


def _planted(held: Iterable[int], change: int, before: int) -> int:
    """How many of the copies that were changed in this way are among these rows."""
    return sum(before + change * PLANTED <= h < before + (change + 1) * PLANTED for h in held)


def timed(count: int) -> None:
    """Made images, seven tenths of them trained on, a hundredth of the others copies; seconds of CPU."""
    rng = np.random.default_rng(0)
    thumbs = np.zeros((count, 3, 32, 32), dtype=np.uint8)
    wave = np.cos(np.pi * (np.arange(SIDE) + 0.5)[:, None] * np.arange(12) / SIDE)
    spent, train = 0.0, count * 7 // 10
    for start in range(0, count, 1000):
        x = wave @ (rng.normal(size=(min(1000, count - start), 3, 12, 12)) / (1 + np.arange(12))) @ wave.T
        began = time.process_time()
        thumbs[start : start + len(x)] = thumbnail(x.astype(np.float32))
        spent += time.process_time() - began
    copied = np.arange(train, count, 100)
    thumbs[copied] = thumbs[copied - train][..., ::-1]
    began = time.process_time()
    found = near_images.near(thumbs, np.ones(count, dtype=bool), np.arange(count), split(train, count - train))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    right = int(np.isin(copied, found.held[found.first == found.held - train]).sum())
    print(
        f"{count:,} images: thumbnails {spent:.0f} s of CPU, near copies {time.process_time() - began:.0f} s, "
        f"peak memory {peak:.1f} GB; {right} of {len(copied)} copies found, {len(found.held) - right} others"
    )


if __name__ == "__main__":
    what, *asked = sys.argv[1:] or ["rates"]
    if what == "time":
        for number in asked or ["5000", "10000"]:
            timed(int(number))
    else:
        for name in asked or SETS:
            rates(name)
