"""Named resampling of bands of one place to one grid: 10, 20 and 60 m of Sentinel-2 to 10 m."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from multimodal_lab.data.source import DataError

Rule = Literal["none", "nearest", "bilinear", "bicubic", "area"]


def ratio(size: tuple[int, int], grid: tuple[int, int]) -> tuple[int, bool] | None:
    """(k, grows): a pixel of `size` is k x k of `grid`, or k x k of its pixels are one; None where no whole number does it."""
    (height, width), (high, wide) = size, grid
    if high % height == 0 and high // height * width == wide:
        return high // height, True
    if height % high == 0 and height // high * wide == width:
        return height // high, False
    return None


def regrid(
    x: np.ndarray, missing: np.ndarray | None, grid: tuple[int, int], rule: Rule
) -> tuple[np.ndarray, np.ndarray | None]:
    """Bands (C, H, W) at the size of `grid`, and their missing pixels (C, H, W) bool, None where there are none.

    nearest: a larger pixel is repeated, of k x k smaller ones the one at the centre (below and right of it for even k) stays;
    values and type stay. area: a larger pixel is repeated, smaller ones are averaged. bilinear, bicubic (Keys 1981, a = -0.75,
    or -0.5 where it shrinks): between centres of pixels, antialiased where they shrink. All but nearest are float32, and of
    the measured pixels alone; a pixel is missing where the nearest one is.
    """
    found = ratio((x.shape[1], x.shape[2]), grid)
    if found is None:
        raise DataError(f"{x.shape[1]} x {x.shape[2]} pixels are no whole multiple or part of {grid[0]} x {grid[1]}")
    k, grows = found
    gone = None if missing is None else _nearest(missing, k, grows)
    if k == 1:
        return x, missing
    if rule == "nearest" or (rule == "area" and grows):
        return _nearest(x, k, grows), gone
    known = np.ones(x.shape, np.float32) if missing is None else (~missing).astype(np.float32)
    values = np.where(known > 0, x, 0).astype(np.float32)
    if missing is None:
        return _weighted(values, grid, k, rule), None
    share = _weighted(known, grid, k, rule)
    with np.errstate(invalid="ignore", divide="ignore"):
        made = _weighted(values, grid, k, rule) / share
    # the weights of a cubic may be negative: where few pixels add up to little, the nearest is taken
    return np.where(share > 0.5, made, _nearest(values, k, grows)).astype(np.float32), gone


def _nearest(x: np.ndarray, k: int, grows: bool) -> np.ndarray:
    if grows:
        return x.repeat(k, axis=1).repeat(k, axis=2)
    return np.ascontiguousarray(x[:, k // 2 :: k, k // 2 :: k])


def _weighted(x: np.ndarray, grid: tuple[int, int], k: int, rule: Rule) -> np.ndarray:
    if rule == "area":
        return np.asarray(x.reshape(len(x), grid[0], k, grid[1], k).mean((2, 4), dtype=np.float32))
    shrinks = x.shape[1] > grid[0]
    made = F.interpolate(torch.from_numpy(x)[None], grid, mode=rule, antialias=shrinks, align_corners=False)
    return np.asarray(made[0].numpy())
