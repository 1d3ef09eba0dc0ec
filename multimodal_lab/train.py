"""The loop: once in a while evaluate, once in a while save, step, log. It never asks which task it is running."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from multimodal_lab import checkpoint, dist, optim
from multimodal_lab.bounds import Count, Fraction, Natural, Positive
from multimodal_lab.log import Log
from multimodal_lab.stop import Stop
from multimodal_lab.system import System, check_used
from multimodal_lab.types import Batch

Precision = Literal["fp32", "bf16", "fp16"]


class Data(Protocol):
    """What the loop asks of prepared data."""

    def steps(self, split: str, *, world: int, drop_last: bool) -> int:
        """How many global batches one pass makes."""
        ...

    def batches(
        self, split: str, *, epoch: int, shuffle: bool, start: int, rank: int, world: int, drop_last: bool
    ) -> Iterator[Batch]:
        """This rank's share of one pass, from global batch `start` on."""
        ...


class Interrupted(Exception):
    """A signal asked for the end; all is saved."""


@dataclass
class State:
    """All that must survive a resume, beside weights and optimizer: plain numbers, in one place."""

    step: int = 0
    epoch: int = 0
    offset: int = 0
    samples: int = 0
    best: float | None = None
    stale: int = 0
    seconds: float = 0.0
    scale: dict[str, Any] | None = None
    facts: dict[str, Any] | None = None


def fit(
    system: System,
    data: Data,
    optimizer: torch.optim.Optimizer,
    *,
    augment: Callable[[Batch, int, int], Batch],
    validate: Callable[[], Mapping[str, float]],
    log: Log,
    store: checkpoint.Store,
    seed: int,
    device: torch.device,
    facts: Mapping[str, Any],
    resume: bool = False,
    epochs: Count = 10,
    max_steps: Count | None = None,
    precision: Precision = "fp32",
    accumulate: Count = 1,
    clip_norm: Positive | None = 1.0,
    warmup: Fraction = 0.05,
    schedule: Literal["cosine", "constant"] = "cosine",
    floor: Fraction = 0.0,
    validate_every: Natural = 1,
    monitor: str | None = None,
    mode: Literal["min", "max"] = "min",
    patience: Count | None = None,
    save_every: Count = 1,
    keep: Count = 2,
    log_every: Count = 10,
) -> State:
    """Train `system` in place and return the final state. Every optional argument is a key of `conf/train/`.

    `augment(batch, seed, epoch)` runs on the device; `validate()` scores the validation split; `facts` must not change
    between a run and its resume. Randomness is a function of (seed, epoch or step, rank, sample id) alone: neither a restart,
    nor a validation pass, nor the number of workers changes it. Ctrl-C and SIGTERM save, then raise `Interrupted`.
    """
    per_epoch = math.ceil(data.steps("train", world=dist.world(), drop_last=True) / accumulate)
    total = min(epochs * per_epoch, max_steps or epochs * per_epoch)
    store.keep = keep
    state, main = State(facts=dict(facts)), dist.rank() == 0
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    if resume and (found := store.newest()) is not None:
        state = restored(State(**checkpoint.load(found, system, optimizer)), facts)
        if state.scale:
            scaler.load_state_dict(state.scale)
        log.say(f"resumed from {found} at step {state.step}")
    log.rewind(state.step)
    model: nn.Module = DistributedDataParallel(system) if dist.active() else system
    sums: dict[str, Tensor] = {}
    summed = 0
    bad = torch.zeros((), device=device)
    first, done, began = state.step, state.step >= total, time.monotonic() - state.seconds

    def save(best: bool = False) -> None:
        state.seconds, state.scale = time.monotonic() - began, scaler.state_dict() or None
        if main:
            store.save(system, optimizer, asdict(state), best)

    log.start(state.step, total)
    with Stop() as stop:
        while not done:
            epoch, progress = state.epoch, state.step / total
            batches = data.batches(
                "train",
                epoch=epoch,
                shuffle=True,
                start=state.offset * accumulate,
                rank=dist.rank(),
                world=dist.world(),
                drop_last=True,
            )
            system.train()
            while (group := list(itertools.islice(batches, accumulate))) and not done:
                torch.manual_seed(_mix(seed, state.step, dist.rank()))
                optim.set_rates(optimizer, optim.factor(state.step, total, warmup=warmup, kind=schedule, floor=floor))
                progress = state.step / total
                for i, batch in enumerate(group):
                    view = augment(batch.to(device), seed, epoch)
                    waits = (
                        model.no_sync()
                        if isinstance(model, DistributedDataParallel) and i + 1 < len(group)
                        else contextlib.nullcontext()
                    )
                    with waits, autocast(device, precision):
                        terms = model(view, progress)
                    with waits:
                        scaler.scale(terms["total"] / len(group)).backward()
                    for key, value in terms.items():
                        sums[key] = sums.get(key, 0.0) + value.detach() / len(group)
                    state.samples += len(batch) * dist.world()
                if state.step == first:
                    check_used(system)
                scaler.unscale_(optimizer)
                norm = nn.utils.clip_grad_norm_(system.parameters(), clip_norm or math.inf)
                bad = torch.where(torch.isfinite(terms["total"].detach()), torch.zeros_like(bad), bad + 1)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad(set_to_none=True)
                state.step, state.offset, summed = state.step + 1, state.offset + 1, summed + 1
                done = state.step >= total
                if state.step % log_every == 0 or done:
                    row = {f"train/{k}": float(dist.mean_over_ranks(v)) / summed for k, v in sums.items()}
                    sums, summed = {}, 0
                    refuse_non_finite(float(bad), row, state.step)
                    rates = {f"lr/{g['name']}": g["lr"] for g in optimizer.param_groups}
                    log.scalars(
                        state.step,
                        {
                            **row,
                            **rates,
                            "train/grad_norm": float(norm),
                            "train/epoch": epoch,
                            "train/samples": state.samples,
                        },
                    )
                    log.progress(state.step, f"epoch {epoch + 1}/{epochs} loss {row['train/total']:.4f}")
                if stop.asked():
                    save()
                    raise Interrupted(
                        f"stopped by {stop.name} at step {state.step}, saved; the same command with resume=auto goes on"
                    )
            if state.offset >= per_epoch:
                state.epoch, state.offset = epoch + 1, 0
            last, better = done or state.epoch >= epochs, False
            if validate_every and (state.epoch % validate_every == 0 or last):
                scores = validate() if main else {}
                log.scalars(state.step, scores)
                better, done = _select(state, scores, monitor, mode, patience, done)
            if better or last or done or state.epoch % save_every == 0:
                save(best=better)
    log.stop()
    return state


def _select(
    state: State, scores: Mapping[str, float], monitor: str | None, mode: str, patience: int | None, done: bool
) -> tuple[bool, bool]:
    """(is this the best so far, is it time to stop); every rank decides as rank 0 does."""
    if monitor is None:
        return False, done
    if dist.rank() == 0 and monitor not in scores:
        raise ValueError(
            f"train.monitor={monitor}: no such score; the validation pass gives {', '.join(sorted(scores))}"
        )
    value = dist.from_main(float(scores.get(monitor, 0.0)))
    better = state.best is None or (value < state.best if mode == "min" else value > state.best)
    state.best, state.stale = (value, 0) if better else (state.best, state.stale + 1)
    return better, done or (patience is not None and state.stale >= patience)


def restored(state: State, facts: Mapping[str, Any]) -> State:
    """Refuse a resume that could not be exact, naming each fact that changed."""
    before = state.facts or {}
    changed = [f"{k}: was {before.get(k)!r}, is {v!r}" for k, v in facts.items() if before.get(k) != v]
    if changed:
        raise ValueError("this run can't go on exactly: " + "; ".join(changed) + ". Start a new run, or restore these")
    return state


def refuse_non_finite(bad: float, row: Mapping[str, float], step: int) -> None:
    """Stop when the loss has not been finite for steps in a row, naming the terms."""
    if bad >= 10 or (bad and not all(map(math.isfinite, row.values())) and bad >= 5):
        terms = ", ".join(f"{k}={v}" for k, v in row.items() if not math.isfinite(v))
        raise FloatingPointError(
            f"the loss has not been finite for {bad:.0f} steps at step {step} ({terms}); lower optim.lr or use precision=bf16"
        )


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    """The autocast region of a precision; fp32 is none."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return torch.autocast(device.type, dtype=dtype) if dtype else contextlib.nullcontext()


def _mix(*numbers: int) -> int:
    """One 63-bit seed from several integers (splitmix64's finaliser)."""
    x = 0
    for n in numbers:
        x = (x + n + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 31
    return x >> 1
