"""Meters accumulated on the device between two log rows; only `row` and `bad_steps` synchronise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from multimodal_lab.checkpoint.state import require_keys
from multimodal_lab.device import distributed

NORM = "grad_norm"


class Meters:
    """The loss terms and gradient norms of the steps since the last row, and how many steps in a row were not finite.

    Each step's scalars are kept as they are and read all at once when a row is due: a step costs no arithmetic, and a row is
    the same number whether or not a checkpoint came between.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.kept: dict[str, list[Tensor]] = {}
        self.bad = 0  # of the steps before those kept
        self._moved = False
        self._read: dict[str, list[float]] = {}
        self._shared: dict[str, Any] = {}

    def add(self, terms: Mapping[str, Tensor], norm: Tensor) -> None:
        """One optimizer step's terms, `total` among them, and its gradient norm."""
        for key, value in terms.items():
            self.kept.setdefault(key, []).append(value)
        self.kept.setdefault(NORM, []).append(norm)

    def row(self) -> dict[str, float]:
        """`train/…`: the mean terms since the last row over steps and ranks, and the last gradient norm."""
        read = self._values()
        self.moved()
        names = [*(k for k in read if k != NORM), NORM]
        values = [*(sum(v) / len(v) for k, v in read.items() if k != NORM), read[NORM][-1]]
        if distributed.active():
            values = distributed.all_reduce_mean(torch.tensor(values, dtype=torch.float64, device=self.device)).tolist()
        self.bad = self._bad()
        self.kept, self._read = {}, {}
        return {f"train/{name}": value for name, value in zip(names, values, strict=True)}

    def bad_steps(self) -> int:
        """How many steps in a row, the last included, were not finite on some rank."""
        return int(distributed.all_reduce_max(float(self._bad())))

    def moved(self) -> bool:
        """Whether any step so far had a gradient that is not exactly 0; alike on every rank, as the norm is of all."""
        self._moved = self._moved or any(norm != 0 for norm in self._values().get(NORM, ()))
        return self._moved

    def _bad(self) -> int:
        if not self.kept:
            return self.bad
        read = self._values()
        steps = list(zip(read["total"], read[NORM], strict=True))
        for i, (total, norm) in enumerate(reversed(steps)):
            if math.isfinite(total) and math.isfinite(norm):
                return i
        return len(steps) + self.bad

    def _values(self) -> dict[str, list[float]]:
        """What is kept, on the host: one wait for the device, and none where no step came since."""
        if any(len(self._read.get(k, ())) != len(v) for k, v in self.kept.items()):
            flat = iter(torch.stack([x for v in self.kept.values() for x in v]).tolist())
            self._read = {k: list(itertools.islice(flat, len(v))) for k, v in self.kept.items()}
        return self._read

    def share(self) -> None:
        """Before a save, on every rank: bring what all ranks keep together, (world, steps) each, for rank 0 to write."""
        kept = {k: distributed.gather(torch.stack(v)[None]).detach() for k, v in self.kept.items()}
        self._shared = {"kept": kept, "bad": distributed.gather(self._bad_tensor()).detach()}

    def state_dict(self) -> dict[str, Any]:
        """What every rank keeps, as `share` found it."""
        return self._shared or {"kept": {}, "bad": self._bad_tensor()}

    def _bad_tensor(self) -> Tensor:
        return torch.tensor([float(self.bad)], device=self.device)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """This rank's own. Of another number of ranks (`resume=drift`) nobody's: the row begins anew."""
        require_keys("meters", state, self.state_dict())
        self._moved = True  # a training that has come so far may rest
        rank = distributed.rank()
        self._read = {}
        if len(state["bad"]) != distributed.world():
            self.kept, self.bad = {}, 0
            return
        self.kept = {k: list(v[rank].to(self.device).unbind()) for k, v in state["kept"].items()}
        self.bad = int(state["bad"][rank])
