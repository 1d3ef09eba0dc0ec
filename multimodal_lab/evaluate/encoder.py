"""The `Encoder` protocol: what evaluators need of a trained system."""

from __future__ import annotations

from typing import Any, Protocol

from multimodal_lab.types import Batch, Features


class Encoder(Protocol):
    """A trained system."""

    def encode(self, batch: Batch) -> tuple[dict[str, Features], dict[str, Any]]:
        """Features of every stream and of fused, and the output of every head."""
        ...
