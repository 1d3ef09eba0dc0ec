"""Evaluate a system: losses and evaluators on validation, and one final pass over the test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from multimodal_lab.device import distributed
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.evaluate import chance, class_scores, predictions, thresholds
from multimodal_lab.evaluate.call import asks, call, seen_by
from multimodal_lab.evaluate.embed_config import EmbedConfig
from multimodal_lab.evaluate.embeddings import Embeddings, embed
from multimodal_lab.evaluate.judged import embed_and_save
from multimodal_lab.experiment.figure_samples import FigureSamples
from multimodal_lab.progress import track
from multimodal_lab.runs.hashes import PREDICTIONS
from multimodal_lab.stage import computing, stage
from multimodal_lab.system import System
from multimodal_lab.train.step import autocast
from multimodal_lab.types import Batch

Scores = dict[str, float]


def validator(
    system: System, data: Any, augment: Any, evaluators: Mapping[str, Any], cfg: DictConfig, device: torch.device
) -> Callable[[], Scores]:
    """A function that scores the validation split: every loss term, and the evaluator that `train.monitor` names."""
    wanted = str(cfg.train.monitor or "").split("/")[1:2]
    chosen = {name: evaluators[name] for name in wanted if name in evaluators}

    def validate() -> Scores:
        scores = held_out_losses(system, data, "val", augment, cfg, device)
        if scores and chosen:
            fits = any(asks(e, "train") for e in chosen.values())  # a head needs no training split to be judged
            with computing(system, "embedding the validation split"):
                found = embed(system, data, device, ("train", "val") if fits else ("val",), heads=_asked(chosen, "val"))
            given = {"train": found.select("train") if fits else None, "test": found.select("val"), "val": None}
            for name, evaluator in chosen.items():
                with stage(f"scoring the validation split by evaluator {name}"):
                    seen = seen_by(evaluator, {**given, "data": data})
                    own = call(evaluator, **seen, system=system, device=device)
                    scores |= {f"val/{k}": v for k, v in own.items()}
        return scores

    return validate


def _asked(evaluators: Mapping[str, Any], split: str) -> tuple[str, ...] | None:
    """The split on which heads that predict are asked; None where no evaluator reads what heads say."""
    return (split,) if any(getattr(e, "reads", "") == "heads" for e in evaluators.values()) else None


def held_out_losses(
    system: System, data: Any, split: str, augment: Any, cfg: DictConfig, device: torch.device
) -> Scores:
    """Every loss term on a split, in the precision of the training."""
    precision = partial(autocast, device, cfg.train.precision)
    return losses(system, data, split, augment=augment, seed=cfg.seed, device=device, autocast=precision)


def losses(
    system: System,
    data: Any,
    split: str,
    *,
    augment: Callable[[Batch, int, int], Batch],
    seed: int,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> dict[str, float]:
    """`{split}/{term}`: each term's mean over the samples of a split, at the end of its schedules; {} for an empty split.

    Views are drawn as in epoch 0 every time, so that only the weights move the figure. A contrastive term has the other
    samples of its batch as negatives: compare it between runs of one `data.batch_size` only.
    """
    if not len(data.splits.get(split, ())):
        return {}
    sums: dict[str, float] = {}
    rows = 0
    with distributed.single_process(), torch.no_grad(), eval_mode(system):
        batches = data.batches(split, epoch=0, shuffle=False, drop_last=False)
        for batch in track(batches, f"loss on the {split} split", data.steps(split)):
            with computing(system, f"computing the losses of the {split} split"), autocast():
                terms = system(augment(batch.to(device), seed, 0), 1.0)
            rows += len(batch)
            for key, value in terms.items():
                sums[key] = sums.get(key, 0.0) + float(value) * len(batch)
    return {f"{split}/{key}": value / rows for key, value in sums.items()}


def _given(e: Embeddings, splits: Sequence[str], eval_split: str) -> dict[str, Any]:
    """What an evaluator is given of embeddings; a training split that is not embedded has no rows."""
    train = e.select("train") if "train" in splits else e.rows(slice(0, 0))  # or all is held out
    val = e.select("val") if "val" in splits and eval_split != "val" else None
    return {"train": train, "test": e.select(eval_split), "val": val}


def require_evaluators(evaluators: Mapping[str, Any], data: Any, config: EmbedConfig, eval_split: str) -> list[str]:
    """Ask every evaluator that has a `require` whether it can score what will be there, before the training; its notes."""
    splits = config.embedded({name: len(rows) for name, rows in data.splits.items()}, eval_split)
    every = [
        e.require(data=data, splits=splits, eval_split=eval_split) for e in evaluators.values() if hasattr(e, "require")
    ]
    return [note for notes in every for note in notes]


def evaluate(
    system: System, data: Any, evaluators: Mapping[str, Any], device: torch.device, folder: Path, subsets: bool = False,
    eval_split: str = "test", pictures: bool = True, config: EmbedConfig | None = None, figures: FigureSamples | None = None,
) -> Scores:  # fmt: skip
    """Embed every split once, fit on train, score on test: the only pass over test. Embeddings, predictions, tables of
    classes and tuned thresholds are saved.

    With `eval_split="val"` that split is scored, by keys that begin with `val/`, and test is not even embedded. config: which
    splits, and of large ones how many rows evaluators see; what heads say is scored on all. figures: what they show of samples is
    saved for them.
    """
    config = config or EmbedConfig()
    splits = config.embedded({name: len(rows) for name, rows in data.splits.items()}, eval_split)
    with computing(system, "embedding the data"):
        found = embed_and_save(
            system, data, device, splits, folder / "embeddings", config, subsets=subsets,
            thumbnails=folder / "thumbnails.npz" if pictures else None, heads=_asked(evaluators, eval_split),
        )  # fmt: skip
    seen, whole = (_given(e, splits, eval_split) for e in (found.seen, found.whole))
    scores = found.counts()
    kept: list[predictions.Predicted] = []
    tables: list[class_scores.ClassScores] = []
    tuned: list[thresholds.Tuned] = []
    for name, evaluator in track(evaluators.items(), "scoring", len(evaluators)):
        with stage(f"scoring by evaluator {name}"):
            own_rows = whole if getattr(evaluator, "reads", "") == "heads" else seen
            given = seen_by(evaluator, {**own_rows, "data": data})
            own = call(evaluator, **given, system=system, device=device)
            train, test = given["train"], given["test"]
            if test is own_rows["test"]:
                scores |= own | chance.beside(scores | own, train, test)
            else:
                scores |= chance.of_recordings(own, train, test)
            kept += [replace(p, of=given["test"]) for p in getattr(evaluator, "predictions", ())]
            tables += getattr(evaluator, "tables", ())
            tuned += getattr(evaluator, "tuned", ())
    predictions.write(folder / PREDICTIONS, whole["test"], kept)
    class_scores.write(folder, tables)
    thresholds.write(folder, tuned)
    shown = figures or FigureSamples()
    shown.save(system, data, seen["test"], device, splits, eval_split, folder, pictures)
    return scores if eval_split == "test" else {f"{eval_split}/{key}": value for key, value in scores.items()}
