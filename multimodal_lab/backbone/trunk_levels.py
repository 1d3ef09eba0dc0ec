"""The finer maps of a backbone that sends every stream through one trunk."""

from __future__ import annotations

from typing import Any


class TrunkLevels:
    """What a decoder asks of a backbone, answered by its `trunk`, a backbone of images."""

    trunk: Any

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
