"""Which pixels and steps were measured: those that are not NaN."""

from __future__ import annotations

from typing import Literal

import numpy as np

NodataRule = Literal["any", "all"]


def measured(x: np.ndarray, rule: NodataRule) -> np.ndarray | None:
    """(…) bool of (C, …): where no band is NaN (`any` makes a pixel or step missing) or not `all` are; None: everywhere."""
    if x.dtype.kind != "f" or not np.isnan(np.min(x)):  # a minimum is NaN where a value is
        return None
    missing = np.isnan(x)
    return np.asarray(~(missing.any(0) if rule == "any" else missing.all(0)))


def both(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    """Where two masks are True; None is everywhere."""
    if a is None or b is None:
        return b if a is None else a
    return np.asarray(a & b)
