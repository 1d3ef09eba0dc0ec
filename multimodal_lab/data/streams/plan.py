"""What a modality YAML asks for, and the stream that comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_lab.data import kinds
from multimodal_lab.data.kind import StreamPlan, StreamStatistics
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.bands import resolve
from multimodal_lab.types import Band, Stream


def plan(name: str, facts: dict[str, Any], bands: tuple[Band, ...]) -> StreamPlan:
    """Read one entry of a modality YAML; `DataError` names a wrong key or value."""
    stored = resolve(name, facts, bands)
    role = facts.get("role", "input")
    kind = kinds.of(stored)
    if role not in ("input", "target") or (role == "target" and not kind.producible):
        raise DataError(f"modality.{name}.role: {role!r}; a text stream may be input or target, all others are input")
    text = {k: facts[k] for k in ("vocab", "length") if k in facts}
    for key in ("vocab", "length", "tokens"):
        if key in facts and key not in kind.keys:
            raise DataError(f"modality.{name}: {key} belongs to a text stream, this one is {stored.kind}")
    if facts.get("tokens", "word") not in ("word", "bpe"):
        raise DataError(f"modality.{name}.tokens: {facts['tokens']!r}; there are word, bpe")
    for key in ("pca", "vocab", "length"):
        if key in facts and (not isinstance(facts[key], int) or facts[key] < 1):
            raise DataError(f"modality.{name}.{key}: {facts[key]!r} is not a whole number from 1")
    return StreamPlan(stored, role == "target", facts.get("pca", 0), model=facts.get("tokens", "word"), **text)


def finished(plan: StreamPlan, fitted: StreamStatistics) -> Stream:
    """The stream that a backbone is built for."""
    return kinds.of(plan.stored).stream(plan, fitted)


def project(x: np.ndarray, pca: dict[str, Any]) -> np.ndarray:
    """(C, H, W) or (C,) onto the fitted components: (k, …) float32."""
    mean = np.asarray(pca["mean"], dtype=np.float32).reshape(-1, *(1,) * (x.ndim - 1))
    # One order in memory, whatever a reader's view has: another one would sum in another order.
    return np.tensordot(np.asarray(pca["components"], dtype=np.float32), np.ascontiguousarray(x - mean), 1)
