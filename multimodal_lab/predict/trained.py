"""What the record of a run says of its streams and labels, as a predictor needs it."""

from __future__ import annotations

from typing import Any

from multimodal_lab.data import kinds
from multimodal_lab.predict.answers import Kind
from multimodal_lab.predict.expected import Expected
from multimodal_lab.types import Band


def expected_of(record: dict[str, Any], modality: Any) -> tuple[dict[str, Expected], dict[str, dict[str, Any]]]:
    """The input streams of a run, and its modality without the choice of bands: those that were chosen are all there are."""
    found, facts = {}, {}
    for name, own in record["streams"].items():
        bands = tuple(Band(*b) for b in own["stored"])
        facts[name] = {k: v for k, v in modality[name].items() if k not in ("bands", "repeat", "field")}
        if kinds.get(own["kind"]).has_bands:
            facts[name]["bands"] = "all"
        if not own["target"]:
            found[name] = Expected(
                name,
                own["kind"],
                bands,
                modality[name].get("field") or name,
                own["layout"],
                own.get("steps"),
                modality[name].get("rate") or own["layout"].get("rate"),
                own.get("frames", {}),
            )
    return found, facts


def kinds_of(record: dict[str, Any]) -> dict[str, Kind]:
    """What each label of the run is; a record of an earlier version does not say which are of several classes."""
    found: dict[str, Kind] = {}
    for label, names in record["classes"].items():
        several = label in record["several"] if "several" in record else _counted_twice(record, label)
        found[label] = "number" if not names else "labels" if several else "class"
    return found


def _counted_twice(record: dict[str, Any], label: str) -> bool:
    """Whether the samples of a split have more, or fewer, classes than one each."""
    return any(sum(own[label].values()) != len(record["splits"][split]) for split, own in record["counts"].items())
