"""Exponential moving average (EMA) of the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_lab.checkpoint.state import require_same
from multimodal_lab.train.dtensor import local


class Average:
    """Exponential moving average of parameters and buffers (Polyak & Juditsky 1992; Tarvainen & Valpola 2017, eq. 1).

    After update n the average is d·average + (1 - d)·weights with d = min(decay, (1 + n) / (10 + n)), so that the first
    weights are soon forgotten. Integer buffers are copied. `decay` None: nothing is averaged, and nothing is kept.
    """

    def __init__(self, system: nn.Module, decay: float | None, leave: Collection[str] = ()) -> None:
        """leave: the names of what never changes and is not kept."""
        self.decay, self.count = decay, 0
        state: dict[str, Tensor] = {} if decay is None else system.state_dict()
        self.live = {k: v for k, v in state.items() if k not in leave}
        self.kept = {k: v.clone() for k, v in self.live.items()}

    def update(self) -> None:
        """Take in the weights of the step just made."""
        if self.decay is not None:
            self._take_in(self.decay)

    @torch.no_grad()
    def _take_in(self, most: float) -> None:
        decay = min(most, (1 + self.count) / (10 + self.count))
        moving = [k for k, v in self.kept.items() if v.is_floating_point()]
        torch._foreach_lerp_([local(self.kept[k]) for k in moving], [local(self.live[k]) for k in moving], 1 - decay)
        _copy({k: self.live[k] for k in self.kept.keys() - set(moving)}, self.kept)
        self.count += 1

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the system holds the average; afterwards its own weights, bit for bit."""
        own = {k: v.clone() for k, v in self.live.items()}
        try:
            self.apply()
            yield
        finally:
            _copy(own, self.live)

    def apply(self) -> None:
        """Give the system the average permanently: what a finished training leaves behind."""
        _copy(self.kept, self.live)

    def state_dict(self) -> dict[str, Any]:
        """The average and how many updates made it; {} where nothing is averaged."""
        return {} if self.decay is None else {"count": self.count, "weights": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on averaging; a state of other weights is refused by name."""
        require_same("the average of the weights", state, self.state_dict())
        if self.decay is None:
            return
        require_same("the average of the weights", state["weights"], self.kept)
        self.count = state["count"]
        _copy(state["weights"], self.kept)


@torch.no_grad()
def _copy(values: dict[str, Tensor], into: dict[str, Tensor]) -> None:
    for key, value in values.items():
        local(into[key]).copy_(local(value))
