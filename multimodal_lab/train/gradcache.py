"""Exact gradients of large contrastive batches in small memory (GradCache, Gao et al. 2021)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as td
from torch import Tensor, nn

from multimodal_lab.device import distributed
from multimodal_lab.system import System
from multimodal_lab.types import Batch, Features

Region = Callable[[], contextlib.AbstractContextManager[Any]]


class Random(NamedTuple):
    """The state of the generators that a forward pass draws from: the CPU's, and the device's where it is another."""

    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> Random:
        """As it is."""
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None)

    def restore(self, device: torch.device) -> None:
        """As it was."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, device)


def backward(
    system: System,
    batch: Batch,
    progress: float,
    *,
    rows: int,
    scaled: Callable[[Tensor], Tensor],
    region: Region = contextlib.nullcontext,
    shares: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Add the gradient of `scaled(total loss of batch)` to `.grad`; the loss terms. Backbones see `rows` rows at a time.

    Backbones and fusion run without a graph, heads and losses once on all rows together, then backbones and fusion
    again, a graph at a time, each with the gradient that its features got. So the heads' batch statistics and every
    loss are those of the whole batch; dropout draws the same in both runs. A backbone with batch norm normalises each
    part by its own statistics, as in plain accumulation, and moves its running ones once a part. `region()` is entered
    around each forward pass (autocast). Gradients are of this rank alone: `average` them once a step.
    """
    parts = [part(batch, slice(i, i + rows)) for i in range(0, len(batch), rows)]
    device = batch.ids.device
    buffers = [(b, b.clone()) for b in system.buffers()]
    states, found = [], []
    with torch.no_grad():
        for one in parts:
            # the second pass has to draw the same dropout masks
            states.append(Random.now(device))
            with region():
                found.append(system.features(one))
    # batch norm has moved its running statistics; the second pass moves them again, and once is enough
    for b, before in buffers:
        b.copy_(before)
    joined = join(found)
    del found
    cached = tensors(joined)
    with region():
        terms = system.judge(joined, batch, progress, **({"shares": shares} if shares else {}))
    torch.autograd.backward(scaled(terms["total"]))
    after = Random.now(device)
    for i, (one, state) in enumerate(zip(parts, states, strict=True)):
        state.restore(device)
        with region():
            again = tensors(system.features(one))
        at = slice(i * rows, i * rows + len(one))
        pull([(x, g[at]) for name, x in again.items() if (g := cached[name].grad) is not None])
    # the generators end where one pass and the loss would have left them
    after.restore(device)
    return terms


def pull(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Backward from each tensor with its gradient; one without a graph, of a frozen part, is passed over."""
    alive = [(x, g) for x, g in pairs if x.requires_grad]
    if alive:
        torch.autograd.backward([x for x, _ in alive], [g for _, g in alive])


def part(batch: Batch, at: slice) -> Batch:
    """Some rows of a batch."""
    return batch.map(lambda x: x[at])


def join(found: Sequence[Mapping[str, Features]]) -> dict[str, Features]:
    """Rows of all parts, as leaves that collect a gradient."""

    def cat(parts: Sequence[Tensor]) -> Tensor:
        whole = torch.cat(list(parts))
        return whole.requires_grad_(whole.is_floating_point())

    joined = {}
    for name, first in found[0].items():
        same = [features[name] for features in found]
        weights = {key: cat([f.weights[key] for f in same]) for key in first.weights}
        levels = tuple(cat(parts) for parts in zip(*(f.levels for f in same), strict=True))
        tokens, pooled = cat([f.tokens for f in same]), cat([f.pooled for f in same])
        joined[name] = Features(tokens, pooled, torch.cat([f.mask for f in same]), weights, first.grid, levels)
    return joined


def tensors(features: Mapping[str, Features]) -> dict[str, Tensor]:
    """All that can carry a gradient, by name."""
    return {
        f"{name}.{key}": x
        for name, f in features.items()
        for key, x in {"tokens": f.tokens, "pooled": f.pooled, **f.weights, **_levels(f)}.items()
        if x.is_floating_point()
    }


def _levels(f: Features) -> dict[str, Tensor]:
    return {f"levels.{i}": x for i, x in enumerate(f.levels)}


def average(system: nn.Module) -> None:
    """The mean of `.grad` over ranks, which DDP takes by itself only for a forward pass of its own; alone: nothing."""
    grads = [p.grad for p in system.parameters() if p.grad is not None]
    if not distributed.active() or not grads:
        return
    for dtype in {g.dtype for g in grads}:
        same = [g for g in grads if g.dtype == dtype]
        flat = torch.cat([g.flatten() for g in same])
        td.all_reduce(flat)
        flat /= distributed.world()
        for g, piece in zip(same, torch.split(flat, [g.numel() for g in same]), strict=True):
            g.copy_(piece.view_as(g))
