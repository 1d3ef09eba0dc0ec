"""Pixels and steps without a value: what they hold, and how many there are. Between reader and network they are NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_lab.data.kind import NodataRule, Samples, StreamPlan, StreamStatistics
from multimodal_lab.data.source import DataError, Raw


def measured(x: np.ndarray, rule: NodataRule) -> np.ndarray | None:
    """(…) bool of (C, …): where no band is NaN (`any` makes a pixel or step missing) or not `all` are; None: everywhere."""
    if x.dtype.kind != "f" or not np.isnan(np.min(x)):  # a minimum is NaN where a value is
        return None
    missing = np.isnan(x)
    return np.asarray(~(missing.any(0) if rule == "any" else missing.all(0)))


def both(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    """Where two masks are True; None is everywhere."""
    if a is None or b is None or a is b:
        return b if a is None else a
    return np.asarray(a & b)


def at_size(mask: np.ndarray, side: int) -> np.ndarray:
    """A square mask (S, S) at another size, nearest neighbour."""
    if mask.shape[-1] == side:
        return mask
    at = ((np.arange(side) + 0.5) * len(mask) / side).astype(np.int64)
    return mask[at[:, None], at]


def mark(samples: Samples, raw: Raw) -> None:
    """Make NaN of every image's or step's value that `raw.missing` names; one without any left becomes a missing stream.

    Images are looked through for NaN here alone: which pixels hold a value stands in `raw.measured` and `raw.seen` from here on.

    `DataError` where that takes the last stream of bands.
    """
    gone = []
    for name, kind in samples.kinds.items():
        x = raw.inputs[name]
        if x is None or not (kind.spatial or samples.plans[name].timed):
            continue
        missing = raw.missing.get(name)
        if missing is not None and missing.any():
            x = raw.inputs[name] = np.where(missing, np.float32(np.nan), x)
        known = measured(x, samples.nodata)
        inside = both(known, raw.mask if kind.spatial else None)
        if kind.spatial:
            raw.measured[name], raw.seen[name] = known, inside
        if known is not None and inside is not None and not inside.any():
            gone.append(f"{_worst(samples.plans[name], x)} of {name}")
            raw.inputs[name], raw.missing[name] = None, np.ones((1, 1), dtype=bool)
    if gone and all(raw.inputs[name] is None for name, kind in samples.kinds.items() if kind.has_bands):
        what = "pixel" if any(kind.spatial for kind in samples.kinds.values()) else "step"
        raise DataError(
            f"no {what}{'' if raw.mask is None else ' inside its mask'} was measured (nodata or NaN, as in band {gone[0]}); "
            "take it out, data.nodata=all takes pixels that any band has, or data.on_error=skip makes it missing"
        )


def blank(x: np.ndarray, seen: np.ndarray | None, fitted: StreamStatistics, rule: NodataRule) -> np.ndarray:
    """(C, …, H, W) that holds the stream's `fill` where a pixel is not `seen` and where a value is NaN.

    While the stream's statistics are being learnt, NaN stays: it is what has no part in them.
    """
    if not fitted.mean:
        return x
    fill = (
        np.float32(0) if not fitted.fill else np.array(fitted.fill, dtype=np.float32).reshape(-1, *[1] * (x.ndim - 1))
    )
    x = x if seen is None else np.where(seen, x, fill)
    return np.where(np.isnan(x), fill, x) if rule == "all" else x


def _worst(plan: StreamPlan, x: np.ndarray) -> str:
    return plan.stored.bands[int(np.isnan(x).reshape(len(x), -1).sum(1).argmax())].name


class Tally:
    """Counts the samples that lack pixels (`any`) or values (`all`), and their share."""

    def __init__(self) -> None:
        self.of = self.some = self.none = 0
        self.lost = 0.0

    def add(self, raw: Raw, name: str, rule: NodataRule, spatial: bool = True) -> None:
        """Take in one sample, read and marked."""
        x = raw.inputs[name]
        if x is None:
            self.none += name in raw.missing
            return
        self.of += 1
        if measured(x, "any") is not None:
            missing = np.isnan(x).any(0, keepdims=True) if rule == "any" else np.isnan(x)
            share = float((missing if raw.mask is None or not spatial else missing[..., raw.mask]).mean())
            self.some += share > 0
            self.lost += share

    def facts(self) -> dict[str, Any]:
        """See `StreamStatistics.missing`."""
        if not self.some and not self.none:
            return {}
        share = self.lost / max(self.some, 1)
        return {"of": self.of + self.none, "some": self.some, "share": share, "none": self.none}
