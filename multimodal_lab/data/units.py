"""Units of bands: what values of a unit can't be, and what they are instead.

Facts of the field, not of a data set: backscatter in decibel is mostly negative and linear power never is; reflectance lies
between 0 and about 1, and products store it times a factor. A unit that is not known here passes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from multimodal_lab.text import some
from multimodal_lab.types import Band

BRIGHTEST = 4.0  # times a white reference: the mean of no band is above, a glint may be
LINEAR = 2.0  # mean linear power of land, sea and town lies below, and that of values in dB that are all positive above
NODATA = "a value that stands for nodata and is not declared as such"
VOID, LOWEST = -300.0, -0.9  # dB, and reflectance after its correction for the air: nothing measured lies below
LOUDEST = 150.0  # dB, of either sign, as a mean
FACTOR = re.compile(r"(?:[\w.]+ )?reflectance ?(?:x|\*|×) ?(\d+(?:e\d+)?)")
SHARE = re.compile(r"(?:[\w.]+ )?reflectance(?: \(?0 ?(?:-|to|–) ?1\)?)?")
SHOWN = 4  # names
FEWEST = 3  # bands of reflectance from which one sample's values tell: water is black in two of the infrared


@dataclass(frozen=True)
class Values:
    """Some measured values of one unit. whole: they are whole numbers."""

    low: float
    high: float
    mean: float
    whole: bool = False


@dataclass(frozen=True)
class Unit:
    """doubt: names what values are that can't be of the unit, else empty. fine(low, high, whole): whatever the mean, none is."""

    doubt: Callable[[Values], str]
    fine: Callable[[float, float, bool], bool]


@lru_cache
def known(unit: str) -> Unit | None:
    """The unit of this name; None for one that is not known here."""
    text = re.sub(r"\s+", " ", unit.strip().lower())
    if text in ("db", "decibel") or text.endswith(" db"):
        return Unit(_decibel, lambda low, high, whole: -LOUDEST <= low < 0 and high <= LOUDEST)
    if text in ("linear power", "linear"):
        return Unit(_linear, lambda low, high, whole: low >= -1)
    if found := FACTOR.fullmatch(text):
        factor = float(found[1])
        fine = partial(_fine_times, factor=factor)
        return Unit(partial(_times, factor=factor), fine)
    return (
        Unit(_reflectance, lambda low, high, whole: whole or LOWEST < low <= high <= BRIGHTEST)
        if SHARE.fullmatch(text)
        else None
    )


def factor(unit: str) -> float | None:
    """What reflectance is stored times: 10000 of `reflectance x 10000`; None of another unit, and of reflectance itself."""
    found = FACTOR.fullmatch(re.sub(r"\s+", " ", unit.strip().lower()))
    return float(found[1]) if found else None


def doubt(unit: str, values: Values) -> str:
    """What values are that can't be of the unit; empty where they can be, or it is not known."""
    told = known(unit)
    return told.doubt(values) if told is not None and values.high > values.low else ""


def doubtful(unit: str, x: np.ndarray) -> tuple[Values, str] | None:
    """An array of a known unit with what its values are instead; None where nothing is wrong, which is known at a glance."""
    told, low, high = known(unit), np.min(x), np.max(x)
    if told is None or told.fine(float(low), float(high), x.dtype.kind in "iu"):  # not so where one is NaN
        return None
    values = seen(x)
    found = doubt(unit, values) if values is not None else ""
    return (values, found) if values is not None and found else None


def alike(bands: Sequence[Band]) -> dict[str, list[int]]:
    """{known unit: places of its bands}."""
    found: dict[str, list[int]] = {}
    for place, band in enumerate(bands):
        if known(band.unit) is not None:
            found.setdefault(band.unit, []).append(place)
    return found


def tells(unit: str, bands: int) -> bool:
    """Whether one sample of so many bands of a unit is enough to tell."""
    return "reflectance" not in unit.lower() or bands >= FEWEST


def seen(x: np.ndarray) -> Values | None:
    """Of an array of any shape, NaN left out; None where nothing is left."""
    low, high = np.fmin.reduce(x, None), np.fmax.reduce(x, None)
    if np.isnan(low):
        return None
    whole = x.dtype.kind in "iu"
    if not whole and high <= BRIGHTEST:  # only then it is asked for
        whole = bool((np.floor(x) == x)[~np.isnan(x)].all())
    mean = np.nanmean(x, dtype=np.float64) if x.dtype.kind == "f" else x.mean(dtype=np.float64)
    return Values(float(low), float(high), float(mean), whole)


def sentence(stream: str, bands: Sequence[Band], values: Values, found: str, source: Any) -> str:
    """What was found, what the card says, and what to do by keys that `source`, the reader, has. found: see `doubt`."""
    names = some([band.name for band in bands], SHOWN)
    numbers = f"{values.low:.4g} to {values.high:.4g}, mean {values.mean:.4g}"
    what = f"stream {stream}: {names} hold{'s' * (len(bands) == 1)} {numbers}: {found}, and"
    if found == NODATA:
        return f"{what} the unit is {bands[0].unit}; {_declared(source, values.low)}"
    says = f"{what} the card says {bands[0].unit}; convert them, or correct the unit in "
    if getattr(source, "card", None) is not None:
        return f"{says}the data's card (data.source.card.units)"
    if _carded(source):
        return f"{says}the card of the source that has them (source.card.units)"
    return f"{what} what is read here is {bands[0].unit}, which no key changes; convert them"


def _declared(source: Any, value: float) -> str:
    """How to say that a value is nodata."""
    if getattr(source, "card", None) is not None:
        return f"declare it, such as data.source.card.nodata={value:g}"
    if _carded(source):
        return f"declare it in the card of the source that has it, such as source.card.nodata={value:g}"
    if "nodata" in inspect.signature(type(source)).parameters:
        return f"declare it: data.source.nodata={value:g}"
    return "no key declares it here: convert them"


def _carded(source: Any) -> bool:
    """Whether one of the sources of which this one is made has a card."""
    return any(getattr(m.source, "card", None) is not None for m in getattr(source, "members", {}).values())


def _decibel(x: Values) -> str:
    if x.low < VOID:
        return NODATA
    if x.low >= 0 and 0 < x.mean < LINEAR:
        return "linear power, of which dB are 10 * log10"
    return "no decibel but amplitudes or counts" if abs(x.mean) > LOUDEST else ""


def _linear(x: Values) -> str:
    return "dB, as power is never negative" if x.mean < -1 else ""


def _reflectance(x: Values) -> str:
    if x.low <= LOWEST and not x.whole:
        return NODATA
    if x.whole or x.mean <= BRIGHTEST:  # whole numbers may be shares of what their type can hold
        return ""
    return f"no reflectance of 0 to 1 but {'scaled by 10000' if x.high > 400 else '%'}"


def _times(x: Values, factor: float) -> str:
    if x.low <= LOWEST * factor:
        return NODATA
    if factor >= 1000 and 0 < x.high <= LINEAR and not x.whole:
        return "reflectance of 0 to 1"
    return f"no reflectance, which stays below {BRIGHTEST * factor:g}" if x.mean > BRIGHTEST * factor else ""


def _fine_times(low: float, high: float, whole: bool, factor: float) -> bool:
    return LOWEST * factor < low <= high <= BRIGHTEST * factor and (whole or high > LINEAR)
