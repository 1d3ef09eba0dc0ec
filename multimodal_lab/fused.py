"""AdamW's fused kernel, called without the bookkeeping around it that costs more than a small step."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class AdamW(torch.optim.AdamW):
    """torch's AdamW (Loshchilov & Hutter 2019), the same states and kernel, and `update` for a loop that asks for little."""

    @torch.no_grad()
    def update(self, norm: Tensor, most: float | None) -> None:
        """A step with all gradients scaled together so that their norm is at most `most`; none where it is not finite.

        norm (): theirs, float32. Only for `fused=True`, float32 parameters on one device. The kernel itself divides the
        gradients and looks whether to leave the step out, so that nothing passes over them before it or waits for the
        device. What `step` adds is left out: hooks, a profiler's label, sorting by device and type, a closure.
        """
        lost = norm.mul(0).nan_to_num_(nan=1.0)  # what is not finite times 0 is NaN
        scale = None if most is None else norm.add(1e-6).div_(most).clamp_(min=1.0)
        parts = [(group, self._lists(group)) for group in self.param_groups]
        if any(lists is None for _, lists in parts):
            self._first(scale, lost)
            return
        steps = [step for _, lists in parts if lists for step in lists.steps]
        torch._foreach_add_(steps, 1)
        for group, lists in parts:
            if lists and lists.parameters:
                beta1, beta2 = group["betas"]
                torch._fused_adamw_(
                    lists.parameters, lists.gradients, lists.means, lists.squares, [], lists.steps, amsgrad=False,
                    lr=group["lr"], beta1=beta1, beta2=beta2, weight_decay=group["weight_decay"], eps=group["eps"],
                    maximize=False, grad_scale=scale, found_inf=lost,
                )  # fmt: skip
        torch._foreach_sub_(steps, [lost] * len(steps))  # a step left out does not count

    def _lists(self, group: dict[str, Any]) -> _Lists | None:
        """What the kernel takes, of the parameters with a gradient; None where one has no state yet."""
        parameters = [p for p in group["params"] if p.grad is not None]
        states = [self.state.get(p) for p in parameters]
        if not all(states):
            return None
        columns = ([s[key] for s in states] for key in ("exp_avg", "exp_avg_sq", "step"))  # type: ignore[index]
        return _Lists(parameters, [p.grad for p in parameters], *columns)

    def _first(self, scale: Tensor | None, lost: Tensor) -> None:
        """The same by torch's own step, which makes the states."""
        self.grad_scale, self.found_inf = scale, lost
        try:
            self.step()
        finally:
            del self.grad_scale, self.found_inf


class _Lists(NamedTuple):
    parameters: list[Tensor]
    gradients: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]
