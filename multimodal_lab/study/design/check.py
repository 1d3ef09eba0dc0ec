"""Check a study before its first cell: compose every arm and option, compare budgets and roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from multimodal_lab.config import schema
from multimodal_lab.config import study as study_config
from multimodal_lab.config.annotations import expected, problems
from multimodal_lab.config.overrides import choice_problems, parse
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.signature import signature
from multimodal_lab.config.study import FIXED, Study
from multimodal_lab.config.study_lines import key, under
from multimodal_lab.runs.hashes import config_key, flat
from multimodal_lab.study import helpers
from multimodal_lab.study.design import retrain, roles
from multimodal_lab.study.design.cells import PAIRED, SWEPT, at, inputs, swept, tried, unequal, without_hydra

if TYPE_CHECKING:
    from multimodal_lab.config.check import SweepJobs


def study_problems(jobs: SweepJobs, typed: list[Override]) -> list[Problem]:
    """What is wrong with a study or with any of its arms."""
    if found := [p for o in typed for p in swept_problems(o)]:
        return found
    cfg, found = jobs.configured(jobs.lines)
    top = signature(f"{schema.__name__}.Config").parameters
    node = OmegaConf.to_container(cfg.study, resolve=True) if "study" in cfg else None
    if not isinstance(node, dict):
        return [Problem("study", None, "hydra/sweeper=study runs a study; choose one", "study=rgb_vs_uv")]
    found += list(problems(expected(top["study"]), node, "study"))
    if found:
        return found
    study = study_config.read({str(k): v for k, v in node.items()})
    if found := list(study_config.problems(study)):
        return found
    if helpers.is_helper():
        return []  # the launcher that started this one has looked at every arm
    return _arms(jobs, typed, study, [*top, *(g for g in jobs.known if "/" not in g)])


Plain = dict[str, Any]


def _arms(jobs: SweepJobs, typed: list[Override], study: Study, top: list[str]) -> list[Problem]:
    found: list[Problem] = []
    plain: dict[str, Plain] = {}
    own_wrong: dict[str, list[Problem]] = {}
    keys = {key(str(o.input_line)): str(o.input_line) for o in typed}
    for arm, own in study.overrides().items():
        for line in own:
            if key(line) in keys:
                what = f"arm {arm} sets {line} itself; change study.{'controls' if arm in study.controls else 'arms'}.{arm}"
                found.append(Problem(key(line), keys[key(line)].partition("=")[2], what))
        wrong = [Problem(k, line.partition("=")[2], f"is the study's: {SWEPT[k]}") for line in own
                 if (k := key(line)) in SWEPT]  # fmt: skip
        if not wrong:
            plain[arm], wrong = _checked(jobs, typed, study, own, top)
        own_wrong[arm] = wrong
    found += _of_arms(own_wrong)
    if study.tune is not None:
        found += [Problem(k, keys[k].partition("=")[2], "is tuned; take it out of study.tune.options, or off the line")
                  for k in dict.fromkeys(key(line) for option in study.tune.options for line in option) if k in keys]  # fmt: skip
    if found:
        return found
    streams = {arm: inputs(plain[arm]) for arm in study.arms}
    found = [*roles.problems(study, plain), *retrain.problems(study, streams)]
    more = {} if found else retrain.added(study, streams)
    for arm, own in more.items():
        plain[arm], wrong = _checked(jobs, typed, study, own, top)
        found += _of_arm(arm, wrong)
    for arm, own in study.leaks().items():
        found += _of_arm(arm, _checked(jobs, typed, study, own, top)[1])
    found = found or [*unequal(study, plain), *roles.unlike(study, plain)]
    return found or _options(jobs, typed, study, {**study.overrides(), **more}, top)


def _options(
    jobs: SweepJobs, typed: list[Override], study: Study, arms: dict[str, list[str]], top: list[str]
) -> list[Problem]:
    """What is wrong with an option of any arm, and with the validation part that it would be scored on."""
    if study.tune is None:
        return []
    found: list[Problem] = []
    for arm, own in arms.items():
        seen: dict[str, int] = {}
        for i, option in enumerate(study.tune.options):
            lines = [*own, *option] if arm in study.controls else tried(study, own, i)
            plain, wrong = _checked(jobs, typed, study, lines, top)
            if not wrong and not i:
                first = plain
                wrong = [*_no_validation(plain)]
            elif not wrong:
                wrong = [*_moved(first, plain)]
            if not wrong and seen.setdefault(config_key(plain), i) != i:
                wrong = [
                    Problem(
                        "study.tune.options",
                        option,
                        f"is the same configuration as {study.tune.options[seen[config_key(plain)]]}",
                    )
                ]
            found += _of_arm(f"{arm} with {' '.join(option) or 'nothing changed'}", wrong)
        if found:
            return found  # the same of every arm would hide what it is
    return found


def _checked(
    jobs: SweepJobs, typed: list[Override], study: Study, own: list[str], top: list[str]
) -> tuple[Plain, list[Problem]]:
    """The config of an arm's overrides as plain values, and what is wrong with it."""
    lines, unread = parse([*own, *swept(study.seeds[0], study.splits[0])], top, jobs.known)
    wrong = [*unread, *(p for o in lines for p in choice_problems(o, jobs.known))]
    wrong += [Problem(o.get_key_element(), o.get_value_string(), "an arm is one config, not several")
              for o in lines if o.is_sweep_override()]  # fmt: skip
    wrong += [Problem(o.get_key_element(), o.get_value_string(), "is the study's, for all arms; type it on the command line")
              for o in lines if o.is_hydra_override() and not wrong]  # fmt: skip
    if wrong:
        return {}, wrong
    cfg, wrong = jobs.configured([*jobs.lines, *(str(o.input_line) for o in lines)])
    wrong = wrong or schema.check(cfg)
    return ({}, wrong) if wrong else (at(without_hydra(cfg), study.seeds[0], study.splits[0]), [])


def _of_arms(wrong: dict[str, list[Problem]]) -> list[Problem]:
    """Every problem of an arm, once for all arms that have it."""
    arms: dict[str, list[str]] = {}
    first: dict[str, Problem] = {}
    for arm, own in wrong.items():
        for p in own:
            arms.setdefault(str(p), []).append(arm)
            first.setdefault(str(p), p)
    called = {said: "every arm" if len(of) == len(wrong) > 1 else f"arm {', '.join(of)}" for said, of in arms.items()}
    return [replace(p, expected=f"({called[said]}) {p.expected}") for said, p in first.items()]


def _of_arm(arm: str, wrong: list[Problem]) -> list[Problem]:
    return [replace(p, expected=f"(arm {arm}) {p.expected}") for p in wrong]


def _no_validation(plain: Plain) -> Iterator[Problem]:
    split = plain["data"].get("split") or {}
    if plain["eval_split"] == "val" and not split.get("val", 1) and split.get("column") is None:
        expects = "options are scored on the validation part, and there is none: give it a share, or cut it off the training part"
        near = "study.tune.set=[data.split.train=…, data.split.val=…]"
        yield Problem("data.split.val", split.get("val"), f"{expects} in tuning cells alone", near)


def _moved(first: Plain, plain: Plain) -> Iterator[Problem]:
    """What an option that chooses whole files changes of what is compared."""
    before, after = ({k: v for top in tree for k, v in flat(tree[top], top).items()} for tree in (first, plain))
    for name in sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k)):
        if any(under(name, top) for top in (*FIXED, *PAIRED)) and not under(name, "data.split.seed"):
            yield Problem(name, after.get(name), "can't be tuned: it changes what is compared or how it is judged")


def swept_problems(override: Override) -> Iterator[Problem]:
    """A line that sweeps, or sets what differs from cell to cell."""
    key = override.key_or_group
    if override.is_sweep_override():
        yield Problem(key, override.get_value_string(), "a study runs its own arms, seeds and splits; give one value")
    elif key in SWEPT:
        name = "seeds" if key == "seed" else "splits"
        yield Problem(
            key, override.value(), f"a study has several; give study.{name}", f"study.{name}=[{override.value()}]"
        )
