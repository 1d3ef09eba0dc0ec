"""Two processes must compute what one does: the mean over ranks of a loss, and of its gradients as DDP takes it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import forked
import torch
import torch.distributed as td

from contract.loss import NAMED, Made, Scope, named, scope
from contract.owed import owed
from multimodal_lab.types import Batch

N, WORLD = 6, 2
HERE = [[1, 1], [1, 1], [1, 0], [0, 1], [1, 1], [0, 0]]  # rank 1 lacks most of the first stream


def parity(one: Made) -> None:
    """Each rank brings half of the samples, unevenly present."""
    whole = _result(one, *_share(range(N)))
    with tempfile.TemporaryDirectory() as folder:
        forked.meeting(_rank, folder, one, nprocs=WORLD)
        halves = [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]
    told = f"loss {one.name}: two processes give another"
    mean = sum(value for value, _ in halves) / WORLD
    owed(torch.allclose(mean, whole[0]), f"{told} value than one; gather rows, or use precision.mean_over_all")
    for rank, (_, grads) in enumerate(halves):
        rows = _rows(_samples(rank))
        same = all(torch.allclose(g / WORLD, w[rows]) for g, w in zip(grads, whole[1], strict=True))
        owed(same, f"{told} gradient than one; gather with distributed.gather, whose backward sums over ranks")


def _samples(rank: int) -> range:
    return range(rank * N // WORLD, (rank + 1) * N // WORLD)


def _rows(samples: range) -> list[int]:
    return [view * N + i for view in range(2) for i in samples]


def _share(samples: range) -> tuple[Scope, list[torch.Tensor]]:
    """The scope of some samples, whose leaves hold their rows of the whole."""
    whole, leaves = scope(N, torch.tensor(HERE), streams="ab")
    rows = torch.tensor(_rows(samples))
    own = [x.detach()[rows].requires_grad_() for x in leaves]
    present = {k: x[rows] for k, x in whole["present"].items()}
    z = {k: torch.where(present[k][:, None], x, 0.0) for k, x in zip(present, own, strict=False)}
    said = dict(zip([k for k in whole["out"] if k not in NAMED], own[len(z) :], strict=True))
    said["match"] = {"logits": said["match"], "known": whole["out"]["match"]["known"][rows]}
    batch: Batch = whole["batch"].map(lambda x: x[rows])
    heard = {"projection": {k: x[rows] for k, x in whole["teacher"]["projection"].items()}}
    return {**whole, "batch": batch, "out": {**named(z), **said}, "present": present, "teacher": heard}, own


def _result(one: Made, found: Scope, leaves: list[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    value = one.build()(found)
    grads = torch.autograd.grad(value, leaves, allow_unused=True)
    return value.detach(), [torch.zeros_like(x) if g is None else g for g, x in zip(grads, leaves, strict=True)]


def _rank(rank: int, port: int, folder: str, one: Made) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    td.init_process_group("gloo", rank=rank, world_size=WORLD)
    torch.save(_result(one, *_share(_samples(rank))), Path(folder) / f"{rank}.pt")
    td.destroy_process_group()
