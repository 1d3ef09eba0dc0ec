"""Bands of coarser pixels brought to the grid of the finest, by a method that has a name."""

from __future__ import annotations

from typing import Literal

import numpy as np

Method = Literal["nearest", "bilinear", "bicubic"]


def to_grid(values: np.ndarray, size: tuple[int, int], method: Method) -> np.ndarray:
    """(H, W) to (`size`): `nearest` keeps type and values, each pixel that of its centre; the others are float32, as torch's
    `interpolate` without aligned corners.
    """
    if values.shape == size:
        return values
    if method == "nearest":
        if size[0] % values.shape[0] == 0 and size[1] % values.shape[1] == 0:
            made: np.ndarray = values.repeat(size[0] // values.shape[0], 0).repeat(size[1] // values.shape[1], 1)
            return made
        rows, columns = (((np.arange(n) + 0.5) * old / n).astype(np.intp) for n, old in zip(size, values.shape))
        return np.asarray(values[rows[:, None], columns])
    import torch
    from torch.nn.functional import interpolate

    x = torch.from_numpy(values.astype(np.float32))[None, None]
    return np.asarray(interpolate(x, size=size, mode=method, align_corners=False)[0, 0].numpy())
