"""Fully sharded training (FSDP2): weights, gradients and optimizer state over ranks (ZeRO-3, Rajbhandari et al. 2020)."""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
import torch.distributed as td
from torch import Tensor, nn

from multimodal_lab.checkpoint.state import TrainingState
from multimodal_lab.device import distributed
from multimodal_lab.system import System
from multimodal_lab.train import gradcache
from multimodal_lab.train.dtensor import Whole, in_pieces, local, own_piece, whole

SMALLEST = 1_000_000  # parameters of a block that is gathered by itself: below, a message costs more than the memory


def require_possible(*, micro_batch: int | None, compile: bool, channels_last: bool) -> None:
    """Refuse what `train.shard` can't be together with, in one sentence."""
    if distributed.world() < 2:
        raise ValueError(
            "train.shard=true: there is one process, so nothing to spread over; start several by torchrun "
            "--nproc_per_node=2 -m multimodal_lab.run …, or leave it false"
        )
    others = {"micro_batch": micro_batch, "compile": compile, "channels_last": channels_last}
    if found := [f"train.{key}={value}" for key, value in others.items() if value]:
        raise ValueError(f"train.shard=true and {' and '.join(found)} can't be together; set one of them")


class Shards:
    """`home`, which the caller built, and `system`, its twin that trains: the same modules, every parameter cut by rows.

    A rank holds 1/world of each parameter; a block is gathered when its turn comes and dropped behind it (FSDP2, Zhao et al.
    2023). `home` stays a plain system, empty until `at_home` or `leave`. `optimizer`, built over `home`, goes on with this
    rank's pieces as plain tensors: it is told of no other rank. Scalars can't be cut and stay whole on every rank. Weights
    and buffers start as rank 0's. Every method is for all ranks together.
    """

    def __init__(self, home: System, optimizer: torch.optim.Optimizer) -> None:
        if optimizer.state:
            raise ValueError("train.shard: this optimizer has made steps already; give a fresh one")
        with torch.no_grad():
            for x in (*home.parameters(), *home.buffers()):
                td.broadcast(x, 0)
        self.home, self.system = home, _twin(home)
        names = {id(p): name for name, p in home.named_parameters()}
        self._empty()
        cut(self.system, SMALLEST)
        self.cut_ones = dict(self.system.named_parameters())
        self.rest = nn.ParameterList(p for p in self.cut_ones.values() if not in_pieces(p))
        self.own = {
            name: nn.Parameter(local(p.detach()), p.requires_grad) if in_pieces(p) else p
            for name, p in self.cut_ones.items()
        }
        self.order = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
        for group in optimizer.param_groups:
            group["params"] = [self.own[names[id(p)]] for p in group["params"]]

    def share_buffers(self) -> None:
        """Rank 0's buffers to all, as DDP does before a forward pass."""
        buffers = list(self.system.buffers())
        for dtype in dict.fromkeys(b.dtype for b in buffers):
            same = [b for b in buffers if b.dtype == dtype]
            flat = torch.cat([b.flatten() for b in same])
            td.broadcast(flat, 0)
            for b, piece in zip(same, torch.split(flat, [b.numel() for b in same]), strict=True):
                b.copy_(piece.view_as(b))

    def scatter_gradients(self) -> None:
        """Hand the gradients, means over ranks, on to the pieces that the optimizer holds."""
        for name, p in self.cut_ones.items():
            if in_pieces(p):
                self.own[name].grad = None if p.grad is None else local(p.grad)
                p.grad = None
        # scalars lie whole on every rank, and FSDP reduces only what it has cut
        gradcache.average(self.rest)

    def norm(self) -> Tensor:
        """The norm of all gradients, of every rank's pieces together."""
        pieces = [x.grad for name, x in self.own.items() if x.grad is not None and x is not self.cut_ones[name]]
        # squares add up over ranks, norms do not
        square = _square(pieces)
        td.all_reduce(square)
        both = [square, _square(rest)] if (rest := [p.grad for p in self.rest if p.grad is not None]) else [square]
        return torch.stack(both).sum().sqrt().float()

    def sync_found_inf(self, scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer) -> None:
        """After `unscale_`: what is not finite in one rank's pieces is an overflow on every rank."""
        if scaler.is_enabled():
            for found in scaler._found_inf_per_device(optimizer).values():
                td.all_reduce(found, op=td.ReduceOp.MAX)

    def whole_parts(self, parts: TrainingState) -> TrainingState:
        """The same parts as a checkpoint holds them, whole: `gather` them, then save on rank 0."""
        model, ema, optimizer = parts["model"], parts["ema"], parts["optimizer"]
        return {
            **parts,
            "model": Whole(model, lambda _: model.state_dict()),
            "ema": Whole(ema, lambda _: ema.state_dict()),
            "optimizer": Whole(optimizer, self._owners, lambda x, like: local(own_piece(x, like))),
        }

    def _owners(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The parameter of every moment in the state of the optimizer."""
        return {"state": {i: dict.fromkeys(found, self.cut_ones[self.order[i]]) for i, found in state["state"].items()}}

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """Inside, `home` on rank 0 has all the weights, for a pass that it makes alone."""
        self._fill(distributed.rank() == 0)
        try:
            yield
        finally:
            self._empty()

    def leave(self) -> None:
        """Give `home` all the weights permanently, on every rank: what a finished training leaves behind."""
        self._fill(True)

    @torch.no_grad()
    def _fill(self, here: bool) -> None:
        for name, p in self.home.named_parameters():
            found = whole(self.cut_ones[name].detach())
            if here:
                # a scalar is not gathered but is the training tensor itself: `home` gets a copy
                p.data = found.clone() if found is self.cut_ones[name] else found
        for name, b in self.home.named_buffers():
            b.copy_(self.system.get_buffer(name))

    def _empty(self) -> None:
        for p in self.home.parameters():
            p.data = p.data.new_empty(0)


def cut(system: System, smallest: int) -> None:
    """Cut every block, backbone, fusion and head, the inner ones first, then what is left, into pieces of their own."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(next(system.parameters()).device.type, (distributed.world(),))
    scalars = {p for p in system.parameters() if p.ndim == 0}
    for module in (*blocks(system, smallest), *_stages(system), system):
        if module is system or any(p.ndim and not in_pieces(p) for p in module.parameters()):
            fully_shard(module, mesh=mesh, ignored_params=scalars)
    register_fsdp_forward_method(system, "scope")  # which gathers and drops as a forward pass does


def blocks(system: nn.Module, smallest: int) -> list[nn.Module]:
    """The repeated children of models: the members, of `smallest` parameters or more, of any list or sequence; inner first.

    One that shares a parameter with a module outside is left to what holds both.
    """
    found = []
    for holder in system.modules():
        for child in holder.children() if isinstance(holder, nn.ModuleList | nn.Sequential) else ():
            if sum(p.numel() for p in child.parameters()) >= smallest:
                found.append(child)
    return _closed(system, dict.fromkeys(reversed(found)))


def _closed(system: nn.Module, modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Those whose parameters nothing outside of them holds, too."""
    uses = Counter(id(p) for _, p in system.named_parameters(remove_duplicate=False))
    inside = {m: Counter(id(p) for _, p in m.named_parameters(remove_duplicate=False)) for m in modules}
    return [m for m, own in inside.items() if all(uses[key] == n for key, n in own.items())]


def _stages(system: System) -> Iterable[nn.Module]:
    shared = system.backbones.shared
    every = (
        *system.backbones.each.values(),
        *([] if shared is None else [shared]),
        system.fusion,
        *system.heads.values(),
    )
    return _closed(system, every)  # tied weights are the whole system's


def _twin(system: System) -> System:
    """A copy over the same memory: parameters of its own, their values copied only where rows don't lie in one stretch."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach().contiguous(), p.requires_grad) for p in system.parameters()}
    return copy.deepcopy(system, memo)


def _square(tensors: list[Tensor]) -> Tensor:
    return nn.utils.get_total_norm(tensors).double().square()
