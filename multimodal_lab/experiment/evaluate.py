"""Evaluate a system: losses and evaluators on validation, and one final pass over the test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from multimodal_lab.device import distributed
from multimodal_lab.evaluate import chance, predictions
from multimodal_lab.evaluate.call import asks, call, seen_by
from multimodal_lab.evaluate.embeddings import Embeddings, embed
from multimodal_lab.evaluate.eval_mode import eval_mode
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
        for batch in data.batches(split, epoch=0, shuffle=False, drop_last=False):
            with computing(system, f"computing the losses of the {split} split"), autocast():
                terms = system(augment(batch.to(device), seed, 0), 1.0)
            rows += len(batch)
            for key, value in terms.items():
                sums[key] = sums.get(key, 0.0) + float(value) * len(batch)
    return {f"{split}/{key}": value / rows for key, value in sums.items()}


def evaluate(
    system: System, data: Any, evaluators: Mapping[str, Any], device: torch.device, folder: Path, subsets: bool = False,
    eval_split: str = "test", pictures: bool = True,
) -> Scores:  # fmt: skip
    """Embed every split once, fit on train, score on test: the only pass over test. Embeddings and predictions are saved.

    With `eval_split="val"` that split is scored, by keys that begin with `val/`, and test is not even embedded.
    """
    splits = [s for s in data.splits if len(data.splits[s]) and (eval_split == "test" or s != "test")]
    with computing(system, "embedding the data"):
        found: Embeddings = embed(
            system, data, device, splits, thumbnails=folder / "thumbnails.npz" if pictures else None, subsets=subsets,
            heads=_asked(evaluators, eval_split),
        )  # fmt: skip
    found.save(folder / "embeddings")
    train, test = (
        found.rows(found.split == "train"),
        found.select(eval_split),
    )  # the first is empty where all is held out
    val = found.select("val") if "val" in splits and eval_split != "val" else None
    scores: Scores = {}
    kept: list[predictions.Predicted] = []
    for name, evaluator in track(evaluators.items(), "scoring", len(evaluators)):
        with stage(f"scoring by evaluator {name}"):
            seen = seen_by(evaluator, {"train": train, "test": test, "val": val, "data": data})
            own = call(evaluator, **seen, system=system, device=device)
            scores |= own | chance.beside(scores | own, seen["train"], seen["test"])
            kept += [replace(p, of=seen["test"]) for p in getattr(evaluator, "predictions", ())]
    predictions.write(folder / PREDICTIONS, test, kept)
    return scores if eval_split == "test" else {f"{eval_split}/{key}": value for key, value in scores.items()}
