"""Benchmark: augmentation against kornia's chain of separate resamplings, CPU time on one thread.

python scripts/bench/augment.py

The chains draw from the same distributions; ours resamples once where kornia does two to five times, so these are ratios
of pipelines. That each single operation equals kornia's own is a test (tests/augment).
"""

from __future__ import annotations

from typing import Any

import kornia.augmentation as K
import torch
from _measure import ratios, row
from torch import Tensor
from torch.nn import functional as F

from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.geometry import (
    RandomHorizontalFlip,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
    RandomThinPlateSpline,
    RandomVerticalFlip,
)
from multimodal_lab.augment.spectral import RandomBandDropout
from multimodal_lab.augment.texture import RandomErasing, RandomGaussianBlur, RandomGaussianNoise
from multimodal_lab.types import Band, Batch, Stream

SIZES = {3: (32, 128), 7: (16, 128), 408: (8, 64)}


def batch(bands: int) -> tuple[Batch, dict[str, Stream]]:
    """One image stream of `bands` bands."""
    rows, size = SIZES[bands]
    x = torch.rand(rows, bands, size, size)
    stream = Stream("x", "image", bands=tuple(Band(f"b{i}") for i in range(bands)))
    ids = torch.arange(rows)
    return Batch({"x": x}, {}, {"x": torch.ones(rows, dtype=torch.bool)}, ids, ids), {"x": stream}


def compare(name: str, ours: dict[str, Any], theirs: list[Any], bands: int, goal: float | None) -> None:
    """One row: our chain over kornia's, beside the time of a single grid_sample."""
    made, streams = batch(bands)
    x: Tensor = made.inputs["x"]
    augment = Augment(streams, ops=ours, views=1)
    chain = K.AugmentationSequential(*theirs, data_keys=["input"])
    whole = F.affine_grid(torch.eye(2, 3).expand(len(x), 2, 3), list(x.shape), align_corners=False)
    step = iter(range(10**9))
    found = ratios(
        {
            "kornia": lambda: chain(x),
            "ours": lambda: augment(made, 0, next(step)),
            "one grid_sample": lambda: F.grid_sample(x, whole, align_corners=False),
        },
        "kornia",
        rounds=21,  # who is moved is drawn anew each round
    )
    limit = ("one grid_sample", found["one grid_sample"])
    row(f"{name}, {bands} bands", found["ours"], goal=goal, peers=[("kornia", 1.0)], limit=limit)


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for bands, goal in ((3, 0.25), (7, 0.35), (408, 0.2)):
        size = SIZES[bands][1]
        ours = {
            "crop": RandomResizedCrop(scale=(0.3, 1.0)), "left": RandomHorizontalFlip(p=0.5),
            "top": RandomVerticalFlip(p=0.5), "turn": RandomRotation(degrees=20.0, p=1.0),
            "tilt": RandomPerspective(distortion_scale=0.5, p=1.0),
        }  # fmt: skip
        theirs = [
            K.RandomResizedCrop((size, size), scale=(0.3, 1.0)), K.RandomHorizontalFlip(), K.RandomVerticalFlip(),
            K.RandomRotation(20.0, p=1.0), K.RandomPerspective(0.5, p=1.0),
        ]  # fmt: skip
        compare("crop, flips, rotation, perspective", ours, theirs, bands, goal)
    for bands, goal in ((3, 0.2), (7, 0.2), (408, None)):
        spline = {"bend": RandomThinPlateSpline(scale=0.2, p=1.0)}
        compare("thin-plate spline", spline, [K.RandomThinPlateSpline(0.2, p=1.0)], bands, goal)
    for blur in (False, True):
        ours = {
            "drop": RandomBandDropout(max_bands=10, p=0.2), "noise": RandomGaussianNoise(std=0.02, p=0.3),
            **({"blur": RandomGaussianBlur(p=0.25)} if blur else {}), "erase": RandomErasing(p=0.25),
            "top": RandomVerticalFlip(p=0.5), "turn": RandomRotation(degrees=45.0, p=0.5),
            "tilt": RandomPerspective(distortion_scale=0.5, p=0.5), "crop": RandomResizedCrop(scale=(0.05, 1.0)),
        }  # fmt: skip
        theirs = [
            K.RandomGaussianNoise(std=0.02, p=0.3), *([K.RandomGaussianBlur((3, 3), (0.1, 2.0), p=0.25)] if blur else []),
            K.RandomErasing(p=0.25), K.RandomVerticalFlip(), K.RandomRotation(45.0, p=0.5),
            K.RandomPerspective(0.5, p=0.5), K.RandomResizedCrop((64, 64), scale=(0.05, 1.0)),
        ]  # fmt: skip
        compare(f"a whole pipeline {'with' if blur else 'without'} blur", ours, theirs, 408, 0.2)


if __name__ == "__main__":
    main()
