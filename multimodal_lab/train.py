"""The loop: once in a while evaluate, once in a while save, step, log. It never asks which task it is running."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Protocol

import torch

from multimodal_lab import better as ways
from multimodal_lab import checkpoint, dist, optim
from multimodal_lab.bounds import Count, Fraction, Natural, Positive
from multimodal_lab.ema import Average
from multimodal_lab.guard import Guard, require_sound
from multimodal_lab.log import Log
from multimodal_lab.meters import Meters
from multimodal_lab.parts import Parts, State, Unsaved
from multimodal_lab.pieces import gather
from multimodal_lab.resume import Resume, resume_from
from multimodal_lab.shard import Shards, require_possible
from multimodal_lab.step import Precision, Step, arrange
from multimodal_lab.stop import Interrupted, Stop
from multimodal_lab.system import System
from multimodal_lab.types import Batch


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
    resume: Resume = "never",
    epochs: Count = 10,
    max_steps: Count | None = None,
    precision: Precision = "fp32",
    accumulate: Count = 1,
    micro_batch: Count | None = None,
    clip_norm: Positive | None = 1.0,
    warmup: Fraction = 0.05,
    schedule: Literal["cosine", "constant"] = "cosine",
    floor: Fraction = 0.0,
    ema: Fraction | None = None,
    channels_last: bool = False,
    compile: bool = False,
    shard: bool = False,
    validate_every: Natural = 1,
    monitor: str | None = None,
    mode: Literal["auto", "min", "max"] = "auto",
    patience: Count | None = None,
    save_every: Count = 1,
    keep: Count = 2,
    log_every: Count = 10,
) -> State:
    """Train `system` in place and return the final state. Every optional argument is a key of `conf/train/`.

    `augment(batch, seed, epoch)` runs on the device; `validate()` scores the validation split; `facts` must not change
    between a run and its resume. Randomness is a function of (seed, epoch or step, rank, sample id) alone: neither a restart,
    nor a validation pass, nor the number of workers changes it. Ctrl-C, SIGTERM and SIGUSR1 save, then raise `Interrupted`.
    With `compile` the augmentation is compiled, too, where it can be and runs on an accelerator.
    With `ema` the system is validated, and at the end left, with the running average of its weights. With `shard` it is
    empty meanwhile, but for rank 0's in a validation: see `Shards`.
    """
    if compile and micro_batch:
        raise ValueError(
            "train.compile and train.micro_batch: the compiled forward pass is of a whole batch; set one of them"
        )
    if shard:
        require_possible(micro_batch=micro_batch, compile=compile, channels_last=channels_last)
    way = ways.resolve(str(facts.get("train.mode", mode)), monitor)  # in the facts as what `auto` comes to
    per_epoch = math.ceil(data.steps("train", world=dist.world(), drop_last=True) / accumulate)
    total = min(epochs * per_epoch, max_steps or epochs * per_epoch)
    store.keep = keep
    arrange(system, channels_last, compile)
    if compile and isinstance(augment, torch.nn.Module):
        augment.compile()
    shards = Shards(system, optimizer) if shard else None
    system = system if shards is None else shards.system
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    average, meters, state = Average(system, ema), Meters(device), State(facts=dict(facts))
    parts: Parts = {
        "model": system, "optimizer": optimizer, "scaler": scaler, "ema": average, "meters": meters, "state": state,
    }  # fmt: skip
    saved_parts = parts if shards is None else shards.whole_parts(parts)
    update = Step(system, optimizer, scaler, augment, device, precision, seed, clip_norm, micro_batch, shards)
    guard = Guard(store.folder.parent, update, meters, log_every)
    unsaved = Unsaved(system=system, augment=augment)

    def groups(epoch: int, offset: int) -> Iterator[list[Batch]]:
        """The batches of each optimizer step of an epoch, from step `offset` of it on."""
        batches = data.batches(
            "train",
            epoch=epoch,
            shuffle=True,
            start=offset * accumulate,
            rank=dist.rank(),
            world=dist.world(),
            drop_last=True,
        )
        while group := list(itertools.islice(batches, accumulate)):
            yield group

    def scored() -> Mapping[str, float]:
        """The validation split's scores, {} on every rank but 0; a signal cuts the pass short."""
        with average.applied(), contextlib.nullcontext() if shards is None else shards.at_home():
            return stop.unless_asked(validate, {}) if dist.rank() == 0 else {}

    def save() -> None:
        state.seconds, state.logged = time.monotonic() - began, log.position()
        meters.share()
        unsaved.require_none()
        require_sound(system)
        gather(saved_parts)
        if dist.rank() == 0:
            store.save(saved_parts, state.best_step)

    def leave_if_asked(saved: bool = False) -> None:
        if stop.asked():
            if not saved:
                save()
            raise Interrupted(
                f"stopped by {stop.name} at step {state.step}, saved; the same command with resume=auto goes on"
            )

    with Stop() as stop:
        if dist.active():
            update.settle(next(groups(0, 0)))
        resume_from(store, saved_parts, facts, resume, log)
        store.require_space(parts)
        began = time.monotonic() - state.seconds
        done = state.step >= total or (patience is not None and state.stale >= patience)
        if monitor is not None and not state.step:
            names = scored()  # a wrong name is noticed now, and not when an epoch has been spent
            leave_if_asked()
            require_monitor(monitor, names)
        if monitor is not None:
            log.say(f"train.monitor={monitor}: kept is the step where it is {'lowest' if way == 'min' else 'highest'}")
        log.start(state.step, total)
        while state.due or not done:
            if state.due:  # an epoch has ended
                last, better = done or state.epoch >= epochs, False
                if validate_every and (state.epoch % validate_every == 0 or last):
                    scores = scored()
                    leave_if_asked()
                    log.scalars(state.step, scores)
                    better = monitor is not None and select(state, scores, monitor, way)
                    done |= patience is not None and state.stale >= patience
                state.due = False
                if better or done or state.epoch % save_every == 0:
                    save()
                    leave_if_asked(saved=True)
                continue
            epoch = state.epoch
            system.train()
            for group in groups(epoch, state.offset):
                progress = state.step / total
                optim.set_rates(optimizer, optim.factor(state.step, total, warmup=warmup, kind=schedule, floor=floor))
                terms, norm = update(group, state.step, epoch, progress)
                average.update()
                meters.add(terms, norm)
                state.step, state.offset = state.step + 1, state.offset + 1
                state.samples += sum(map(len, group)) * dist.world()
                done = state.step >= total
                guard.look(group, state.step, epoch, progress)
                if state.step % log_every == 0 or done:
                    row = meters.row()
                    rates = {f"lr/{g['name']}": g["lr"] for g in optimizer.param_groups}
                    seen = {"train/epoch": epoch, "train/samples": state.samples}
                    log.scalars(state.step, {**row, **rates, **seen})
                    log.progress(state.step, f"epoch {epoch + 1}/{epochs} loss {row['train/total']:.4f}")
                if done:
                    break
                leave_if_asked()
            if state.offset >= per_epoch:
                state.epoch, state.offset = epoch + 1, 0
            state.due = True
    average.apply()
    if shards is not None:
        shards.leave()
    log.stop()
    return state


def require_monitor(monitor: str, scores: Mapping[str, float]) -> None:
    """Refuse, on every rank together, a score to watch that the validation pass does not give."""
    if dist.any_rank(dist.rank() == 0 and monitor not in scores):
        names = ", ".join(sorted(scores)) or "nothing: the validation split is empty, or this is not rank 0"
        raise ValueError(f"train.monitor={monitor}: no such score; the validation pass gives {names}")


def select(state: State, scores: Mapping[str, float], monitor: str, mode: str) -> bool:
    """Whether this is the best so far; every rank decides as rank 0 does."""
    require_monitor(monitor, scores)
    value = dist.from_main(float(scores.get(monitor, 0.0)))
    better = state.best is None or (value < state.best if mode == "min" else value > state.best)
    if better:
        state.best, state.best_step, state.stale = value, state.step, 0
    else:
        state.stale += 1
    return better
