"""Pixels without a value: which they are, what they hold, what a run says of them. Between reader and network they are NaN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from multimodal_lab.data.kind import Samples, StreamStatistics
from multimodal_lab.data.source import DataError, Raw

Rule = Literal["any", "all"]


def measured(x: np.ndarray, rule: Rule) -> np.ndarray | None:
    """(H, W) bool of (C, H, W): where no band is NaN (`any` makes a pixel missing) or not `all` are; None: everywhere."""
    if x.dtype.kind != "f" or not np.isnan(np.min(x)):  # a minimum is NaN where a value is
        return None
    missing = np.isnan(x)
    return np.asarray(~(missing.any(0) if rule == "any" else missing.all(0)))


def both(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    """Where two masks are True; None is everywhere."""
    if a is None or b is None:
        return b if a is None else a
    return np.asarray(a & b)


def mark(samples: Samples, raw: Raw) -> None:
    """Make NaN of every image's value that `raw.missing` names; an image without a pixel left becomes a missing stream.

    `DataError` where that takes the last stream of bands.
    """
    gone = []
    for name, kind in samples.kinds.items():
        x = raw.inputs[name]
        if x is None or not kind.spatial:
            continue
        missing = raw.missing.get(name)
        if missing is not None and missing.any():
            x = raw.inputs[name] = np.where(missing, np.float32(np.nan), x)
        known = measured(x, samples.nodata)
        inside = both(known, raw.mask)
        if known is not None and inside is not None and not inside.any():
            gone.append(f"{samples.plans[name].stored.bands[int(np.isnan(x).sum((1, 2)).argmax())].name} of {name}")
            raw.inputs[name], raw.missing[name] = None, np.ones((1, 1), dtype=bool)
    if gone and all(raw.inputs[name] is None for name, kind in samples.kinds.items() if kind.has_bands):
        raise DataError(
            f"no pixel{'' if raw.mask is None else ' inside its mask'} was measured (nodata or NaN, as in band {gone[0]}); "
            "take it out, data.nodata=all takes pixels that any band has, or data.on_error=skip makes it missing"
        )


def blank(x: np.ndarray, seen: np.ndarray | None, fitted: StreamStatistics, rule: Rule) -> np.ndarray:
    """(C, H, W) that holds the stream's `fill` where a pixel is not `seen` and where a value is NaN.

    While the stream's statistics are being learnt, NaN stays: it is what has no part in them.
    """
    if not fitted.mean:
        return x
    fill = np.float32(0) if not fitted.fill else np.array(fitted.fill, dtype=np.float32)[:, None, None]
    x = x if seen is None else np.where(seen, x, fill)
    return np.where(np.isnan(x), fill, x) if rule == "all" else x


class Tally:
    """Counts the samples that lack pixels (`any`) or values (`all`), and their share."""

    def __init__(self) -> None:
        self.of = self.some = self.none = 0
        self.lost = 0.0

    def add(self, raw: Raw, name: str, rule: Rule) -> None:
        """Take in one sample, read and marked."""
        x = raw.inputs[name]
        if x is None:
            self.none += name in raw.missing
            return
        self.of += 1
        if measured(x, "any") is not None:
            missing = np.isnan(x).any(0, keepdims=True) if rule == "any" else np.isnan(x)
            share = float((missing if raw.mask is None else missing[:, raw.mask]).mean())
            self.some += share > 0
            self.lost += share

    def facts(self) -> dict[str, Any]:
        """See `StreamStatistics.missing`."""
        if not self.some and not self.none:
            return {}
        share = self.lost / max(self.some, 1)
        return {"of": self.of + self.none, "some": self.some, "share": share, "none": self.none}


def notes(learnt: Mapping[str, StreamStatistics], rule: Rule) -> list[str]:
    """What a run says of the pixels that its training images lack, once for streams that lack the same."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for name, fitted in learnt.items():
        if fitted.missing:
            found.setdefault(tuple(fitted.missing.values()), []).append(name)
    what = {"any": "pixels", "all": "values"}[rule]
    said: list[str] = []
    for (of, some, share, none), names in found.items():
        images = f"training images of {', '.join(names)}"
        parts = [f"{share:.1%} of the {what} of {some} of {of} {images} were not measured"] if some else []
        parts += [f"{none} of {of} {images} have no value at all and are missing"] if none else []
        said.append(f"nodata: {'; '.join(parts)}: they are left out of statistics, augmentation and pictures")
    return said
