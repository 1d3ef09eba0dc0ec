"""The `Tracker` protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """A place that follows a run: W&B, TensorBoard."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row of numbers at an optimizer step."""
        ...

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """The final scores and figures."""
        ...
