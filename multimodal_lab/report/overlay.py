"""A map laid over the picture that it is of."""

from __future__ import annotations

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F

HEAT = "inferno"  # darker is less, in grey too


def overlay(picture: np.ndarray, found: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """picture (H, W, 3) uint8 under a map (h, w) in row order, its first row at the top, made as large by bilinear steps.

    low, high: the values of the ends of the colours, by default those of the map. (H, W, 3) uint8.
    """
    x = torch.tensor(found, dtype=torch.float32)[None, None]  # a copy: what was loaded may not be written to
    large = F.interpolate(x, size=picture.shape[:2], mode="bilinear", align_corners=False)[0, 0].numpy()
    low, high = (float(found.min()) if low is None else low), (float(found.max()) if high is None else high)
    share = ((large - low) / max(high - low, 1e-12)).clip(0, 1)
    heat = matplotlib.colormaps[HEAT](share)[..., :3] * 255
    # what is hot is the map's, what is cold stays the picture's, in grey and darker
    weight = (0.35 + 0.45 * share)[..., None]
    grey = np.repeat(picture.mean(-1, keepdims=True), 3, -1)
    blended: np.ndarray = ((1 - weight) * grey + weight * heat).round().clip(0, 255).astype(np.uint8)
    return blended
