"""Which frames of a video the rows of a stream are, as its source tells: what a run and a packed store remember of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_lab.data import kinds
from multimodal_lab.data.kind import StreamPlan
from multimodal_lab.data.source import Source
from multimodal_lab.text import show

DECIDE = ("sampling", "count", "stride", "rate", "start")  # the fields of `Frames` that say which frames a clip has


def of_stream(source: Source, plan: StreamPlan) -> dict[str, Any]:
    """The fields of `Frames` by which the frames of a stream were taken, or those whose seconds its sound has; {} where it is of
    no video, or nothing tells."""
    told: Mapping[str, dict[str, Any]] = getattr(source, "sampled", {})
    aliases = getattr(source, "aliases", {})
    named = [aliases.get(name, name) for name in (plan.stored.field, plan.stored.name)]
    fields: Mapping[str, tuple[str, bool]] = getattr(source, "field_kinds", {})
    alike = [field for field, (kind, _) in fields.items() if kinds.alike(kind, plan.stored.kind)]
    found = next((name for name in named if name in told), alike[0] if len(alike) == 1 else "")
    return dict(told.get(found, {})) if plan.timed else {}


def of_store(source: Source, plan: StreamPlan) -> bool:
    """Whether a stream is read from a store, whose frames were taken when it was packed."""
    members = getattr(source, "members", {})
    own = next((name for name in (plan.stored.field.partition(".")[0], plan.stored.name) if name in members), None)
    return bool(getattr(members[own].source if own else source, "copies", False))


def difference(here: Mapping[str, Any], there: Mapping[str, Any]) -> tuple[str, str]:
    """What two choices differ in, in the words of each; two empty ones where they take the same frames, or one isn't known."""
    keys = [key for key in DECIDE if here and there and here.get(key) != there.get(key)]
    here_said, there_said = (", ".join(f"{key}={show(of.get(key))}" for key in keys) for of in (here, there))
    return here_said, there_said
