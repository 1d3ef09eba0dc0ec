"""Facts of a run for a page: streams, heads, classes, how it was trained."""

from __future__ import annotations

from typing import Any

from multimodal_lab.files import finite
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.serve.model import Model
from multimodal_lab.serve.question import FILE, file_kinds

BANDS = 32  # names of bands that are listed
CHOICES, PROVENANCE, COST = "choices/", "provenance/", "cost/"
NO_SCORES = (CHOICES, PROVENANCE, COST)


def of_run(model: Model) -> dict[str, Any]:
    """For an answer; plain values."""
    predictor = model.predictor
    summary = _summary(model)
    return {
        "name": predictor.folder.resolve().name,
        "checkpoint": model.checkpoint,
        "device": str(predictor.device),
        "streams": [_stream(model, name) for name in model.streams],
        "file": FILE in model.wanted,
        "heads": [_head(model, name, label) for name, label in model.labels.items()],
        "zero_shot": model.prompted,
        "projects": sorted(name for name in predictor.system.heads if name not in predictor.system.labels),
        "choices": _below(summary, CHOICES),
        "provenance": _below(summary, PROVENANCE),
        "cost": _below(summary, COST),
        "scores": {k: v for k, v in summary.items() if isinstance(v, int | float) and not k.startswith(NO_SCORES)},
        "limits": {"bytes": model.limits.bytes, "pixels": model.limits.pixels, "results": model.limits.results,
                   "letters": model.limits.letters, "classes": model.limits.classes},
    }  # fmt: skip


def _stream(model: Model, name: str) -> dict[str, Any]:
    one = model.streams[name]
    shape = list(one.layout.get("shape") or [])
    accepts = ["text"] if one.is_text else [*file_kinds(one), "numbers"]
    told: dict[str, Any] = {"name": name, "kind": one.kind, "accepts": accepts}
    if not one.is_text:
        told |= {"bands": [b.name for b in one.bands[:BANDS]], "count": len(one.bands), "shape": shape, "steps": one.steps,
                 "dtype": str(one.layout.get("dtype", "float32")), "masked": bool(one.layout.get("masked")),
                 "rate": one.rate}  # fmt: skip
    return told


def _head(model: Model, name: str, label: str) -> dict[str, Any]:
    text = label not in model.kinds  # a stream that is written
    classes = [str(c) for c in model.predictor.classes.get(label, [])]
    return {"name": name, "label": label, "kind": "text" if text else model.kinds[label], "classes": classes}


def _below(summary: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in summary.items() if key.startswith(prefix)}


def _summary(model: Model) -> dict[str, Any]:
    """The run's own summary; a run that was ended early has none."""
    try:
        found = read_json(model.predictor.folder / "summary.json")
    except (OSError, ValueError):
        return {}
    return dict(finite(found)) if isinstance(found, dict) else {}
