"""The time axis of a stream: how many steps a recording may have, which of them were measured, what is cut."""

from __future__ import annotations

import math

import numpy as np

from multimodal_lab.data.kind import NodataRule, Samples, StreamPlan, StreamStatistics
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.streams.nodata import measured

SAME_RATE = 1e-3  # of the rate: clocks and rounding in headers differ by less, recorders by more


def most(plan: StreamPlan, fitted: StreamStatistics) -> int | None:
    """How many steps the finished stream has; None while the training split is being looked at for its longest."""
    return plan.stored.steps or fitted.steps


def require_steps(name: str, plan: StreamPlan, fitted: StreamStatistics, count: int) -> None:
    """`DataError` for a recording without a step, or longer than its stream and not to be cut."""
    limit = most(plan, fitted)
    if not count:
        raise DataError(f"stream {name} has no steps")
    if limit is not None and count > limit and plan.longer == "refuse":
        whose = "" if plan.stored.steps else ", as the longest of the training split"
        raise DataError(
            f"stream {name} has {count} steps, expected at most {limit}{whose}; modality.{name}.steps={count} takes it "
            f"whole, modality.{name}.longer=cut leaves out its end"
        )


def require_rate(name: str, plan: StreamPlan, raw: Raw, first: float | None) -> None:
    """`DataError` where a recording's rate is not the one that the modality says, or that the samples before it have."""
    now = raw.rates.get(name)
    expected, of = (plan.stored.rate, f"modality.{name}.rate") if plan.stored.rate else (first, "the samples before it")
    if now is not None and expected is not None and not math.isclose(now, expected, rel_tol=SAME_RATE):
        raise DataError(
            f"stream {name} is recorded at {now:g} Hz, expected {expected:g} Hz as {of}; a stream has one rate: resample the "
            "files (sounds are packed at data.source.rate), or take those of another rate for a data set of their own"
        )


def cut(x: np.ndarray, limit: int | None) -> np.ndarray:
    """(C, T, …) without what comes after `limit` steps."""
    return x if limit is None else x[:, :limit]


def shorten(samples: Samples, raw: Raw) -> None:
    """Cut at the end the recordings of a sample that may be longer than their stream (`longer=cut`), and their masks."""
    for name, plan in samples.plans.items():
        if plan.longer == "cut" and (x := raw.inputs[name]) is not None:
            limit = most(plan, samples.fitted[name])
            raw.inputs[name] = cut(x, limit)
            for masks in (raw.measured, raw.seen):
                if (mask := masks.get(name)) is not None and mask.ndim == 3:  # (T, H, W)
                    masks[name] = mask[:limit]


def gaps(x: np.ndarray, rule: NodataRule) -> np.ndarray:
    """(C, T) that is NaN in all bands of a step that was not measured."""
    known = measured(x, rule)
    return x if known is None else np.where(known, x, np.float32(np.nan))


def filled(x: np.ndarray, fill: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, T, …) with `fill` (C,) for NaN, and (T,) bool: which steps hold anything measured."""
    lacking = np.isnan(x)
    real = ~lacking.all((0, *range(2, x.ndim)))
    return np.where(lacking, fill.reshape(-1, *[1] * (x.ndim - 1)), x).astype(np.float32, copy=False), real
