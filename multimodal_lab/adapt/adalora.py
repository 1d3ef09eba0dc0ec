"""Train low-rank updates whose ranks are moved to where they matter: AdaLoRA (Zhang et al. 2023), by peft."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_lab.adapt.layers import ALL_LINEAR
from multimodal_lab.adapt.low_rank import ADAPTER, inject
from multimodal_lab.bounds import Beta, Count, Fraction, Natural, NonNegative, Positive
from multimodal_lab.keyed import Keyed

freezes = ()  # no module as a whole: its updates are trained
after_gradient = True
TERM = "orthogonality"  # the name of its term among the losses


def adalora(
    system: nn.Module,
    *,
    modules: list[str],
    target_modules: list[str] | str = ALL_LINEAR,
    exclude_modules: list[str] | None = None,
    init_r: Count = 12,
    target_r: Count = 8,
    lora_alpha: Positive = 8,
    lora_dropout: Fraction = 0.0,
    tinit: Natural = 0,
    tfinal: Natural = 0,
    deltaT: Count = 1,
    beta1: Beta = 0.85,
    beta2: Beta = 0.85,
    orth_reg_weight: NonNegative = 0.5,
) -> RankAllocation:
    """Freeze `modules` and train W x + (alpha / r) B Λ A x in the layers of theirs that `target_modules` names.

    All layers together have `init_r` ranks a layer for `tinit` steps; every `deltaT` steps the least important are then set
    to 0, down to `target_r` a layer on average `tfinal` steps before the end. Arguments are those of peft's `AdaLoraConfig`,
    but `total_step`, which the training says. What keeps A and B orthogonal is the term `orthogonality` of the loss, of weight
    `orth_reg_weight`. See `low_rank.inject` for errors.
    """
    if target_r >= init_r:
        raise ValueError(
            f"adapt.target_r={target_r}: ranks are taken away from adapt.init_r={init_r}; expected fewer than that"
        )
    from peft import AdaLoraConfig, AdaLoraModel
    from transformers.pytorch_utils import Conv1D

    def tuner(model: nn.Module, pattern: str) -> AdaLoraModel:
        config = AdaLoraConfig(
            target_modules=pattern,
            init_r=init_r,
            target_r=target_r,
            lora_alpha=lora_alpha,
            lora_dropout=lora_dropout,
            tinit=tinit,
            tfinal=tfinal,
            deltaT=deltaT,
            beta1=beta1,
            beta2=beta2,
            orth_reg_weight=orth_reg_weight,
            total_step=tinit + tfinal + 2,  # until the training says it
        )
        return AdaLoraModel(model, config, ADAPTER)

    made = inject(system, modules, target_modules, exclude_modules or [], (nn.Linear, nn.Conv2d, Conv1D), tuner)
    if orth_reg_weight:
        losses: Any = system.get_submodule("losses")
        if TERM in losses:
            raise ValueError(f"losses.{TERM}: adapt=adalora adds a term of that name; give this one another")
        a, b = (
            [p for n, p in system.named_parameters() if n.endswith(f"{side}.{ADAPTER}")]
            for side in ("lora_A", "lora_B")
        )
        losses[TERM] = Keyed(partial(orthogonality, a, b), orth_reg_weight, TERM)
    return RankAllocation(made)


def orthogonality(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """The mean of the Frobenius norms of A Aᵀ - I, A (r, in), and Bᵀ B - I, B (out, r): eq. 4 without its square, as in peft."""
    with torch.autocast(a[0].device.type, enabled=False):  # 16 bits would see nothing of a gap below .01
        grams = [*(w @ w.T for w in a), *(w.T @ w for w in b)]
        gaps = [g - torch.eye(len(g), dtype=g.dtype, device=g.device) for g in grams]
        return torch.stack([torch.linalg.matrix_norm(gap) for gap in gaps]).mean()


class RankAllocation:
    """Moves the ranks of the low-rank updates of `tuner`, peft's, after each optimizer step, by the gradients that made it."""

    def __init__(self, tuner: Any) -> None:
        self.tuner, self.final = tuner, False

    def begin(self, total: int) -> None:
        """Learn how many steps the training has; `ValueError` where none is left to take ranks away in."""
        own = self._config
        if total and own.tinit + 1 >= total - own.tfinal:
            raise ValueError(
                f"adapt.tinit={own.tinit} and adapt.tfinal={own.tfinal}: of a training of {total} steps they leave none to take "
                f"ranks away in; expected less than {max(total - 1, 0)} together"
            )
        self.tuner.rankallocator.set_total_step(total)
        own.total_step = total

    def after_gradient(self, step: int, total: int) -> None:
        """Weigh each rank by the gradients of step `step`, from 0, and set the least important ones to 0."""
        if total != self._config.total_step:
            self.begin(total)
        # from 1: the last step is `total`, so that with tfinal=0 it is the one that settles the ranks
        at, last = step + 1, total - self._config.tfinal
        # a step that was left out, as its gradient was not finite, may have been the one that settles them
        self.tuner.update_and_allocate(at if self.final else min(at, last))
        self.final |= at >= last

    def state_dict(self) -> dict[str, Any]:
        """The importance of every weight, and which ranks are left."""
        own = self.tuner.rankallocator
        averages = {"exp_avg_ipt": dict(own.exp_avg_ipt), "exp_avg_unc": dict(own.exp_avg_unc)}
        return {**averages, "rank_pattern": self._config.rank_pattern, "final": self.final}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        own, places = self.tuner.rankallocator, dict(self.tuner.model.named_parameters())
        own.exp_avg_ipt, own.exp_avg_unc = (
            {name: x.to(places[name].device) for name, x in state[key].items()}
            for key in ("exp_avg_ipt", "exp_avg_unc")
        )
        own.ipt = {
            name: torch.zeros_like(x) for name, x in own.exp_avg_ipt.items()
        }  # its names say which averages have begun
        self._config.rank_pattern, self.final = state["rank_pattern"], state["final"]

    @property
    def _config(self) -> Any:
        return self.tuner.peft_config[ADAPTER]
