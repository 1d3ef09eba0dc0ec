"""Before a study's first cell: every arm is composed and checked, and their budgets compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from multimodal_lab import expect, schema
from multimodal_lab.overrides import choice_problems, parse
from multimodal_lab.problem import Problem
from multimodal_lab.signature import signature
from multimodal_lab.study import facts
from multimodal_lab.study.cells import SWEPT, at, swept, unequal, without_hydra

if TYPE_CHECKING:
    from multimodal_lab.check import Jobs

SWEEPER = "hydra_plugins.multimodal_lab_study.sweeper.Study"


def is_study(hydra: DictConfig) -> bool:
    """Whether this command runs a study's cells."""
    return bool(OmegaConf.select(hydra, "sweeper._target_") == SWEEPER)


def study_problems(jobs: Jobs, typed: list[Override]) -> list[Problem]:
    """What is wrong with a study or with any of its arms."""
    if found := [p for o in typed for p in _swept(o)]:
        return found
    cfg, found = jobs.configured(typed)
    top = signature(f"{schema.__name__}.Config").parameters
    node = OmegaConf.to_container(cfg.study, resolve=True) if "study" in cfg else None
    if not isinstance(node, dict):
        return [Problem("study", None, "hydra/sweeper=study runs a study; choose one", "study=rgb_vs_uv")]
    found += list(expect.problems(expect.expected(top["study"]), node, "study"))
    if found:
        return found
    study = facts.read({str(k): v for k, v in node.items()})
    if found := list(facts.problems(study)):
        return found
    return _arms(jobs, typed, study, [*top, *(g for g in jobs.known if "/" not in g)])


def _arms(jobs: Jobs, typed: list[Override], study: facts.Study, top: list[str]) -> list[Problem]:
    found: list[Problem] = []
    plain: dict[str, dict[str, Any]] = {}
    keys = {facts.key(str(o.input_line)): str(o.input_line) for o in typed}
    for arm, own in study.overrides().items():
        for line in own:
            if facts.key(line) in keys:
                what = f"arm {arm} sets {line} itself; change study.{'controls' if arm in study.controls else 'arms'}.{arm}"
                found.append(Problem(facts.key(line), keys[facts.key(line)].partition("=")[2], what))
        wrong = [Problem(k, line.partition("=")[2], f"is the study's: {SWEPT[k]}") for line in own
                 if (k := facts.key(line)) in SWEPT]  # fmt: skip
        lines, unread = parse([*own, *swept(study.seeds[0], study.splits[0])], top, jobs.known)
        wrong += [*unread, *(p for o in lines for p in choice_problems(o, jobs.known))]
        wrong += [Problem(o.get_key_element(), o.get_value_string(), "an arm is one config, not several")
                  for o in lines if o.is_sweep_override()]  # fmt: skip
        if not wrong:
            cfg, wrong = jobs.configured([*typed, *lines])
            wrong = wrong or schema.check(cfg)
        if not wrong:
            plain[arm] = at(without_hydra(cfg), study.seeds[0], study.splits[0])
        found += [replace(p, expected=f"(arm {arm}) {p.expected}") for p in wrong]
    return found or list(unequal(study, plain))


def _swept(override: Override) -> Iterator[Problem]:
    key = override.key_or_group
    if override.is_sweep_override():
        yield Problem(key, override.get_value_string(), "a study runs its own arms, seeds and splits; give one value")
    elif key in SWEPT:
        name = "seeds" if key == "seed" else "splits"
        yield Problem(
            key, override.value(), f"a study has several; give study.{name}", f"study.{name}=[{override.value()}]"
        )
