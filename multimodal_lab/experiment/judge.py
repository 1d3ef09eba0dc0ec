"""Judge a trained run on data of its own or others, without training: the tables of a run, in a directory of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from multimodal_lab.adapt.unseen import seen
from multimodal_lab.checkpoint.state import State
from multimodal_lab.config import redact
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.rules.wiring import judge as judging
from multimodal_lab.data.dataset import Resplit
from multimodal_lab.data.source import DataError
from multimodal_lab.device.placement import pick_device, repeatable
from multimodal_lab.evaluate import thresholds
from multimodal_lab.evaluate.embed_config import EmbedConfig
from multimodal_lab.experiment.build import build_augmentation
from multimodal_lab.experiment.evaluate import evaluate, held_out_losses, require_evaluators
from multimodal_lab.experiment.figure_samples import FigureSamples
from multimodal_lab.experiment.reload import load_trained, read_data
from multimodal_lab.experiment.run import describe, report, require_eval_split, shown_label
from multimodal_lab.files import write_text
from multimodal_lab.log.log import Log
from multimodal_lab.runs import directory, hashes, provenance
from multimodal_lab.runs.records import read_record, write_record
from multimodal_lab.runs.summary import write_summary
from multimodal_lab.stage import stage

RUN, CHECKPOINT, ALLOWED = "provenance/run", "provenance/checkpoint", "provenance/seen_allowed"


def judge(cfg: DictConfig, run: Path, out: Path, resplit: Resplit = "others", allow_seen: bool = False) -> float:
    """Evaluate the run in `run` on `cfg.data` and write embeddings, predictions, figures and `summary.json` to `out`.

    What a run's own evaluators fit, they fit on the training split that `resplit` gives (see `Data.prepare`). `DataError` where
    held-out samples are among those that the run was trained or chosen on, unless `allow_seen`. Returns the objective.
    """
    began = time.monotonic()
    provenance.restart_peak()
    device = pick_device(cfg.device)
    repeatable(device, cfg.get("deterministic", True))
    record = read_record(run)
    data = read_data(cfg, run, resplit)
    require_eval_split(cfg.eval_split, data)
    known = [] if cfg.eval_split == "train" else _seen(record, data, cfg.eval_split, run)
    if known and not allow_seen:
        raise DataError(
            f"{len(known)} of the {len(data.splits[cfg.eval_split])} {cfg.eval_split} samples, or others of their groups, hold "
            f"what samples that {run} was trained on hold, or are called like them (such as {known[0]}): scores would be of what "
            "it has seen. Take its own split (no data.split…), or, where these are other samples, seen=allow"
        )
    last = replace(safe_instantiate(cfg.embed), splits=None) if cfg.get("embed") else None
    evaluators = safe_instantiate(cfg.evaluate)
    _take_thresholds(evaluators, run)
    judged = require_evaluators(evaluators, data, last or EmbedConfig(), cfg.eval_split)
    system, checkpoint = load_trained(cfg, run, data, device)
    shown = FigureSamples.of(cfg)
    shown.require(system, data, device, cfg.eval_split)
    with stage("building the augmentation"):
        augment = build_augmentation(cfg, None, system, data, device)
    plain = {**as_plain(cfg), "dir": str(out)}
    told: dict[str, Any] = redact.config(plain, OmegaConf.to_container(cfg, resolve=False))
    write_text(out / directory.CONFIG, OmegaConf.to_yaml(OmegaConf.create(told)))
    write_record(out, data.record())
    log = Log(out)
    label, notes = shown_label(cfg.label, data)
    unknown = [*_notes_of_labels(data), *judged, *notes]
    log.say("\n".join([describe(system, data), *data.notes, *unknown, f"judging {checkpoint}, writing to {out}"]))
    held_out = held_out_losses(system, data, cfg.eval_split, augment, cfg, device)
    scores = evaluate(
        system, data, evaluators, device, out, cfg.modality_subsets, cfg.eval_split, config=last, figures=shown
    )  # fmt: skip
    scores |= held_out
    facts = provenance.facts(cfg.seed, data, device, State(), system, time.monotonic() - began)
    asked = {RUN: str(run), CHECKPOINT: checkpoint.name, **({ALLOWED: len(known)} if known else {})}
    summary = {**scores, **facts, **asked, hashes.JUDGE: judging(plain)}
    write_summary(out, summary, plain)
    return report(cfg, out, log, summary, label, plain)


def _seen(record: dict[str, Any], data: Any, held: str, run: Path) -> list[str]:
    """The held-out samples that the run has seen, by name, group and content; its own streams are those of the data."""
    try:
        return seen(record, data, held, {name: name for name in data.streams})
    except ValueError as error:
        raise DataError(f"{run}: the digests of its samples are damaged ({error})") from error


def _take_thresholds(evaluators: dict[str, Any], run: Path) -> None:
    """Give evaluators that tune thresholds those of the run: they are part of what is judged."""
    tuning = [e for e in evaluators.values() if getattr(e, "threshold", None) == "tuned"]
    if tuning and (run / thresholds.FILE).is_file():
        kept = thresholds.read(run)
        for evaluator in tuning:
            evaluator.thresholds = kept


def _notes_of_labels(data: Any) -> list[str]:
    """A sentence for each label that the data lack, or whose values are of classes that the run does not know."""
    found = [f"warning: the data have no label {label}" for label in data.classes if label not in data.samples]
    for label, names in data.classes.items():
        if not names or label not in data.samples:
            continue
        values = data.samples[label].dropna().explode().dropna().astype(str)
        strange = values[~values.isin(names)]
        if len(strange):
            called = ", ".join(sorted(set(strange))[:3])
            found.append(
                f"warning: label {label}: {len(strange)} values are of classes that the run doesn't know ({called}); they count "
                "as missing"
            )
    return found
