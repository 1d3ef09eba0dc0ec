"""What a survey of stored samples found: files that can't be read, other layouts, missing streams, gaps, other units."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from multimodal_lab.data.audit import band_order, bands, baseline, sample_order
from multimodal_lab.data.audit.finding import Finding, listed, number
from multimodal_lab.data.audit.survey import StreamSurvey, Survey
from multimodal_lab.data.streams.sample import SampleReader

LISTED = 5  # damaged samples, and other layouts with theirs
MANY = 0.5  # share of the values of a band that were not measured, from which it is a warning
Named = Callable[[int], str]


def findings(reader: SampleReader, found: Survey) -> Iterator[Finding]:
    """All of it, stream by stream."""
    yield from _unreadable(found, reader.called)
    for name, own in found.streams.items():
        plan = reader.plans[name]
        yield from _layouts(name, own, reader.called, resized(reader, name))
        yield from _missing(name, own, len(found.rows) - len(found.why), lambda row: reader.names[row])
        if not reader.kinds[name].has_bands:
            continue
        yield from _odd(name, own, reader.called, len(own.layout))
        whole = own.usual is not None and own.usual[1].startswith(("int", "uint"))
        told = bands.of_stream(name, plan.stored.bands, own.ranges.facts(), whole, reader.source)
        yield from (f for f in told if not (f.kind == "unit" and own.odd))
        means = np.stack(own.means) if own.means else np.zeros((0, 0))
        yield from band_order.swapped(name, plan.stored.bands, means)
        yield from sample_order.odd(name, plan.stored.bands, means, [reader.names[row] for row in own.layout])
        yield from baseline.of_values(name, plan.stored.bands, own.least, [reader.names[row] for row in own.layout])
        yield from _gaps(name, own, [band.name for band in plan.stored.bands], lambda row: reader.names[row])


def resized(reader: SampleReader, name: str) -> bool:
    """Whether samples of any size are brought to one."""
    return reader.resizes[name].size is not None and reader.resizes[name].rule != "none"


def _unreadable(found: Survey, called: Named) -> Iterator[Finding]:
    """The first ones by themselves, each with the reader's words."""
    for place, (row, why) in enumerate(list(found.why.items())[:LISTED], 1):
        others = len(found.why) - LISTED if place == LISTED else 0
        more = f"; and {number(others, 'other sample')} that can't be read" if others > 0 else ""
        sentence = f"{why}{more}; replace or take out what is damaged, or data.on_error=skip makes it a missing sample"
        examples = tuple(called(r) for r in [row, *list(found.why)[LISTED:]][: 20 if others else 1])
        yield Finding("unreadable", called(row), sentence, False, 1 + max(0, others), examples, severity="error")


def _layouts(name: str, own: StreamSurvey, called: Named, resized: bool) -> Iterator[Finding]:
    """Samples of another size, type or full scale than most; of another size alone where `data.size` resizes them."""
    usual, groups = own.usual, dict[str, list[int]]()
    if usual is None:
        return
    for row in own.other:
        shape, dtype, scale, masked = own.layout[row]
        said = (f"shape {shape}", f"type {dtype}", f"full scale {scale:g}", "a mask" if masked else "no mask")
        facts = [text for text, one, most in zip(said, own.layout[row], usual, strict=True) if one != most]
        groups.setdefault("a shape of its own" if resized and facts == [said[0]] else " and ".join(facts), []).append(
            row
        )
    like = sum(one == usual for one in own.layout.values())
    for place, (what, rows) in enumerate(list(groups.items())[:LISTED], 1):
        fine, names = what == "a shape of its own", tuple(called(row) for row in rows[:20])
        remedy = (
            "cut them to one size, or set data.size to resize them" if what.startswith("shape") else "store all alike"
        )
        others = len(groups) - LISTED if place == LISTED else 0
        more = f"; and {others} more layouts" if others > 0 else ""
        sentence = (
            f"stream {name}: {number(len(rows), 'sample')} {'have' if len(rows) > 1 else 'has'} {what}, where {like:,} have "
            f"shape {usual[0]}, type {usual[1]}: {listed(names)}; {'data.size resizes them' if fine else remedy}{more}"
        )
        yield Finding("other layout", name, sentence, False, len(rows), names, severity="info" if fine else "error")


def _missing(name: str, own: StreamSurvey, of: int, called: Named) -> Iterator[Finding]:
    rows = [row for row, there in own.present.items() if not there]
    if rows:
        names = tuple(called(row) for row in rows[:20])
        lack = f"{len(rows):,} of {number(of, 'sample')} lack{'s' * (len(rows) == 1)} it: {listed(names)}"
        sentence = f"{name}: {lack}; add what is missing, or they train without it"
        yield Finding("missing modality", name, sentence, False, len(rows), names)


def _odd(name: str, own: StreamSurvey, called: Named, of: int) -> Iterator[Finding]:
    if own.odd:
        row, sentence = next(iter(own.odd.items()))
        names = tuple(called(r) for r in list(own.odd)[:20])
        said = f"{called(row)}: {sentence} ({len(own.odd):,} of {number(of, 'sample')})"
        yield Finding("unit", name, said, False, len(own.odd), names, severity="error")


def _gaps(name: str, own: StreamSurvey, names: list[str], called: Named) -> Iterator[Finding]:
    """The shares of values that were not measured; a warning where that is most of a band."""
    if not own.gappy:
        return
    shares = own.lost / max(1, len(own.layout))
    worst = int(np.argmax(shares))
    examples = tuple(called(row) for row in own.gappy[:20])
    sentence = (
        f"{name}: {shares.mean():.1%} of the values were not measured (nodata or NaN), {shares[worst]:.1%} of band "
        f"{names[worst]}, in {number(len(own.gappy), 'sample')}: {listed(examples)}"
    )
    yield Finding(
        "nodata", name, sentence, False, len(own.gappy), examples, severity=None if shares[worst] > MANY else "info"
    )
