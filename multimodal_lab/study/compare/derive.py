"""`study=compare`: derive a study of one's own data, write it, and give the command line that runs it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from multimodal_lab import progress
from multimodal_lab.config import schema
from multimodal_lab.config.check import SweepJobs, check_command, refuse
from multimodal_lab.config.directories import absent
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.problem import Problem, StudyError
from multimodal_lab.config.suggest import node
from multimodal_lab.stats.answers import Kind
from multimodal_lab.study.compare import backbones, file, heads, size
from multimodal_lab.study.compare.arms import Arms, Design, Parts, arms
from multimodal_lab.study.compare.budget import seconds
from multimodal_lab.study.compare.facts import Facts
from multimodal_lab.study.compare.facts import Kind as LabelKind
from multimodal_lab.study.compare.request import Request, request
from multimodal_lab.study.design.cells import inputs, without_hydra
from multimodal_lab.text import show

ANSWERED: Mapping[LabelKind, Kind] = {"class": "classes", "several": "labels", "number": "values"}  # as scores call it
HEADS = 4  # of the attention, which must divide its width


def derived(argv: Sequence[str]) -> list[str]:
    """The command line that runs the study which this one asks for: its own words, and the file that was derived.

    A file that was derived from the same words before is kept, as it is now. Prints the plan. `ConfigError` and `StudyError`,
    a sentence each, for what can't be studied.
    """
    asked = request(argv)
    cfg = _base(asked)
    name = _name(asked, cfg)
    sweep = _sweep(asked, name)
    target = Path(sweep) / "conf" / "study" / f"{name}.yaml"
    if file.kept(target, asked.typed):
        print(f"plan: {target}, derived before by the same command; remove it to have it derived anew", flush=True)
        return _command(asked, target)
    from multimodal_lab.study.compare import plans, report  # torch
    from multimodal_lab.study.compare.look import look
    from multimodal_lab.study.compare.trial import time_cells
    from multimodal_lab.study.ledger.scoring import require_fitting

    progress.show(True)
    plain = as_plain(without_hydra(cfg))
    facts = look(plain["data"], plain["modality"], asked)
    require_fitting(asked.study.get("score"), {label.name: ANSWERED[label.kind] for label in facts.labels})
    recipe = _recipe(facts, asked)
    full = _full(facts, asked)
    found = plans.plans(full, lambda design: arms(facts, design, recipe.parts), asked)
    with tempfile.TemporaryDirectory() as folder:  # a file of another path: what was composed of it is remembered
        draft = Path(folder) / "conf" / "study" / f"{name}.yaml"
        _write(draft, facts, full, recipe, asked, sweep)
        timing = time_cells(_configs(asked, draft, full, arms(facts, full, recipe.parts)))
    limit = None if asked.asked.budget is None else seconds(asked.asked.budget)
    jobs = asked.study.get("jobs") or 1
    plan = plans.largest(found, timing, limit, str(asked.asked.budget), jobs)
    _write(target, facts, plan.design, recipe, asked, sweep)
    file.remember(target, asked.typed)
    print(
        "\n".join(report.lines(facts, plan, timing, recipe.body, recipe.backbones, target, asked.asked, jobs)),
        flush=True,
    )
    return _command(asked, target)


@dataclass(frozen=True)
class Recipe:
    """What every cell shares. body: values by top-level key, those that were typed over the derived ones."""

    body: Mapping[str, Any]
    backbones: Mapping[str, str]
    choices: Mapping[str, str]
    parts: Parts


def _full(facts: Facts, asked: Request) -> Design:
    """All that can be compared."""
    from multimodal_lab.study.compare import report

    seeds, splits = size.repeats(facts)
    classes = [label.name for label in facts.labels if label.kind == "class"]
    apart = {"early": facts.apart, "late": report.NO_LATE if heads.numbers(facts.labels) else ""}
    fusions = [f for f in asked.asked.fusions if not apart.get(f)]
    if not fusions:
        why = "; ".join(f"no {f}, {apart[f]}" for f in asked.asked.fusions)
        raise StudyError(f"study.fusions={show(asked.asked.fusions)}: {why}; study.fusions=[concat] can always be had")
    return Design(
        early="early" in fusions,
        fusions=tuple(f for f in fusions if f != "early"),
        pairs=len(facts.inputs) > 2,
        within=tuple(classes),
        seeds=tuple(asked.study.get("seeds") or range(seeds)),
        splits=tuple(asked.study.get("splits") or range(splits)),
    )


def _base(asked: Request) -> DictConfig:
    """The config of the line without its study: what the data and the modality are."""
    jobs = SweepJobs("config", asked.folders, asked.known)
    cfg = jobs.composed([str(o.input_line) for o in (*asked.choices, *asked.values)])
    refuse(list(absent(cfg)))
    refuse([p for p in schema.check(cfg) if p.key.split(".")[0] in ("data", "modality")])
    if len(own := inputs(as_plain(without_hydra(cfg)))) < 2:
        what = f"has {len(own)} stream, {', '.join(own)}: a study compares two or more, such as modality=rgb_uv"
        refuse([Problem("modality", ", ".join(own), what)])
    return cfg


def _configs(asked: Request, draft: Path, design: Design, made: Arms) -> dict[str, DictConfig]:
    """{arm: its config in the first cell}, once nothing is wrong with any arm or control."""
    jobs = check_command(_command(asked, draft))
    assert jobs is not None
    refuse(jobs.absent)
    seeds = [f"seed={design.seeds[0]}", f"data.split.seed={design.splits[0]}"]  # of which cells find what is encoded
    return {arm: without_hydra(jobs.configured([*jobs.lines, *own, *seeds])[0]) for arm, own in made.arms.items()}


def _recipe(facts: Facts, asked: Request) -> Recipe:
    chosen, settings, parts, pretrained = _backbones(facts, asked)
    body = {**heads.values(facts.labels), **settings}
    body["data"] = {"labels": [*(x.name for x in facts.labels), *facts.beside], "split": dict(facts.split)}
    body["data"] |= {"size": facts.side} if facts.side else {}
    fields = {i.name: {"field": i.node["field"]} for i in facts.inputs if i.node.get("field")}
    body |= {"modality": fields} if fields else {}
    batch: Any = next((o.value() for o in asked.values if o.key_or_group == "data.batch_size"), None)
    for top, own in size.training(facts, batch, pretrained).items():
        body[top] = {**body.get(top, {}), **own}
    for o in asked.values:
        file.put(body, o.key_or_group, o.value())
    return Recipe(body, chosen, {**heads.choices(facts.labels), **chosen}, parts)


def _write(target: Path, facts: Facts, design: Design, recipe: Recipe, asked: Request, sweep: str) -> None:
    made = arms(facts, design, recipe.parts)
    choices = file.defaults(recipe.choices, asked)
    file.write(target, choices, file.node(facts, made, design, asked), recipe.body, asked.typed, sweep)


def _backbones(facts: Facts, asked: Request) -> tuple[dict[str, str], dict[str, Any], Parts, bool]:
    """Choices of groups, their settings, what arms need to know of them, and whether any has learnt before."""
    given = {str(o.package).partition(".")[2]: str(o.value()) for o in asked.choices
             if o.key_or_group == "backbone" and o.package}  # fmt: skip
    own = next((str(o.value()) for o in asked.choices if o.key_or_group == "backbone" and not o.package), "")
    of = backbones.choose(facts, given, own, asked.folders)
    found = {n: node("backbone", c, asked.folders) for n, c in of.items()}
    derived = {n: backbones.settings(one, facts) for n, one in found.items()}
    typed = {n: _typed(asked, n, every=n not in given and own in ("", c)) for n, c in of.items()}
    changed = {n: {**derived[n], **typed[n]} for n in of}
    whole = [{**one, **changed[n]} for n, one in found.items()]
    wide = max((w for one in whole if (w := backbones.width(one))), default=None)
    attention = (f"fusion.width={wide}",) if wide and wide % HEADS == 0 else ()
    pretrained = not all(map(backbones.trains, whole))
    if len(set(of.values())) == 1 and not given and not asked.gives("backbones"):
        name, choice = next(iter(of.items()))
        settings = {"backbone": derived[name]} if derived[name] else {}
        return {"backbone": choice}, settings, Parts({}, attention), pretrained
    chosen = {f"backbone@backbones.{n}": c for n, c in of.items()}
    settings = {"backbones": {n: c for n, c in changed.items() if c}}
    return chosen, settings, Parts({n: (c, changed[n]) for n, c in of.items()}, attention), pretrained


def _typed(asked: Request, stream: str, every: bool) -> dict[str, Any]:
    """What was typed of a stream's backbone, which its place in a control takes too; every: what is typed of all counts."""
    found: dict[str, Any] = {}
    for top in (("backbone",) if every else ()) + (f"backbones.{stream}",):
        for o in asked.values:
            if o.key_or_group.startswith(f"{top}."):
                file.put(found, o.key_or_group.removeprefix(f"{top}."), o.value())
    return found


def _name(asked: Request, cfg: DictConfig) -> str:
    """Of the study: of its data and its modality."""
    chosen = {o.key_or_group: str(o.value()) for o in asked.choices if o.package is None}
    streams = [str(name) for name in cfg.modality]
    return f"{chosen.get('data', 'specimens')}_{chosen.get('modality') or '_'.join(streams)}".replace("/", "_")


def _sweep(asked: Request, name: str) -> str:
    given = [line.partition("=")[2].strip("'\"") for line in asked.hydra if line.startswith("hydra.sweep.dir=")]
    return os.path.expanduser(given[-1]) if given else f"multirun/{name}"


def _command(asked: Request, target: Path) -> list[str]:
    """The command line that runs the study of a file."""
    flags = [w for w in asked.flags if not w.startswith("--config-dir")]
    folders = os.pathsep.join(map(str, [*asked.folders[1:], target.parents[1]]))
    return [*flags, f"--config-dir={folders}", f"study={target.stem}", *asked.hydra]
