"""The cells of a study: every arm and control at every seed on every split, each named by the hash of its config."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from multimodal_lab.as_plain import as_plain
from multimodal_lab.digest import config_key, flat
from multimodal_lab.problem import Problem
from multimodal_lab.study.facts import Study
from multimodal_lab.study.plan import Cell

BUDGET = ("train", "optim", "augment", "evaluate", "data")
PAIRED = ("data.split", "data.source", "data.labels")  # no study may say that these differ
SWEPT = {"seed": "study.seeds", "data.split.seed": "study.splits"}


def cells(study: Study, compose: Callable[[list[str]], DictConfig]) -> list[Cell]:
    """All cells, seed by seed, so that a study that is cut short has whole comparisons; `compose` gives a line's config."""
    lines = study.overrides()
    configs = {arm: without_hydra(compose(own)) for arm, own in lines.items()}
    return [
        Cell(arm, study.role(arm), seed, split, config_key(at(configs[arm], seed, split)), [*own, *swept(seed, split)])
        for split in study.splits
        for seed in study.seeds
        for arm, own in lines.items()
    ]


def swept(seed: int, split: int) -> list[str]:
    """The overrides that tell one cell of an arm from another."""
    return [f"{key}={value}" for key, value in zip(SWEPT, (seed, split), strict=True)]


def at(cfg: DictConfig, seed: int, split: int) -> dict[str, Any]:
    """A config of one arm as plain values, at one seed on one split."""
    for key, value in zip(SWEPT, (seed, split), strict=True):
        OmegaConf.update(cfg, key, value)
    return as_plain(cfg)


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A config's own part."""
    return OmegaConf.masked_copy(cfg, [str(k) for k in cfg if k != "hydra"])


def unequal(study: Study, plain: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """The budget keys in which an arm differs from the first, unless the study says so; `plain` has one config an arm."""
    first = next(iter(plain))
    budgets = {
        arm: {k: v for top in BUDGET for k, v in flat(tree.get(top), top).items()} for arm, tree in plain.items()
    }
    for arm, budget in budgets.items():
        for key in sorted(k for k in budget.keys() | budgets[first].keys() if budget.get(k) != budgets[first].get(k)):
            if arm in study.controls and _under(key, "data.shuffle"):
                continue
            paired = any(_under(key, p) for p in PAIRED)
            if paired or not any(_under(key, u) for u in study.unequal):
                expects = f"in arm {arm}, but {budgets[first].get(key)} in {first}: "
                expects += "arms are compared on the same samples" if paired else "arms are compared at equal budgets"
                yield Problem(key, budget.get(key), expects, "" if paired else f"study.unequal=[{key}]")
    if len({tuple(sorted(tree["data"].get("labels") or ())) for tree in plain.values()}) == 1:
        labels = plain[first]["data"].get("labels")
        for label in study.labels if isinstance(labels, list) else ():
            if label not in labels:
                yield Problem("study.labels", label, f"the data have no such label; there are {', '.join(labels)}")


def _under(key: str, top: str) -> bool:
    return key == top or key.startswith(f"{top}.")
