"""Hold the config that a run has written to the signatures of what it builds, before it is used again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.config import schema
from multimodal_lab.runs.directory import CONFIG
from multimodal_lab.runs.records import LayoutError

# What a trained run is read by. How it was trained and scored may be of an earlier version, as nothing builds that again.
READ = (
    "adapt", "augment", "data", "device", "evaluate.head", "label", "modality", "seed", "system", "train.keep_last",
    "train.monitor",
)  # fmt: skip


def require_whole(config: Mapping[str, Any], folder: Path) -> None:
    """`LayoutError` for a value of the config of the run in `folder` that what reads it can't be built with."""
    found = [p for p in schema.type_problems(dict(config)) if f"{p.key}.".startswith(tuple(f"{key}." for key in READ))]
    if found:
        more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
        raise LayoutError(f"{folder / CONFIG}: not as a run writes it: {found[0]}{more}")
