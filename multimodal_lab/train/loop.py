"""The training loop: evaluate, save, step, log. It is the same for every task."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch

from multimodal_lab.checkpoint.frozen import Trained
from multimodal_lab.checkpoint.state import ADAPTER, State, Stateful, Unsaved
from multimodal_lab.checkpoint.store import CheckpointStore
from multimodal_lab.device import distributed
from multimodal_lab.log.log import Log
from multimodal_lab.metric import direction
from multimodal_lab.optim.schedule import factor, ramp_steps, set_rates
from multimodal_lab.stage import stage
from multimodal_lab.system import System
from multimodal_lab.train.balance import Balance
from multimodal_lab.train.config import TrainConfig
from multimodal_lab.train.divergence import DivergenceGuard, require_sound
from multimodal_lab.train.dtensor import gather
from multimodal_lab.train.ema import Average
from multimodal_lab.train.fsdp import Shards, require_possible
from multimodal_lab.train.interrupt import Stop
from multimodal_lab.train.length import LEARNS_BY, length, told
from multimodal_lab.train.meters import Meters
from multimodal_lab.train.monitor import require_monitor, select
from multimodal_lab.train.resume import Resume, resume_from
from multimodal_lab.train.step import Step, prepare_model
from multimodal_lab.types import Batch


class TrainingData(Protocol):
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
    data: TrainingData,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    *,
    augment: Callable[[Batch, int, int], Batch],
    validate: Callable[[], Mapping[str, float]],
    log: Log,
    store: CheckpointStore,
    seed: int,
    device: torch.device,
    facts: Mapping[str, Any],
    resume: Resume = "never",
) -> State:
    """Train `system` in place and return the final state.

    `augment(batch, seed, epoch)` runs on the device; `validate()` scores the validation split; `facts` must not change
    between a run and its resume. Randomness is a function of (seed, epoch or step, rank, sample id) alone: neither a
    restart, nor a validation pass, nor the number of workers changes it. Ctrl-C, SIGTERM and SIGUSR save, then raise
    `Interrupted`. A training whose loss is not finite ends with `FloatingPointError`.
    With `config.ema` the system is validated, and at the end left, with the EMA of its weights. With
    `config.shard` it is empty meanwhile, but for rank 0's in a validation: see `Shards`.
    """
    if config.shard:
        require_possible(micro_batch=config.micro_batch, compile=config.compile, channels_last=config.channels_last)
    way = direction.resolve(
        str(facts.get("train.mode", config.mode)), config.monitor
    )  # in the facts as what `auto` comes to
    trains = config.max_steps != 0  # what trains nothing needs no training split
    steps = data.steps("train", world=distributed.world(), drop_last=True) if trains else 1
    per_epoch = math.ceil(steps / config.accumulate_steps)
    epochs, total = length(config.epochs, config.max_steps, per_epoch)
    ramp = ramp_steps(total, config.warmup, config.warmup_steps)
    store.keep = config.keep_last
    notes = prepare_model(system, config.channels_last, config.compile, config.sync_batchnorm)
    if config.compile and isinstance(augment, torch.nn.Module):
        augment.compile()
    trained = Trained.of(system) if config.save == "trained" else None
    shards = Shards(system, optimizer) if config.shard else None
    system = system if shards is None else shards.system

    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    frozen = () if trained is None else trained.record["names"]
    average, meters, state = Average(system, config.ema, frozen), Meters(device), State(facts=dict(facts))
    parts: dict[str, Stateful] = {
        "model": system, "optimizer": optimizer, "scaler": scaler, "ema": average, "meters": meters, "state": state,
    }  # fmt: skip
    if trained is not None:
        trained.module = system
        parts["model"] = trained
        notes.append(trained.note())
    if system.adapter is not None:
        parts[ADAPTER] = system.adapter
        getattr(system.adapter, "begin", lambda _: None)(total)
    saved_parts = parts if shards is None else shards.whole_parts(parts)
    update = Step(
        system,
        optimizer,
        scaler,
        augment,
        device,
        config.precision,
        seed,
        config.clip_norm,
        config.micro_batch,
        shards,
        total,
        system.adapter,
        None if config.balance == "none" else Balance(system, config.balance, config.balance_alpha, config.balance_end),
    )
    guard = DivergenceGuard(store.folder.parent, update, meters, config.log_every, min(per_epoch, total, LEARNS_BY))
    unsaved = Unsaved(system=system, augment=augment)

    def scored() -> Mapping[str, float]:
        """The validation split's scores, {} on every rank but 0; a signal cuts the pass short."""
        # the average first, so that what is gathered for rank 0 has it
        with average.applied(), contextlib.nullcontext() if shards is None else shards.gathered():
            return stop.unless_asked(validate, {}) if distributed.rank() == 0 else {}

    def save() -> None:
        state.seconds, state.logged = time.monotonic() - began, log.position()
        meters.share()
        unsaved.require_none()
        require_sound(system)
        # gathering is a collective: every rank takes part, rank 0 alone writes
        gather(saved_parts)
        if distributed.rank() == 0:
            store.save(saved_parts, state.best_step)

    with Stop() as stop:
        if distributed.active():
            update.fix_ddp_buckets(next(groups(data, config.accumulate_steps, 0, 0)))
        resume_from(store, saved_parts, facts, resume, log)
        store.require_space(parts)
        began = time.monotonic() - state.seconds
        done = state.step >= total or (config.patience is not None and state.stale >= config.patience)
        state.due |= not total and not store.all()  # what trains nothing is validated and saved all the same
        if config.monitor is not None and not state.step:
            names = scored()  # a wrong name is noticed now, and not when an epoch has been spent
            stop.leave(state.step, save)
            require_monitor(config.monitor, names)
        if config.monitor is not None:
            best = "lowest" if way == "min" else "highest"
            log.say(f"train.monitor={config.monitor}: kept is the step where it is {best}")
        for note in [*notes, *told(config.epochs, epochs, per_epoch, total, ramp)]:
            log.say(note)
        log.start(state.step, total)
        batches = groups(data, config.accumulate_steps, state.epoch, state.offset)
        system.train()
        loss = ""  # of the last row, for the progress display

        while True:
            if state.offset >= per_epoch:  # an epoch has ended
                next(batches, None)  # runs to its end, so that the loader's workers are free for the validation split
                state.epoch, state.offset, state.due = state.epoch + 1, 0, True
            scores: Mapping[str, float] = {}
            better = False

            # ----------------------------------------------------------------------------------------------------------
            # once in a while: evaluate
            last = done or state.epoch >= epochs
            if state.due and config.validate_every and (last or state.epoch % config.validate_every == 0):
                scores = scored()
                stop.leave(state.step, save)
                log.scalars(state.step, scores)
                better = config.monitor is not None and select(state, scores, config.monitor, way)
                done |= config.patience is not None and state.stale >= config.patience

            # ----------------------------------------------------------------------------------------------------------
            # once in a while: save
            if state.due:
                state.due = False
                if done:
                    guard.require_finite_end(scores)
                if better or done or state.epoch % config.save_every == 0:
                    save()
                    stop.leave(state.step)
                # due without being done is the end of an epoch: a new pass, and back to train mode after the validation
                if state.offset == 0:
                    batches = groups(data, config.accumulate_steps, state.epoch, 0)
                    system.train()
            if done:
                break

            # ----------------------------------------------------------------------------------------------------------
            # step
            with stage("reading data"):
                group = next(batches)
            progress = state.step / total
            # by the step, not by a torch scheduler: the rate is a function of the step and needs no state in a checkpoint
            set_rates(
                optimizer,
                factor(state.step, total, ramp=ramp, kind=config.schedule, min_lr_ratio=config.min_lr_ratio),
            )
            terms, norm = update(group, state.step, state.epoch, progress)
            average.update()
            meters.add(terms, norm)
            state.step, state.offset = state.step + 1, state.offset + 1
            # ranks have equal shares: uneven ones were refused by `data.steps`
            state.samples += sum(map(len, group)) * distributed.world()
            state.due = done = state.step >= total

            # ----------------------------------------------------------------------------------------------------------
            # log
            guard.look(group, terms, norm, state.step, state.epoch, progress)
            if state.step % config.log_every == 0 or done:
                row = meters.row() | {f"train/{k}": v for k, v in system.loss_scalars(progress).items()}
                rates = {f"lr/{g['name']}": g["lr"] for g in optimizer.param_groups}
                seen = {"train/epoch": state.epoch, "train/samples": state.samples}
                log.scalars(state.step, {**row, **rates, **seen})
                loss = f" loss {row['train/total']:.4f}"
            log.progress(state.step, f"epoch {state.epoch + 1}/{epochs}{loss}")
            # the last step is saved by the next round of this loop
            if not done:
                stop.leave(state.step, save)
    average.apply()
    if shards is not None:
        shards.leave()
    log.stop()
    return state


def groups(data: TrainingData, accumulate: int, epoch: int, offset: int) -> Iterator[list[Batch]]:
    """This rank's batches of each optimizer step of an epoch, from step `offset` of it on."""
    batches = data.batches(
        "train",
        epoch=epoch,
        shuffle=True,
        start=offset * accumulate,
        rank=distributed.rank(),
        world=distributed.world(),
        drop_last=True,
    )
    while group := list(itertools.islice(batches, accumulate)):
        yield group
