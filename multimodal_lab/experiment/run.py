"""Run one experiment from a composed config: build → fit → evaluate → report, in one run directory."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from multimodal_lab import progress
from multimodal_lab.cache.start import StartCache
from multimodal_lab.checkpoint.store import CheckpointStore, load_weights
from multimodal_lab.config import redact
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.rules.cache import could_be_cached
from multimodal_lab.config.rules.run import monitor
from multimodal_lab.config.rules.run import score as objective
from multimodal_lab.config.rules.wiring import backbones, judge, scored
from multimodal_lab.data.dataset import Resplit
from multimodal_lab.device import distributed
from multimodal_lab.device.placement import pick_device, repeatable
from multimodal_lab.device.trim import keep, trim
from multimodal_lab.evaluate import class_scores
from multimodal_lab.experiment.build import (
    build_augmentation,
    build_system,
    build_trackers,
    feature_cache,
    modality,
    require_backbones,
    take_preprocessing,
)
from multimodal_lab.experiment.evaluate import evaluate, held_out_losses, require_evaluators, validator
from multimodal_lab.experiment.figure_samples import FigureSamples
from multimodal_lab.experiment.pairs import require_pairs
from multimodal_lab.files import write_text
from multimodal_lab.log.log import Log
from multimodal_lab.runs import directory, hashes, provenance
from multimodal_lab.runs.records import JOBS, write_job, write_record
from multimodal_lab.runs.summary import score, usual, write_summary
from multimodal_lab.stage import stage
from multimodal_lab.system import System
from multimodal_lab.text import counted
from multimodal_lab.train import resume
from multimodal_lab.train.divergence import require_finite_held_out
from multimodal_lab.train.loop import fit


def run(cfg: DictConfig, folder: Path, resplit: Resplit = "never") -> float:
    """Run `cfg` in `folder`; returns the objective: `cfg.objective`, or the fused probe of the label where it is null.

    resplit: with `test` every sample is held out (see `Data.prepare`): for what trains nothing.
    """
    began = time.monotonic()
    # What a job before in this process held lies in cycles, decoded data too, and Python's own full collection may be cells away.
    gc.collect()
    provenance.restart_peak()
    device = pick_device(cfg.device)
    repeatable(device, cfg.deterministic)
    distributed.start(device)
    main = distributed.rank() == 0
    progress.show(main)
    with stage("building the backbones"):
        take_preprocessing(cfg)
    plain = _plain(cfg, folder)
    told = _fit_to_be_told(cfg, plain)
    config = OmegaConf.to_yaml(OmegaConf.create(told))
    folder.mkdir(parents=True, exist_ok=True)
    new = main and not directory.trained(folder)  # what is there belongs to what was trained
    if new:
        _write_config(cfg, folder, config)
    torch.manual_seed(cfg.seed)
    cache = feature_cache(cfg)
    with stage("building the backbones"):
        require_backbones(cfg)
    memory = cache or StartCache()
    with stage("reading data"):
        data = safe_instantiate(cfg.data).prepare(
            modality(cfg), cfg.seed, memory=memory, encodes=cache is not None, resplit=resplit
        )
    require_eval_split(cfg.eval_split, data)
    if cfg.train.max_steps != 0:  # a batch that is larger than the training split: before models of minutes are loaded
        data.steps("train", world=distributed.world(), drop_last=True)
    _require_scores(plain, data)
    last, parts = safe_instantiate(cfg.embed), {name: len(rows) for name, rows in data.splits.items()}
    evaluators = safe_instantiate(cfg.evaluate)
    judged = require_evaluators(evaluators, data, last, cfg.eval_split)
    system = build_system(cfg, data).to(device)
    shown = FigureSamples.of(cfg)
    if cache is None:
        shown.require(system, data, device, cfg.eval_split)
    with stage("building the augmentation"):
        augment = build_augmentation(cfg, cache, system, data, device)
    require_pairs(plain, data)
    with stage("building the optimizer"):
        optimizer = safe_instantiate(cfg.optim)(system)
    store = CheckpointStore(folder / "checkpoints", cfg.train.keep_last)
    if new:
        write_record(folder, data.record())
    log = Log(folder, main=main)
    label, notes = shown_label(cfg.label, data)
    told_of = [*data.notes, *memory.notes, *last.notes(parts, cfg.eval_split), *judged, *notes]
    log.say("\n".join([describe(system, data), *begins(plain), *told_of, f"writing to {folder}"]))
    if main:  # after the plan: a tracker may take 15 s to start
        log.trackers += build_trackers(cfg, folder, told)
    if device.type == "cpu":
        keep()
    state = fit(
        system, data, optimizer, safe_instantiate(cfg.train), augment=augment, log=log, store=store, seed=cfg.seed,
        device=device, validate=validator(system, data, augment, evaluators, cfg, device),
        facts=resume.facts(plain, data, device, scored(plain)), resume=cfg.resume,
    )  # fmt: skip
    trim()
    if main:  # a resume that fit refuses leaves the records of the run that is there as they were
        _write_config(cfg, folder, config)
        write_record(folder, data.record())
    if cfg.train.monitor is not None and (best := store.best()) is not None:
        load_weights(best, system)
    distributed.end()
    if not main:
        return 0.0
    held_out = held_out_losses(system, data, cfg.eval_split, augment, cfg, device)
    require_finite_held_out(held_out)
    subsets, pictures = cfg.modality_subsets, cache is None
    scores = evaluate(system, data, evaluators, device, folder, subsets, cfg.eval_split, pictures, last, shown)
    scores |= held_out
    facts = provenance.facts(cfg.seed, data, device, state, system, time.monotonic() - began)
    summary = {**scores, **facts, **_choices(), hashes.JUDGE: judge(plain)}
    summary[hashes.OBJECTIVE] = told.get("objective") or usual(summary, label, judge(plain), cfg.eval_split)
    write_summary(folder, summary, plain)
    return report(cfg, folder, log, summary, label, plain)


def describe(system: System, data: Any) -> str:
    """One line: streams, sizes, parameters."""
    streams = ", ".join(
        f"{s.name} ({counted(s.channels, 'band')})" if s.bands else s.name for s in data.streams.values()
    )
    counts = ", ".join(f"{len(rows)} {split}" for split, rows in data.splits.items())
    size, trained = provenance.parameters(system)
    told = "" if trained == size else f", {trained / 1e6:.3g} M of them trained ({trained / size:.2%})"
    return f"{streams}: {counts} samples; {size / 1e6:.2f} M parameters{told}"


def begins(plain: dict[str, Any]) -> list[str]:
    """What backbones of models that others have trained begin with, and which of them encode the same in every epoch."""
    found = [
        f"{name} {node['model']} weights={node['weights']}"
        for name, node in backbones(plain).items()
        if {"model", "weights"} <= node.keys()
    ]
    told = [f"backbones: {', '.join(found)}"] if found else []
    if once := could_be_cached(plain):
        said = f"the backbone of {' and of '.join(once)} is frozen, and reads the same in every epoch"
        told.append(f"{said}: cache=features encodes each sample once, to the same numbers")
    return told


def shown_label(wanted: str, data: Any) -> tuple[str, list[str]]:
    """The label that figures and the objective use, and a sentence if it is not the one `wanted`, which the data lack."""
    found = wanted if wanted in data.targets else next(iter(data.classes), wanted)
    return found, [] if found == wanted else [
        f"label: the data have no {wanted}; figures and the objective use {found}"
    ]


def require_eval_split(eval_split: str, data: Any) -> None:
    """Refuse a run that is to be scored on a split without samples, before it trains."""
    if eval_split != "test" and not len(data.splits.get(eval_split, ())):
        raise ValueError(
            f"eval_split={eval_split}: the data have no such split; give data.split.{eval_split} a share of the groups, or in "
            "a study cut it off the training part in tuning cells alone: study.tune.set=[data.split.train=…, data.split.val=…]"
        )


def _require_scores(plain: dict[str, Any], data: Any) -> None:
    """Refuse a score to watch or to return that names a label which the data lack: the check may not have known them."""
    known = {**plain, "data": {**plain["data"], "labels": list(data.targets)}}
    if found := [*monitor(known), *objective(known)]:
        raise ValueError(str(found[0]))


def _plain(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    return {**as_plain(cfg), "dir": str(folder)}


def _fit_to_be_told(cfg: DictConfig, plain: dict[str, Any]) -> dict[str, Any]:
    """The config without its secrets, for files and trackers."""
    return {**redact.config(plain, OmegaConf.to_container(cfg, resolve=False)), "dir": plain["dir"]}


def _write_config(cfg: DictConfig, folder: Path, config: str) -> None:
    """The config, and beside it what was typed for this job, where Hydra composed it."""
    write_text(folder / directory.CONFIG, config)
    if HydraConfig.initialized() and cfg.get("study") is None:
        typed: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
        typed = [redact.line(line) for line in typed]
        write_job(folder, typed, int(os.environ.get(JOBS, "0")))


def _choices() -> dict[str, str]:
    """`choices/<group>`: what the command line chose, where Hydra composed this run."""
    if not HydraConfig.initialized():
        return {}
    chosen = HydraConfig.get().runtime.choices
    return {f"choices/{group}": str(choice) for group, choice in chosen.items() if not group.startswith("hydra/")}


def _published(cfg: DictConfig, plain: dict[str, Any], summary: Mapping[str, Any]) -> tuple[Any, str]:
    """What the config knows to be published, None for nothing, and why it may not stand beside this run."""
    if not (cfg.get("report") or {}).get("published"):
        return None, ""
    published = safe_instantiate(cfg.report.published)
    return published, published.hidden(plain, summary)


def report(
    cfg: DictConfig, folder: Path, log: Log, summary: Mapping[str, Any], label: str, plain: dict[str, Any]
) -> float:
    """Draw the figures, print the tables, say where everything is; returns the objective."""
    from multimodal_lab.report import figures
    from multimodal_lab.report import summary as summary_report

    published, hidden = _published(cfg, plain, summary)
    if published is not None and not hidden:
        class_scores.write(folder, [class_scores.ClassScores("published", pd.DataFrame(published.frame(summary)))])
    drawn = figures.draw(folder, list(cfg.figures), label, scored(plain), cfg.train.monitor)
    log.finish(summary, [*drawn, *sorted((folder / class_scores.FOLDER).glob("*.csv"))])
    log.console.print(summary_report.table(summary, scored(plain)))
    if published is not None:
        log.console.print(
            f"{published.data}: no published figures beside these: {hidden}" if hidden else published.table(summary)
        )
    held = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir() if not p.name.startswith("run.lock"))
    log.say(f"everything is in {folder}: {', '.join(held)}")
    return score(summary, cfg.get("objective"), label, judge(plain), cfg.eval_split)
