"""Evaluate a system: losses and evaluators on validation, and one final pass over the test split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from multimodal_lab.evaluate import chance, predictions
from multimodal_lab.evaluate.embeddings import Embeddings, embed
from multimodal_lab.evaluate.losses import losses
from multimodal_lab.stage import computing, stage
from multimodal_lab.system import System
from multimodal_lab.train.step import autocast

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
            found = embed(system, data, device, ("train", "val"))
            train, val = found.select("train"), found.select("val")
            for name, evaluator in chosen.items():
                with stage(f"scoring the validation split by evaluator {name}"):
                    scores |= {f"val/{k}": v for k, v in evaluator(train, val).items()}
        return scores

    return validate


def held_out_losses(
    system: System, data: Any, split: str, augment: Any, cfg: DictConfig, device: torch.device
) -> Scores:
    """Every loss term on a split, in the precision of the training."""
    precision = partial(autocast, device, cfg.train.precision)
    return losses(system, data, split, augment=augment, seed=cfg.seed, device=device, autocast=precision)


def evaluate(
    system: System, data: Any, evaluators: Mapping[str, Any], device: torch.device, folder: Path, subsets: bool = False,
    eval_split: str = "test", pictures: bool = True,
) -> Scores:  # fmt: skip
    """Embed every split once, fit on train, score on test: the only pass over test. Embeddings and predictions are saved.

    With `judged="val"` that split is scored, and test is not even embedded.
    """
    splits = [s for s in data.splits if len(data.splits[s]) and (eval_split == "test" or s != "test")]
    with computing(system, "embedding the data"):
        found: Embeddings = embed(
            system, data, device, splits, thumbnails=folder / "thumbnails.npz" if pictures else None, subsets=subsets,
        )  # fmt: skip
    found.save(folder / "embeddings")
    train, test = found.select("train"), found.select(eval_split)
    scores: Scores = {}
    for name, evaluator in evaluators.items():
        with stage(f"scoring by evaluator {name}"):
            scores.update(evaluator(train, test))
    scores |= chance.beside(scores, train, test)
    predictions.write(folder, test, [p for e in evaluators.values() for p in getattr(e, "predictions", ())])
    return scores
