"""Exponential moving averages (EMA) of the weights: one to evaluate by, and a teacher that is asked while training."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from multimodal_lab.checkpoint.state import require_same
from multimodal_lab.system import System
from multimodal_lab.train.dtensor import local
from multimodal_lab.types import Batch


class Average:
    """Exponential moving average of parameters and buffers (Polyak & Juditsky 1992; Tarvainen & Valpola 2017, eq. 1).

    After update n the average is d·average + (1 - d)·weights with d = min(decay, (1 + n) / (10 + n)), so that the first
    weights are soon forgotten. Integer buffers are copied, and so is what is an average or a memory itself: the teacher, and what
    a module names `unaveraged`. `decay` None: nothing is averaged, and nothing is kept.
    """

    def __init__(self, system: nn.Module, decay: float | None, leave: Collection[str] = ()) -> None:
        """leave: the names of what never changes and is not kept."""
        self.decay, self.count = decay, 0
        state: dict[str, Tensor] = {} if decay is None else system.state_dict()
        self.live = {k: v for k, v in state.items() if k not in leave}
        self.kept = {k: v.clone() for k, v in self.live.items()}
        apart = tuple(f"{name}." for name in _unaveraged(system))
        self.moving = [k for k, v in self.kept.items() if v.is_floating_point() and not k.startswith(apart)]

    def update(self) -> None:
        """Take in the weights of the step just made."""
        if self.decay is not None:
            self._take_in(self.decay)

    @torch.no_grad()
    def _take_in(self, most: float) -> None:
        decay = min(most, (1 + self.count) / (10 + self.count))
        _follow(((local(self.kept[k]), local(self.live[k])) for k in self.moving), decay)
        _copy({k: self.live[k] for k in self.kept.keys() - set(self.moving)}, self.kept)
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


class Teacher(nn.Module):
    """A momentum encoder: the system without its losses, its weights an EMA of the trained ones (He 2020, eq. 2).

    It begins as they are. θ_k <- m θ_k + (1 - m) θ_q after each optimizer step; buffers are copied. It is asked in eval mode
    and without a graph, so that keys depend neither on dropout nor on the other rows of a batch: He 2020 shuffles
    rows over ranks to that end. Frozen weights are the system's own. State dict: all its weights.
    """

    unaveraged = ("system",)

    def __init__(self, system: System, momentum: float) -> None:
        super().__init__()
        own = {id(p): p for p in system.parameters() if not p.requires_grad}
        left = {id(system.losses): nn.ModuleDict(), id(system.task_weights): None, id(system.adapter): None}
        self.system: System = copy.deepcopy(system, {**own, **left}).requires_grad_(False)
        self.momentum = momentum
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """It stays in eval mode."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, batch: Batch) -> dict[str, Any]:
        """What every head says of a batch."""
        return self.system.encode(batch)[1]

    @torch.no_grad()
    def follow(self, system: System) -> None:
        """Take in the weights of the step just made."""
        trained = {name: p for name, p in system.named_parameters() if p.requires_grad}
        pairs = ((p, trained[name].detach()) for name, p in self.system.named_parameters() if name in trained)
        _follow(pairs, self.momentum)
        live = dict(system.named_buffers())
        for name, own in self.system.named_buffers():
            own.copy_(live[name])


def _unaveraged(system: nn.Module) -> Iterator[str]:
    """The modules that an average copies, by name."""
    for name, module in system.named_modules():
        yield from (f"{name}.{part}" for part in getattr(module, "unaveraged", ()))


def _follow(pairs: Iterable[tuple[Tensor, Tensor]], decay: float) -> None:
    """Move the first of each pair to the second, by 1 - `decay`."""
    if both := [*pairs]:
        kept, live = zip(*both, strict=True)
        get_ema_multi_avg_fn(decay)(kept, live, 0)  # type: ignore[no-untyped-call]


@torch.no_grad()
def _copy(values: dict[str, Tensor], into: dict[str, Tensor]) -> None:
    for key, value in values.items():
        local(into[key]).copy_(local(value))
