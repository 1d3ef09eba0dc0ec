"""Alignment and uniformity on the unit hypersphere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS = 1024  # a tile of 8 MB whatever N is


def alignment(x: Tensor, y: Tensor, alpha: float = 2.0) -> float:
    """Mean distance between the two embeddings of one sample, to the power alpha; 0 is perfect, 4 the worst at alpha 2.

    x, y (N, D), row i of both is one sample; made unit here. Wang & Isola 2020, equation 7.
    """
    x, y = F.normalize(x.double(), dim=1), F.normalize(y.double(), dim=1)
    return float((x - y).norm(dim=1).pow(alpha).mean())


def uniformity(x: Tensor, t: float = 2.0) -> float:
    """Log of the mean Gaussian potential over distinct pairs of x (N, D): 0 is a collapse, lower spreads more.

    Rows are made unit here; N >= 2. Wang & Isola 2020, equation 8; uniform on a wide sphere is -2t.
    """
    if len(x) < 2:
        raise ValueError(f"uniformity needs at least 2 rows, got {len(x)}")
    x = F.normalize(x.double(), dim=1)
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    parts = torch.split(x, _ROWS)
    for i, rows in enumerate(parts):
        for j, columns in enumerate(parts[i:]):
            # |u - v|^2 = 2 - 2 u.v: its rounding, 1e-16, is nothing to the exponential
            potential = (rows @ columns.T).sub_(1).mul_(2 * t).exp_()
            if j == 0:
                potential.fill_diagonal_(0)
            total += potential.sum() * (1 if j == 0 else 2)
    return float((total / (len(x) * (len(x) - 1))).log())
