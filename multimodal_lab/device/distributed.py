"""torch.distributed helpers: rank and world size, barriers, reductions, all-gather with a gradient."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as td
from torch import Tensor

# The others wait while rank 0 validates. A rank that dies is noticed at once all the same: its connections close.
PATIENCE = timedelta(hours=6)
_single = False


def active() -> bool:
    """Whether a process group runs, and this is not a pass that one rank makes alone."""
    return td.is_available() and td.is_initialized() and not _single


@contextlib.contextmanager
def single_process() -> Iterator[None]:
    """Inside, this rank computes as a single process and enters no collective (a validation pass of rank 0)."""
    global _single
    before, _single = _single, True
    try:
        yield
    finally:
        _single = before


def leave_single_process() -> None:
    """Collectives are entered again, also where a pass that was alone has been cut short."""
    global _single
    _single = False


def start(device: torch.device) -> None:
    """Join the process group that torchrun announces in the environment; alone: nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not td.is_initialized():
        td.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def end() -> None:
    """Destroy the process group once every rank is here."""
    if td.is_available() and td.is_initialized():
        td.barrier()
        td.destroy_process_group()


def world() -> int:
    """The world size."""
    return td.get_world_size() if active() else 1


def rank() -> int:
    """This rank; 0 in a single process."""
    return td.get_rank() if active() else int(os.environ.get("RANK", "0"))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        parts = [torch.empty_like(x) for _ in range(world())]
        td.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # a copy: the sum is made in place, and the gradient that came in may be used elsewhere
        total = grads[0].contiguous().clone()
        td.all_reduce(total)
        start = rank() * ctx.rows
        return total[start : start + ctx.rows]


def gather(x: Tensor) -> Tensor:
    """Rows of every rank, (N, …) to (world·N, …), with gradient; every rank must bring the same N. Alone: `x` itself.

    Backward sums the gradients of all ranks. A loss that every rank computes over the gathered rows as a global mean
    therefore gives each rank world × its share of the gradient, and DDP's averaging over ranks makes it exact.
    """
    if not active():
        return x
    if not x.is_floating_point():
        parts = [torch.empty_like(x) for _ in range(world())]
        td.all_gather(parts, x.contiguous())
        return torch.cat(parts)
    gathered: Tensor = _Gather.apply(x)
    return gathered


def all_reduce_mean(x: Tensor) -> Tensor:
    """The mean of `x` over ranks, detached: for logging and counts."""
    y = x.detach().clone()
    if active():
        td.all_reduce(y)
        y /= world()
    return y


def any_rank(flag: bool) -> bool:
    """Whether `flag` is true on any rank; every rank must ask."""
    return bool(all_reduce_max(float(flag))) if active() else flag


def all_reduce_max(value: float) -> float:
    """The largest `value` over ranks; every rank must ask."""
    if not active():
        return value
    x = torch.tensor([value], dtype=torch.float64, device=_device())
    td.all_reduce(x, op=td.ReduceOp.MAX)
    return float(x.item())


def broadcast_text(word: str) -> str:
    """Rank 0's word of at most 250 bytes, on every rank."""
    if not active():
        return word
    # of one length: a broadcast takes tensors of one size on every rank
    content = word.encode()[:250].ljust(250, b"\0")
    x = torch.tensor(list(content), dtype=torch.uint8, device=_device())
    td.broadcast(x, 0)
    return bytes(x.tolist()).rstrip(b"\0").decode()


def broadcast(value: float) -> float:
    """Rank 0's number, on every rank."""
    if not active():
        return value
    x = torch.tensor([value], dtype=torch.float64, device=_device())
    td.broadcast(x, 0)
    return float(x.item())


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if td.get_backend() == "nccl" else torch.device("cpu")


def local_rank() -> int:
    """This rank's number on its own machine, as torchrun gives it."""
    return int(os.environ.get("LOCAL_RANK", "0"))
