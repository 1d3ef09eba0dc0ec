"""What a survey saw of each stream and band, in plain JSON types."""

from __future__ import annotations

from typing import Any

from multimodal_lab.data.audit.survey import StreamSurvey, Survey
from multimodal_lab.data.streams.sample import SampleReader


def streams_table(reader: SampleReader, seen: Survey) -> dict[str, Any]:
    """{stream: kind, samples that have it, shape and type of most, and a row a band}."""
    found = {}
    for name, own in seen.streams.items():
        kind = reader.plans[name].stored.kind
        facts: dict[str, Any] = {"kind": kind, "present": sum(own.present.values()), "looked_at": len(own.present)}
        if own.usual is not None:
            shape, dtype, scale, masked = own.usual
            facts |= {"shape": list(shape), "type": dtype, "full_scale": scale, "masked": masked}
            facts["bands"] = _bands(reader, name, own)
        found[name] = facts
    return found


def _bands(reader: SampleReader, name: str, own: StreamSurvey) -> list[dict[str, Any]]:
    """name, nm, unit, low, high, mean, std (None without a value) and the share of values that were not measured."""
    ranges, rows = own.ranges.facts(), []
    for i, band in enumerate(reader.plans[name].stored.bands):
        numbers = {key: ranges[key][i] for key in ("low", "high", "mean")}
        count = own.moments.count[i]
        std = float((own.moments.square[i] / count) ** 0.5) if count else None
        missing = float(own.lost[i] / len(own.layout))
        rows.append(
            {"band": band.name, "nm": band.nm, "unit": band.unit, **numbers, "std": std, "not_measured": missing}
        )
    return rows
