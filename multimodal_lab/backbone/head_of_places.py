"""A timm model's own head, asked about every place of a grid instead of their mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def pools_plainly(model: Any) -> bool:
    """Whether a grid's pooling has no parameters: a mean or a maximum over places."""
    pool = getattr(model, "global_pool", None) or getattr(getattr(model, "head", None), "global_pool", "avg")
    return not any(True for _ in pool.parameters()) if isinstance(pool, nn.Module) else True


@contextlib.contextmanager
def running_statistics_kept(model: Any) -> Iterator[None]:
    """Batch norms of the head do not move: in evaluation they are those of embeddings, not of places."""
    parts = [m for name in ("head", "norm_head") if isinstance(m := getattr(model, name, None), nn.Module)]
    norms = [(m, m.momentum) for part in parts for m in part.modules() if isinstance(m, _BatchNorm)]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum
