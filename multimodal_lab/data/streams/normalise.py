"""What a stream is normalised by: the training split's statistics, ImageNet's, given ones, or those of a backbone's weights.

`normalise` of a modality: `train`; `imagenet` or `sat493m`, by the bands R, G and B; `{mean: …, std: …}`, a number or one a
band, in the units that scaling makes; `backbone`, which `experiment.build` replaces by what the backbone says: `{mean, std,
bands, of}`, the bands that its weights know ("R|B04": either name) and their statistics of pictures from 0 to 1, as a processor
rescales images before it normalises them. 1 is the largest value of the stored type, or `white_level` of the modality: the
stored value that a picture shows as white, such as 2000 of reflectance x 10000 (ESA's true-colour images of Sentinel-2 L2A).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from multimodal_lab.data.kind import StreamPlan, StreamStatistics
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.scaling import Scaling
from multimodal_lab.types import Band

RGB = ["R|B04", "G|B03", "B|B02"]
PUBLISHED: dict[str, dict[str, Any]] = {
    "imagenet": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "bands": RGB, "of": "ImageNet"},
    # of the 493 million satellite images of DINOv3 (Siméoni et al. 2025, its model cards)
    "sat493m": {"mean": [0.430, 0.411, 0.296], "std": [0.213, 0.156, 0.143], "bands": RGB, "of": "SAT-493M"},
}


def by_name(key: str, normalise: Any, white_level: Any) -> Any:
    """`normalise` of a modality, a published name replaced by its numbers, with `white_level`; `DataError` if that has no use."""
    found = PUBLISHED.get(normalise, normalise) if isinstance(normalise, str) else normalise
    if white_level is None:
        return found
    if not isinstance(white_level, int | float) or isinstance(white_level, bool) or not white_level > 0:
        raise DataError(f"{key}.white_level: {white_level!r} is not a number above 0")
    if found != "backbone" and not (isinstance(found, Mapping) and "bands" in found):
        raise DataError(
            f"{key}.white_level: it says what mean and std of pictures take for 1; expected normalise=imagenet, sat493m or "
            f"backbone beside it, found {'numbers' if isinstance(found, Mapping) else found}"
        )
    return {**found, "white_level": float(white_level)} if isinstance(found, Mapping) else found


def statistics(
    plan: StreamPlan, fitted: StreamStatistics, scaling: Scaling, mean: np.ndarray, std: np.ndarray
) -> tuple[list[float], list[float]]:
    """(C,) mean and deviation to normalise a stream by, in the units that scaling makes; mean, std: of the training split.

    `DataError` where a choice does not fit the bands or the scaling.
    """
    key = f"modality.{plan.stored.name}.normalise"
    chosen = plan.normalise
    if chosen == "train":
        return mean.tolist(), std.tolist()
    if chosen == "backbone":
        raise DataError(
            f"{key}=backbone: no backbone has told its mean and std here; choose train, imagenet, sat493m or {{mean, std}}"
        )
    if isinstance(chosen, Mapping) and "bands" not in chosen:
        return _each(f"{key}.mean", chosen.get("mean"), len(mean)), _positive(key, chosen.get("std"), len(mean))
    of: Mapping[str, Any] = chosen if isinstance(chosen, Mapping) else PUBLISHED[chosen]
    known = places(plan, of)
    if not known:
        names = ", ".join(band.name for band in _bands(plan)[:6])
        raise DataError(
            f"{key}: {of['of']} knows the bands {', '.join(of['bands'])}, and the stream has none of them ({names}); choose "
            "train or {mean, std}"
        )
    if not getattr(scaling, "elementwise", False) or getattr(scaling, "clip", False):
        raise DataError(
            f"{key}: the mean and std of {of['of']} are of values from 0 to 1 of a range, which data/scaling="
            f"{getattr(scaling, 'choice', type(scaling).__name__)} does not keep; choose data/scaling=dtype_max, or "
            "normalise=train"
        )
    full = fitted.layout["full_scale"]
    white = of.get("white_level", full)
    taken = [place if place is not None else 0 for place in known.values()]
    centre, spread = (np.array([of[what][place] for place in taken]) for what in ("mean", "std"))
    here = list(known)
    out = [mean.copy(), std.copy()]
    # scaling is a line in each band: two points tell it, whatever its own facts are
    low, high = (_scaled(scaling, x * white, here, len(mean), full, fitted) for x in (centre, centre + spread))
    out[0][here], out[1][here] = low, high - low
    return out[0].tolist(), out[1].tolist()


def places(plan: StreamPlan, of: Mapping[str, Any]) -> dict[int, int]:
    """{place of a band in the stream: its place among the bands of `of`} of those that it knows."""
    index = {name: i for i, entry in enumerate(of["bands"]) for name in str(entry).split("|")}
    return {i: index[band.name] for i, band in enumerate(_bands(plan)) if band.name in index}


def note(plan: StreamPlan) -> str:
    """What a run tells of a stream that is not normalised by the training split alone, or ""."""
    chosen = plan.normalise
    if not isinstance(chosen, Mapping) or "bands" not in chosen:
        return ""
    known = places(plan, chosen)
    rest = [band.name for i, band in enumerate(_bands(plan)) if i not in known]
    others = f"; {', '.join(rest)} by those of the training split" if rest else ""
    white = f", white at {chosen['white_level']:g}" if "white_level" in chosen else ""
    return f"normalise: {plan.stored.name} by the mean and std of {chosen['of']}{white}{others}"


def _bands(plan: StreamPlan) -> tuple[Band, ...]:
    return () if plan.pca else plan.stored.bands


def _scaled(
    scaling: Scaling, values: np.ndarray, here: list[int], bands: int, full: float, fitted: StreamStatistics
) -> np.ndarray:
    stored = np.zeros(bands)
    stored[here] = values
    return scaling.apply(stored, None, full, fitted.scaling)[here].astype(np.float64)


def _each(key: str, value: Any, count: int) -> list[float]:
    if value is None:
        raise DataError(f"{key}: missing; expected a number, or one for each band")
    found = [float(v) for v in value] if isinstance(value, list | tuple) else [float(value)] * count
    if len(found) != count:
        raise DataError(f"{key}: {len(found)} numbers for {count} bands; expected one number, or one for each band")
    return found


def _positive(key: str, value: Any, count: int) -> list[float]:
    found = _each(f"{key}.std", value, count)
    if min(found) <= 0:
        raise DataError(f"{key}.std: {min(found):g} is not above 0")
    return found
