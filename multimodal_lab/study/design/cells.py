"""The cells of a study, named by config hash: tuning cells first, then every arm × seed × split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.study import Study
from multimodal_lab.config.study_lines import under
from multimodal_lab.runs.hashes import config_key, flat
from multimodal_lab.study.design import retrain
from multimodal_lab.study.design.plan import Cell, Chosen
from multimodal_lab.text import nearest

Compose = Callable[[list[str]], DictConfig]

BUDGET = ("train", "optim", "augment", "evaluate", "data", "adapt")
PAIRED = ("data.split", "data.source", "data.labels")  # no study may say that these differ
SWEPT = {"seed": "study.seeds", "data.split.seed": "study.splits"}


class Cells:
    """All cells of a study; `compose` gives the config of a line, once for each."""

    def __init__(self, study: Study, compose: Compose) -> None:
        self.study, self._compose = study, compose
        self._configs: dict[tuple[str, ...], DictConfig] = {}
        inputs = {arm: streams(self._config(own)) for arm, own in study.arms.items()} if study.retrain else {}
        self.retrained = retrain.subsets(study, inputs)
        self.added = retrain.added(study, inputs)

    def tuning(self) -> list[Cell]:
        """What every arm tries on every split; one of none is judged on the test part."""
        tune = self.study.tune
        return [] if tune is None else [
            self._cell(arm, tried(self.study, own, i), seed, split, i)
            for split in self.study.splits
            for arm, own in {**self.study.arms, **self.added}.items()
            for i in range(len(tune.options))
            for seed in tune.seeds
        ]  # fmt: skip

    def compared(self, chosen: Chosen) -> list[Cell]:
        """Every arm, as it was chosen, seed by seed, those on random splits last: cut short, a study has whole comparisons."""
        return [
            self._cell(arm, with_choice(self.study, arm, own, chosen, split), seed, split)
            for some in ({**self.study.overrides(), **self.added}, self.study.leaks())
            for split in self.study.splits
            for seed in self.study.seeds
            for arm, own in some.items()
        ]

    def _cell(self, arm: str, lines: list[str], seed: int, split: int, option: int | None = None) -> Cell:
        role = "tuning" if option is not None else "retrained" if arm in self.added else self.study.role(arm)
        key = config_key(at(self._config(lines), seed, split))
        return Cell(arm, role, seed, split, key, [*lines, *swept(seed, split)], option)

    def _config(self, lines: list[str]) -> DictConfig:
        if tuple(lines) not in self._configs:
            self._configs[tuple(lines)] = without_hydra(self._compose(lines))
        return self._configs[tuple(lines)]


def tried(study: Study, own: list[str], option: int) -> list[str]:
    """The overrides of an arm that tries an option: judged on the validation part."""
    assert study.tune is not None
    return [*own, *study.tune.options[option], *study.tune.set, "eval_split=val"]


def with_choice(study: Study, arm: str, own: list[str], chosen: Chosen, split: int) -> list[str]:
    """The overrides of an arm or control with the option that was chosen for it on a split; its own where nothing is tuned."""
    if study.tune is None:
        return own
    return [*own, *study.tune.options[chosen[study.tuned_as(arm)][str(split)]]]


def streams(cfg: DictConfig) -> dict[str, Any]:
    """{input: what it is cut from} of an arm."""
    return inputs({"modality": OmegaConf.to_container(cfg.modality, resolve=True)})


def inputs(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a plain config."""
    return {str(k): v for k, v in plain["modality"].items() if v.get("role", "input") == "input"}


def looked_at(study: Study, compose: Compose) -> dict[str, dict[str, Any]]:
    """{arm: its plain config at the first seed and split}, controls left out: what an audit looks at."""
    first = study.seeds[0], study.splits[0]
    return {arm: at(without_hydra(compose(own)), *first) for arm, own in study.arms.items()}


def swept(seed: int, split: int) -> list[str]:
    """The overrides that tell one cell of an arm from another."""
    return [f"{key}={value}" for key, value in zip(SWEPT, (seed, split), strict=True)]


def at(cfg: DictConfig, seed: int, split: int) -> dict[str, Any]:
    """A config of one arm as plain values, at one seed on one split."""
    for key, value in zip(SWEPT, (seed, split), strict=True):
        OmegaConf.update(cfg, key, value)
    return as_plain(cfg)


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A config's own part; the config itself where it has no other."""
    return cfg if "hydra" not in cfg else OmegaConf.masked_copy(cfg, [str(k) for k in cfg if k != "hydra"])


def unequal(study: Study, plain: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """The budget keys in which an arm differs from the first, unless the study says so; `plain` has one config an arm."""
    first = next(iter(plain))
    budgets = {
        arm: {k: v for top in BUDGET for k, v in flat(tree.get(top), top).items()} for arm, tree in plain.items()
    }
    for arm, budget in budgets.items():
        for key in sorted(k for k in budget.keys() | budgets[first].keys() if budget.get(k) != budgets[first].get(k)):
            if arm in study.controls and under(key, "data.shuffle"):
                continue
            paired = any(under(key, p) for p in PAIRED)
            if paired or not any(under(key, u) for u in study.unequal):
                expects = f"in arm {arm}, but {budgets[first].get(key)} in {first}: "
                expects += "arms are compared on the same samples" if paired else "arms are compared at equal budgets"
                yield Problem(key, budget.get(key), expects, "" if paired else f"study.unequal=[{key}]")
    if len({tuple(sorted(tree["data"].get("labels") or ())) for tree in plain.values()}) == 1:
        labels = plain[first]["data"].get("labels")
        named = [*(("study.labels", label) for label in study.labels), *(("study.by", name) for name in study.by)]
        for where, label in named if isinstance(labels, list) else ():
            if label not in labels:
                near = nearest(label, labels)[0] if labels else ""
                yield Problem(where, label, f"the data have no such label; there are {', '.join(labels)}", near)
