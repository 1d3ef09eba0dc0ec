"""The `vector` kind: (C,) arrays."""

from __future__ import annotations

from typing import ClassVar

from multimodal_lab.data.array import Array


class Vector(Array):
    """A spectrum, a row of a table: one number a band."""

    default_backbone: ClassVar[str] = "vector"
