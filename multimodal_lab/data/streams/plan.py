"""Stream plans: what a modality YAML asks for, and the statistics fitted to a training split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multimodal_lab.data import kinds
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.bands import resolve
from multimodal_lab.types import Band, Stream


@dataclass(frozen=True)
class StreamPlan:
    """One stream: `stored` is what the reader is asked for, the rest says what is made of it."""

    stored: Stream
    target: bool = False
    pca: int = 0
    vocab: int = 2000
    length: int = 24
    model: str = "word"


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


@dataclass
class StreamStatistics:
    """What was fitted to the training split for one stream, in plain JSON types.

    layout: `shape`, `dtype`, `full_scale`, `masked` of what is stored. scaling: facts of the policy, or whatever else a
    kind of another package learns. pca: `mean` (C,)
    and `components` (k, C). tokenizer: its JSON text. mean, std: per band of the finished stream. size: its pixels a
    side.
    """

    layout: dict[str, Any] = field(default_factory=dict)
    scaling: dict[str, Any] = field(default_factory=dict)
    pca: dict[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    size: int | None = None
    vocab: int | None = None


def finished(plan: StreamPlan, fitted: StreamStatistics) -> Stream:
    """The stream that a backbone is built for."""
    return kinds.of(plan.stored).stream(plan, fitted)


def project(x: np.ndarray, pca: dict[str, Any]) -> np.ndarray:
    """(C, H, W) or (C,) onto the fitted components: (k, …) float32."""
    mean = np.asarray(pca["mean"], dtype=np.float32).reshape(-1, *(1,) * (x.ndim - 1))
    # One order in memory, whatever a reader's view has: another one would sum in another order.
    return np.tensordot(np.asarray(pca["components"], dtype=np.float32), np.ascontiguousarray(x - mean), 1)
