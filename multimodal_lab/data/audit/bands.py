"""Bands that are not what the card says: another unit, one value throughout, the same band twice, two polarisations swapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multimodal_lab.data import units
from multimodal_lab.data.audit import baseline
from multimodal_lab.data.audit.finding import Finding, listed
from multimodal_lab.types import Band

# Of land, sea and ice a radar gets more back in the polarisation that it sent than in the other one.
CROSS = {"VV": "VH", "HH": "HV"}
SWAPPED = 1.0  # dB, as a mean over a set; of Sentinel-1 it is about 7 the other way


def of_stream(
    name: str, bands: Sequence[Band], ranges: Mapping[str, Any], whole: bool, source: Any
) -> Iterator[Finding]:
    """What `BandRanges.facts` of a stream of `source` tells of its bands; whole: they are stored as integers."""
    if not ranges:
        return
    for place, band in enumerate(bands):
        low, high, mean = (ranges[k][place] for k in ("low", "high", "mean"))
        where = f"{name}.{band.name}"
        if low is None:
            sentence = f"stream {name}: band {band.name} has no value in any sample; leave it out of `bands`"
            yield Finding("constant band", where, sentence, False, severity="error")
        elif low == high:
            sentence = f"stream {name}: band {band.name} is {low:.6g} throughout; leave it out of `bands`"
            yield Finding("constant band", where, sentence, False, severity="error")
        else:
            values = units.Values(low, high, mean, whole)
            if found := units.doubt(band.unit, values):
                sentence = units.sentence(name, [band], values, found, source)
                yield Finding("unit", where, sentence, False, severity="error")
    yield from baseline.of_ranges(name, bands, ranges["low"])
    yield from _same(name, bands, ranges["same"])
    yield from _swapped(name, bands, ranges)


def _same(name: str, bands: Sequence[Band], groups: Sequence[Sequence[int]]) -> Iterator[Finding]:
    for group in groups:
        names = tuple(dict.fromkeys(bands[i].name for i in group))
        if len(names) < 2:  # a stream that is told to repeat its bands
            continue
        sentence = (
            f"stream {name}: bands {listed(names)} hold the same values in every sample: one was stored for the other, or "
            "they are one band under several names; see how the files were written, or leave all but one out of `bands`"
        )
        yield Finding("same bands", f"{name}.{names[0]}", sentence, False, len(names), names)


def _swapped(name: str, bands: Sequence[Band], ranges: Mapping[str, Any]) -> Iterator[Finding]:
    at = {band.name: i for i, band in enumerate(bands)}
    for co, cross in CROSS.items():
        if co not in at or cross not in at or not bands[at[co]].unit.lower().endswith("db"):
            continue
        like, other = (ranges["mean"][at[b]] for b in (co, cross))
        if like is not None and other is not None and other - like > SWAPPED:
            sentence = (
                f"stream {name}: {co} has a mean of {like:.2f} dB and {cross} of {other:.2f}, and {co} is the larger one "
                f"on any ground: they are swapped; correct the order of the bands in the data's card"
            )
            yield Finding("band order", f"{name}.{co}", sentence, False, 2, (co, cross), severity="error")
