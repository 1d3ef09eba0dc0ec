"""One optimizer step: gradient accumulation over a group of batches, clipping, and the loss terms and gradient norm."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from multimodal_lab.checkpoint.state import Adapter
from multimodal_lab.device import compiler, distributed
from multimodal_lab.hashing import splitmix64
from multimodal_lab.stage import computing, stage
from multimodal_lab.system import System, check_used
from multimodal_lab.train import gradcache
from multimodal_lab.train.accumulate import LabelShares
from multimodal_lab.train.balance import Balance
from multimodal_lab.train.ema import Teacher
from multimodal_lab.train.fsdp import Shards
from multimodal_lab.train.sync_batchnorm import synchronise
from multimodal_lab.types import Batch

Precision = Literal["fp32", "bf16", "fp16"]
BALANCE = 2**40  # no rank: what a step draws for its gradients is alike on all


@dataclass
class Step:
    """Forward, backward and update of `system`. Its randomness is a function of (seed, step, rank) alone.

    An update whose gradient norm is not finite is left out: the weights stay as they were, and so can be replayed.
    """

    system: System
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    augment: Callable[[Batch, int, int], Batch]
    device: torch.device
    precision: Precision
    seed: int
    clip_norm: float | None
    micro_batch: int | None = None
    shards: Shards | None = None
    total: int = 0  # steps of the whole training
    adapter: Adapter | None = None  # acts while the gradients are there
    balance: Balance | None = None  # scales the gradients of encoders

    def __post_init__(self) -> None:
        alone = self.shards is not None or not distributed.active()
        self.model: nn.Module = self.system if alone else DistributedDataParallel(self.system)
        self.parameters = list(self.system.parameters() if self.shards is None else self.shards.own.values())
        self.fused = all(g.get("fused") for g in self.optimizer.param_groups)
        self.teacher: Teacher | None = getattr(self.system, "teacher", None)
        self._rank = distributed.rank()
        self._checked = False
        self._shares = LabelShares(self.system, self.micro_batch, getattr(self.augment, "adds", ()))

    def __call__(
        self, group: Sequence[Batch], step: int, epoch: int, progress: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The mean terms over `group`, detached scalars, and the norm of their gradient before it was clipped."""
        terms = self.gradient(group, step, epoch, progress)
        # what acts on the gradient acts on the true one, not on the one times the loss scale; without fp16 a no-op
        self.scaler.unscale_(self.optimizer)
        if self.balance is not None:
            terms |= self.balance.modulate(mix_seed(self.seed, step, BALANCE), progress)
        norm = self._clip()
        self._update(norm)
        if self.teacher is not None:
            self.teacher.follow(self.system)
        # while the gradients are there; those of an update that was left out are no gradients
        if self.adapter is not None and torch.isfinite(norm):
            self.adapter.after_gradient(step, self.total)
        for p in self.parameters:
            p.grad = None
        return terms, norm

    def _clip(self) -> Tensor:
        """The norm of all gradients together, which are then scaled so that it is at most `clip_norm` (Pascanu et al. 2013)."""
        if self.shards is None:
            norm = get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        else:
            self.shards.sync_found_inf(self.scaler, self.optimizer)
            norm = self.shards.norm()
        if self.clip_norm is not None:
            clip_grads_with_norm_(self.parameters, self.clip_norm, norm)
        return norm

    def gradient(self, group: Sequence[Batch], step: int, epoch: int, progress: float) -> dict[str, Tensor]:
        """Leave the (scaled) gradient of the mean loss of `group` in `.grad`; the mean terms."""
        # by the step's number, so that dropout draws the same after a resume, whatever ran in between
        seed_step(self.device, mix_seed(self.seed, step, self._rank))
        found: list[dict[str, Tensor]] = []
        if self.balance is not None:
            self.balance.start()
        if self.shards is not None:
            self.shards.share_buffers()
        shares: Sequence[Mapping[str, Tensor]] = [{}]

        def augmented(batch: Batch) -> Batch:
            with stage("augmenting a batch"):
                return self.augment(batch.to(self.device), self.seed, epoch)

        for i, batch in enumerate(group):
            view = augmented(batch)
            with computing(self.system, f"training step {step + 1}"):
                if i == 0 and len(group) > 1:
                    shares = self._shares(group, view, augmented)
                found.append(self._backward(view, progress, len(group), shares[i], last=i + 1 == len(group)))
        if not self._checked:
            check_used(self.system)
            self._checked = True
        if self.shards is not None:
            self.shards.scatter_gradients()
        if len(found) == 1:
            return {key: value.detach() for key, value in found[0].items()}
        return {key: torch.stack([terms[key].detach() for terms in found]).mean() for key in found[0]}

    def _backward(
        self, view: Batch, progress: float, share: int, shares: Mapping[str, Tensor], last: bool
    ) -> dict[str, Tensor]:
        region = partial(autocast, self.device, self.precision)
        if self.micro_batch and len(view) > self.micro_batch:
            terms = gradcache.backward(
                self.system,
                view,
                progress,
                rows=self.micro_batch,
                scaled=lambda total: self.scaler.scale(total / share),
                region=region,
                shares=shares,
            )
            if last:
                gradcache.average(self.system)
            return terms
        # DDP reduces the gradients in the last backward pass of a group alone
        with self._no_sync(not last):
            with region():
                found: dict[str, Tensor] = self.model(view, progress, **({"shares": shares} if shares else {}))
            total = found["total"] if share == 1 else found["total"] / share
            torch.autograd.backward(self.scaler.scale(total))
        return found

    def fix_ddp_buckets(self, group: Sequence[Batch]) -> None:
        """Let DDP fix its gradient buckets, by two passes that leave no trace.

        It orders them by the first backward pass and uses them from the second on: without this the first step after a
        resume would sum in another order than the same step of an unbroken run. Alone, and in pieces: nothing to do.
        """
        if not isinstance(self.model, DistributedDataParallel):
            return
        before = {k: v.clone() for k, v in self.system.named_buffers()}
        for _ in range(2):
            self.gradient(group[:1], 0, 0, 0.0)
        self.optimizer.zero_grad(set_to_none=True)
        for name, buffer in self.system.named_buffers():
            buffer.copy_(before[name])

    def _update(self, norm: Tensor) -> None:
        # A fused optimizer looks at `found_inf` on the device, as it does for GradScaler; any other must be asked here,
        # which waits for the device.
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        elif self.fused:
            # inf - inf and NaN - NaN are NaN, which is not 0: 1 where the norm is not finite, without a look at its value
            self.optimizer.found_inf = (norm - norm).ne_(0).float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif torch.isfinite(norm):
            self.optimizer.step()

    def _no_sync(self, wanted: bool) -> contextlib.AbstractContextManager[Any]:
        if wanted and isinstance(self.model, DistributedDataParallel):
            return self.model.no_sync()
        return contextlib.nullcontext()


def prepare_model(system: System, channels_last: bool, compiled: bool, sync_batchnorm: bool = True) -> list[str]:
    """Lay 4-D weights out as (N, H, W, C) in memory, synchronise batch norms over the ranks, and compile the forward pass.

    Names and values stay. What there is to tell of it, a sentence each.
    """
    notes = []
    if distributed.active() and sync_batchnorm and (count := synchronise(system)):
        notes.append(
            f"train.sync_batchnorm: {count} batch norms take their statistics over all {distributed.world()} ranks"
        )
    if channels_last:
        for p in system.parameters():
            if p.ndim == 4:
                p.data = p.data.contiguous(memory_format=torch.channels_last)
    if compiled:
        compiler.begin()
        system.compile()
    return notes


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    """The autocast region of a precision; fp32 is none."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device.type, dtype=dtype) if dtype else contextlib.nullcontext()


def seed_step(device: torch.device, seed: int) -> None:
    """Seed the generators that a step on `device` draws from; `torch.manual_seed` costs as much as a small step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[
            torch.cuda.current_device() if device.index is None else device.index
        ].manual_seed(seed)


def mix_seed(*numbers: int) -> int:
    """One 63-bit seed from several integers (SplitMix64)."""
    x = 0
    for n in numbers:
        x = splitmix64(x + n)
    return x >> 1
