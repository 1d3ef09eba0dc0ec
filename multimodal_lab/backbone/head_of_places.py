"""A timm model's own head, asked about every place of a grid instead of their mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def pools_plainly(model: Any) -> bool:
    """Whether a grid's pooling has no parameters: a mean or a maximum over places."""
    pool = getattr(model, "global_pool", None) or getattr(getattr(model, "head", None), "global_pool", "avg")
    return not any(True for _ in pool.parameters()) if isinstance(pool, nn.Module) else True


def head_of(model: Any) -> list[nn.Module]:
    """The parts of a timm model that make its head."""
    return [m for name in ("head", "norm_head") if isinstance(m := getattr(model, name, None), nn.Module)]


@contextlib.contextmanager
def running_statistics_kept(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Batch norms of these modules do not move."""
    norms = [(m, m.momentum) for part in parts for m in part.modules() if isinstance(m, _BatchNorm)]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in norms:
            norm.momentum = momentum
