"""Sets of images for the audit's benchmark, each as (n, C, 64, 64) uint8: made ones, and those of shared data that are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _audit_made import faces, frames, shapes, trifeature
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from multimodal_lab.config.instantiate import conf_dir, safe_instantiate

SHARED = Path(__file__).parents[3] / "shared" / "data"
SIDE = 64
Images = np.ndarray  # (n, C, 64, 64) uint8


def each(x: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Every band of an image, changed by Pillow."""
    return np.stack([np.asarray(change(Image.fromarray(band))) for band in x])


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
    "one fixed camera": lambda: frames(1, 0.25),
    "10 fixed cameras": lambda: frames(10, 0.25),
    "40 fixed cameras": lambda: frames(40, 0.25),
    "trifeature": trifeature,
    "drawn faces": faces,
    "drawn shapes": shapes,
}
