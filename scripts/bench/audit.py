"""Benchmark: near copies among images: how many are found, how many distinct pairs are taken for copies, and the time.

python scripts/bench/audit.py rates [SETS]     about a minute a set, of those that are there
python scripts/bench/audit.py time [COUNTS]    10,000 and 100,000 made images of 64 pixels

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
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from multimodal_lab.config.instantiate import conf_dir, safe_instantiate
from multimodal_lab.data.audit import near_images
from multimodal_lab.data.audit.membership import Parts, parts
from multimodal_lab.data.audit.signature import thumbnail

SHARED = Path(__file__).parents[3] / "shared" / "data"
SIDE, PLANTED, MOST = 64, 30, 1600
Images = np.ndarray  # (n, C, 64, 64) uint8
Change = Callable[[np.ndarray], np.ndarray]


def each(x: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Every band of an image, changed by Pillow."""
    return np.stack([np.asarray(change(Image.fromarray(band))) for band in x])


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


def specimens(stream: str) -> Images:
    """The embedded specimens, one view of each of 400 individuals."""
    words = [
        "data=specimens",
        "data.source.individuals=400",
        f"data.source.size={SIDE}",
        "modality=rgb_uv",
        "data.verify=headers",
    ]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", words)
    modality: Any = OmegaConf.to_container(config.modality, resolve=True)
    data = safe_instantiate(config.data).prepare(modality, 0)
    x = data.stack(np.arange(0, len(data.samples), 2), None).values[stream].numpy()
    return np.round(255 * np.clip(x, 0, 1)).astype(np.uint8)


def pictures(folder: str) -> Images:
    """PNG files, on white."""
    found = []
    for path in sorted((SHARED / folder).rglob("*.png")):
        image = Image.open(path).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        found.append(np.moveaxis(np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)), -1, 0))
    return np.stack(found)


def scenes(bands: slice) -> Images:
    """TIFF files of RGB and near infrared."""
    import tifffile

    found = []
    for path in sorted((SHARED / "research_only/vis_nir_scenes/tif").glob("*.tif")):
        x = tifffile.imread(path)
        x = np.moveaxis(x, -1, 0) if x.shape[-1] == 4 else x
        x = np.round(x / np.iinfo(x.dtype).max * 255).astype(np.uint8)[bands]
        found.append(each(x, lambda image: image.resize((SIDE, SIDE), Image.Resampling.BOX)))
    return np.stack(found)


def squares(x: np.ndarray) -> Images:
    """Images (n, C, H, W) of any values, each band from its 1st to its 99th percentile over all images, at 64 pixels."""
    low, high = np.nanpercentile(x, (1, 99), (0, 2, 3), keepdims=True)
    grey8 = np.round(255 * np.clip((x - low) / (high - low), 0, 1)).astype(np.uint8)
    return np.stack([each(own, lambda image: image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for own in grey8])


def tiles(sensor: str, bands: list[int]) -> Images:
    """Tiles of Sentinel-1 (VV, VH) or Sentinel-2, 40 pixels each."""
    import h5py

    with h5py.File(SHARED / "open/eo_samples/s1s2_tiles.h5") as file:
        return squares(np.asarray(file[sensor])[:, bands].astype(float))


def blocks(side: int = 16) -> Images:
    """Blocks of one airborne hyperspectral scene, of three of its bands."""
    from scipy.io import loadmat

    found = [v for f in sorted((SHARED / "open/indian_pines").rglob("*.mat")) for v in loadmat(f).values()]
    cube = next(v for v in found if getattr(v, "ndim", 0) == 3)[..., [29, 19, 9]].astype(float)
    n = cube.shape[0] // side
    cut = cube[: n * side, : n * side].reshape(n, side, n, side, 3)
    return squares(cut.transpose(0, 2, 4, 1, 3).reshape(-1, 3, side, side))


def depth() -> Images:
    """The middle frame of each clip of a depth camera."""
    import av

    found = []
    for path in sorted((SHARED / "research_only/utd_mhad/depth").rglob("*.mp4")):
        with av.open(str(path)) as file:
            frames = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
        found.append(frames[len(frames) // 2][None])
    return squares(np.stack(found).astype(float))


def skins(detail: int, noise: float, own: float, count: int = 400) -> Images:
    """Smooth skins of one species: a shading that all share, differences of `own` grey levels, and the noise of a sensor."""
    rng = np.random.default_rng(0)
    wave = np.cos(np.pi * (np.arange(SIDE) + 0.5)[:, None] * np.arange(detail) / SIDE)
    weight = 1 / (1 + np.arange(detail) + np.arange(detail)[:, None]) ** 1.2
    drawn = rng.normal(size=(count + 1, 3, detail, detail)) * weight
    drawn = 0.7 * drawn.mean(1, keepdims=True) + 0.3 * drawn  # bands go together
    x = wave @ drawn @ wave.T
    x = 120 + 30 * x[:1] + own * x[1:] + rng.normal(0, noise, (count, 3, SIDE, SIDE))
    return np.round(np.clip(x, 0, 255)).astype(np.uint8)


SETS: dict[str, Callable[[], Images]] = {
    "specimens, RGB": lambda: specimens("rgb"),
    "specimens, UV": lambda: specimens("uv"),
    "emoji, Noto": lambda: pictures("open/emoji/noto"),
    "emoji, Twemoji": lambda: pictures("open/emoji/twemoji"),
    "emoji, Fluent": lambda: pictures("open/emoji/fluent"),
    "drawings": lambda: pictures("open/tuxpaint/png"),
    "scenes, RGB": lambda: scenes(slice(3)),
    "scenes, NIR": lambda: scenes(slice(3, 4)),
    "satellite, RGB": lambda: pictures("open/rsvqa_lr/png"),
    "questions' shapes": lambda: pictures("open/easy_vqa/png"),
    "tiles, Sentinel-2": lambda: tiles("s2", [3, 2, 1]),
    "tiles, Sentinel-1": lambda: tiles("s1", [0, 1]),
    "hyperspectral blocks": blocks,
    "depth frames": depth,
    "skins": lambda: skins(8, 1, 12),
    "smoother skins": lambda: skins(5, 0.5, 12),
}


def split(train: int, test: int) -> Parts:
    """The first rows are trained on, the others tested."""
    rows = {"train": np.arange(train), "test": np.arange(train, train + test)}
    return parts(rows, pd.Series([str(i) for i in range(train + test)]), np.arange(train + test), None)


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
        for number in asked or ["10000", "100000"]:
            timed(int(number))
    else:
        for name in asked or SETS:
            rates(name)
