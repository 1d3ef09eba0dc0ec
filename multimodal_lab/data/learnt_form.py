"""Whether what a record says that a stream learnt are numbers, and as many as its bands need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from multimodal_lab.data.source import DataError


def require_learnt(name: str, facts: Mapping[str, Any], policy: Any) -> None:
    """`DataError` for an entry of the stream `name` of a data record by which its values can't be scaled or normalised.

    facts: the entry. policy: of scaling, which states in `per_band` what it learns of each stored band.
    """
    stored, made = len(facts["stored"]), len(facts["bands"])
    for key in ("mean", "std", "fill"):
        if facts.get(key):
            _require(f"streams.{name}.{key}", facts[key], made)
    learnt = facts.get("scaling", {})
    for key in getattr(policy, "per_band", ()) if learnt else ():
        _require(f"streams.{name}.scaling.{key}", learnt.get(key), stored)
    if pca := facts.get("pca"):
        _require(f"streams.{name}.pca.mean", pca.get("mean"), stored)
        rows = pca.get("components")
        _require(f"streams.{name}.pca.components", [0.0] * len(rows) if isinstance(rows, list) else rows, made)
        for i, row in enumerate(rows):
            _require(f"streams.{name}.pca.components.{i}", row, stored)


def _require(where: str, found: Any, count: int) -> None:
    whole = isinstance(found, list) and len(found) == count
    if not whole or not all(isinstance(x, int | float) and not isinstance(x, bool) and _fits(x) for x in found):
        s = "" if count == 1 else "s"
        raise DataError(f"the run's data record: {where} is {str(found)[:60]}, expected {count} number{s}, one a band")


def _fits(x: float) -> bool:
    return math.isfinite(x) and abs(x) < 1e38  # of float32
