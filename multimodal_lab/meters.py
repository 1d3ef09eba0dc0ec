"""What is kept between two rows of the log, on the device: nothing here waits for it but `row` and `bad_steps`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from multimodal_lab import dist
from multimodal_lab.parts import require_same

NORM = "grad_norm"


class Meters:
    """The loss terms and gradient norms of the steps since the last row, and how many steps in a row were not finite.

    Each step's scalars are kept as they are and put together when a row is due: a step costs no arithmetic, and a row is
    the same number whether or not a checkpoint came between.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.kept: dict[str, list[Tensor]] = {}
        self.bad = torch.zeros((), device=device)  # of the steps before those kept
        self._shared: dict[str, Any] = {}

    def add(self, terms: Mapping[str, Tensor], norm: Tensor) -> None:
        """One optimizer step's terms, `total` among them, and its gradient norm."""
        for key, value in terms.items():
            self.kept.setdefault(key, []).append(value)
        self.kept.setdefault(NORM, []).append(norm)

    def row(self) -> dict[str, float]:
        """`train/…`: the mean terms since the last row over steps and ranks, and the last gradient norm."""
        means = [torch.stack(v).double().mean() for k, v in self.kept.items() if k != NORM]
        names = [*(k for k in self.kept if k != NORM), NORM]
        values: list[float] = dist.mean_over_ranks(torch.stack([*means, self.kept[NORM][-1].double()])).tolist()
        self.bad = self._bad()
        self.kept = {}
        return {f"train/{name}": value for name, value in zip(names, values, strict=True)}

    def bad_steps(self) -> int:
        """How many steps in a row, the last included, were not finite on some rank."""
        return int(dist.most(float(self._bad())))

    def _bad(self) -> Tensor:
        if not self.kept:
            return self.bad
        fine = torch.isfinite(torch.stack(self.kept["total"])) & torch.isfinite(torch.stack(self.kept[NORM]))
        run = (~fine).flip(0).long().cumprod(0).sum()
        return run + self.bad * (run == len(fine))

    def share(self) -> None:
        """Before a save, on every rank: bring what all ranks keep together, (world, steps) each, for rank 0 to write."""
        kept = {k: dist.gather(torch.stack(v)[None]).detach() for k, v in self.kept.items()}
        self._shared = {"kept": kept, "bad": dist.gather(self.bad.reshape(1)).detach()}

    def state_dict(self) -> dict[str, Any]:
        """What every rank keeps, as `share` found it."""
        return self._shared or {"kept": {}, "bad": self.bad.reshape(1)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """This rank's own. Of another number of ranks (`resume=drift`) nobody's: the row begins anew."""
        require_same("meters", state, self.state_dict())
        rank = dist.rank()
        if len(state["bad"]) != dist.world():
            self.kept, self.bad = {}, torch.zeros((), device=self.device)
            return
        self.kept = {k: list(v[rank].to(self.device).unbind()) for k, v in state["kept"].items()}
        self.bad = state["bad"].to(self.device)[rank]
