"""Vectors of classes that were asked for before, so that a server encodes their prompts once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from multimodal_lab.evaluate import prompt_vectors
from multimodal_lab.files import json_hash

MOST = 4096  # classes: 8 MB of vectors of 512 numbers


class PromptMemory:
    """The `most` classes that were asked for last, by the texts of their prompts. For one set of weights, and one thread."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._held: OrderedDict[str, Tensor] = OrderedDict()

    def of_classes(
        self, system: Any, data: Any, stream: str, templates: Sequence[str], names: Sequence[Sequence[str]],
        device: torch.device | str, projected: bool,
    ) -> Tensor:  # fmt: skip
        """As `prompt_vectors.of_classes`; only classes that are not held are encoded."""
        keys = [json_hash([stream, projected, list(templates), list(own)]) for own in names]
        fresh = {key: own for key, own in zip(keys, names) if key not in self._held}
        found = {key: self._held[key] for key in keys if key in self._held}
        if fresh:
            made = prompt_vectors.of_classes(system, data, stream, templates, [*fresh.values()], device, projected)
            found |= zip(fresh, made)
        for key in dict.fromkeys(keys):
            self._held[key] = found[key]
            self._held.move_to_end(key)
        while len(self._held) > self.most:
            self._held.popitem(last=False)
        return torch.stack([found[key] for key in keys])
