"""How long a cell takes here: one whole cell without its training, and a few steps of every arm, timed."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from multimodal_lab import progress
from multimodal_lab.cache.start import StartCache
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.device.placement import pick_device
from multimodal_lab.experiment.build import build_augmentation, build_system, feature_cache, modality
from multimodal_lab.experiment.run import run
from multimodal_lab.train.length import length
from multimodal_lab.train.step import Step

TIMED = 3  # steps, after one that is not counted
LONGEST = 20.0  # seconds of one arm's steps


@dataclass(frozen=True)
class Timing:
    """Seconds of one cell of each arm, its training among them; `fixed`: what a cell takes besides its training."""

    fixed: float
    arms: Mapping[str, float]

    def of(self, arm: str) -> float:
        """Of one cell."""
        return self.arms[arm]


def time_cells(configs: Mapping[str, DictConfig]) -> Timing:
    """Time the arms of {arm: its config}; of the last a cell is run to its end without training, twice: the first warms up."""
    whole = list(configs)[-1]
    with progress.alone():
        fixed = [_without_training(configs[whole]) for _ in range(2)][-1]
        progress.show(True)
        timed = progress.track(configs.items(), f"timing {TIMED} steps of each arm", len(configs))
        arms = {arm: fixed + _training(cfg) for arm, cfg in timed}
    return Timing(fixed, arms)


def _without_training(cfg: DictConfig) -> float:
    own = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    assert isinstance(own, DictConfig)
    OmegaConf.update(own, "train.max_steps", 0)
    with tempfile.TemporaryDirectory() as folder:
        OmegaConf.update(own, "dir", folder)
        began = time.perf_counter()
        run(own, Path(folder))
        return time.perf_counter() - began


def _training(cfg: DictConfig) -> float:
    """The seconds of all steps, from a few."""
    device = pick_device(cfg.device)
    cache = feature_cache(cfg)
    memory = cache or StartCache()
    data = safe_instantiate(cfg.data).prepare(modality(cfg), cfg.seed, memory=memory, encodes=cache is not None)
    torch.manual_seed(cfg.seed)
    system = build_system(cfg, data).to(device)
    augment = build_augmentation(cfg, cache, system, data, device)  # what it encodes the cells find
    train = safe_instantiate(cfg.train)
    step = Step(
        system, safe_instantiate(cfg.optim)(system), torch.amp.GradScaler(device.type, enabled=False), augment, device,
        train.precision, cfg.seed, train.clip_norm,
    )  # fmt: skip
    per_epoch = math.ceil(data.steps("train", drop_last=True) / train.accumulate_steps)
    _, total = length(train.epochs, train.max_steps, per_epoch)
    return float(total * _per_step(step, data, train.accumulate_steps, device))


def _per_step(step: Step, data: Any, accumulate: int, device: torch.device) -> float:
    taken: list[float] = []
    epoch = 0
    while len(taken) <= TIMED and sum(taken) < LONGEST:
        began = time.perf_counter()
        for batch in data.batches("train", epoch=epoch, shuffle=True, drop_last=True):
            for _ in range(accumulate):
                step([batch], len(taken), epoch, 0.0)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            now = time.perf_counter()
            taken.append(now - began)
            began = now
            if len(taken) > TIMED or sum(taken) >= LONGEST:
                break
        epoch += 1
    counted: Sequence[float] = taken[1:] or taken
    return sum(counted) / len(counted)
