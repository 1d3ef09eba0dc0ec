"""One trunk for all streams, whose first layer does another thing for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from multimodal_lab.types import Features


class FirstLayer(nn.Module):
    """A first layer that does another thing for each stream; `current` is the stream that passes, if one does."""

    def __init__(self) -> None:
        super().__init__()
        self.current: str | None = None

    def passing(self) -> str:
        """The current stream; `RuntimeError` in a backward pass that computes the layer again, where none is known."""
        if self.current is None:  # any stream's would do its part, and the gradients would be wrong
            raise RuntimeError(
                "backbone.checkpointing=true: this model computes its first convolution again in the backward pass, where the "
                "stream is no longer known; set backbone.checkpointing=false, or take backbone=image"
            )
        return self.current


class SharedTrunk(nn.Module):
    """A backbone that sends every stream through `trunk`, a backbone of images, whose layer at `first` is a `FirstLayer`."""

    trunk: Any
    first: str

    def put_first(self, layer: FirstLayer) -> None:
        """Put a layer in the place of the trunk's first convolution."""
        parent, _, name = self.first.rpartition(".")
        setattr(self.trunk.model.get_submodule(parent), name, layer)

    @property
    def stems(self) -> Any:
        """The `FirstLayer`, which stands in the trunk: a second name would save it twice."""
        return self.trunk.model.get_submodule(self.first)

    @property
    def levels(self) -> tuple[int, ...]:
        """The widths of the finer maps, of every stream."""
        return tuple(self.trunk.levels)

    @property
    def give_levels(self) -> bool:
        """Whether features hold them."""
        return bool(self.trunk.give_levels)

    @give_levels.setter
    def give_levels(self, wanted: bool) -> None:
        self.trunk.give_levels = wanted

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Features]:
        """{stream: (N, C, H, W)} to {stream: Features}, as `image` gives them."""
        found, stems = {}, self.stems
        for name, x in inputs.items():
            stems.current = name
            try:
                found[name] = self.trunk(x)
            finally:
                stems.current = None
        return found
