"""TensorBoard tracker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from multimodal_lab.files import as_json


class TensorBoard:
    """TensorBoard event files in the run's own `tensorboard/`."""

    requires: ClassVar[dict[str, str]] = {"tensorboard": "viz"}

    def __init__(self, *, folder: Path, name: str, config: dict[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))  # type: ignore[no-untyped-call]
        self._writer.add_text(name, f"```\n{as_json(config, indent=1, default=str)}\n```")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point in every curve."""
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """The final scores as scalars of their own."""
        for key, value in summary.items():
            if isinstance(value, (int, float)):
                self._writer.add_scalar(f"final/{key}", value)
        self._writer.close()
