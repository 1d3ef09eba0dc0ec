"""What a `study=compare` command line asks for: choices, values, and what is the study's own. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from multimodal_lab.config import redact, schema
from multimodal_lab.config.annotations import expected, problems
from multimodal_lab.config.check import config_folders, flags, refuse, shows
from multimodal_lab.config.facts import fact
from multimodal_lab.config.overrides import choice_problems, groups, is_choice, parse
from multimodal_lab.config.problem import Problem, not_one_of, unknown_key
from multimodal_lab.config.rules.wiring import target
from multimodal_lab.config.signature import signature
from multimodal_lab.config.study_lines import key, under
from multimodal_lab.config.suggest import nodes
from multimodal_lab.study.compare.budget import seconds
from multimodal_lab.study.design.check import swept_problems

NAME = "compare"
DERIVED = ("fusion", "head", "loss")  # what the arms and the labels decide
ARMS = ("early", "late", "concat", "attention")
SIGNATURE = "multimodal_lab.study.compare.request.Asked"


@dataclass
class Asked:
    """What only `study=compare` reads of the node `study`.

    budget: the longest that all cells together may take, such as 30m; None: no limit. differ: labels that may differ among
    samples of one group, such as the two sides of an animal. fusions: the fused arms to compare: early, late, or a choice of
    `fusion`.
    """

    budget: str | None = None
    fusions: list[str] = field(default_factory=lambda: [*ARMS])
    differ: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """A command line, taken apart.

    flags: words that are no overrides. choices, values: overrides by what they do. study: {dotted key below `study`: value} that
    are kept in the study; asked: what is read here alone. hydra: lines for Hydra's own node. typed: all lines but
    `study=compare`.
    """

    flags: list[str]
    typed: list[str]
    choices: list[Override]
    values: list[Override]
    study: dict[str, Any]
    asked: Asked
    hydra: list[str]
    folders: tuple[Path, ...]
    known: dict[str, list[str]]

    @property
    def keys(self) -> set[str]:
        """Every key that was typed."""
        return {key(line).partition("@")[0] for line in self.typed}

    def gives(self, *names: str) -> bool:
        """Whether the line sets any of these keys, or something below."""
        return any(under(k, name) for k in self.keys for name in names)


def wanted(argv: Sequence[str]) -> bool:
    """Whether a command line asks for a study to be derived, and not to be shown something."""
    return f"study={NAME}" in argv and not shows(flags(argv))


def request(argv: Sequence[str]) -> Request:
    """The request of a command line; `ConfigError` for words that can't be followed."""
    args = flags(argv)
    folders = config_folders(args)
    known = groups(folders)
    top = sorted({*(g for g in known if "/" not in g), *signature(f"{schema.__name__}.Config").parameters})
    lines = [line for line in args.overrides if line != f"study={NAME}"]
    overrides, found = parse(lines, top, known)
    found += [p for o in overrides for p in choice_problems(o, known)]
    found += [p for o in overrides for p in (*swept_problems(o), *_out_of_place(o))]
    refuse(found)
    own = [o for o in overrides if under(o.key_or_group, "study")]
    study = {o.key_or_group.partition(".")[2]: o.value() for o in own}
    asked: dict[str, Any] = {k: study.pop(k) for k in signature(SIGNATURE).parameters if k in study}
    refuse([*_wrong(asked, known), *_wrong_values(study)])
    rest = [o for o in overrides if o not in own and not o.is_hydra_override()]
    choices = [o for o in rest if is_choice(o, known)]
    return Request(
        flags=[w for w in argv if w not in args.overrides],
        typed=[redact.line(str(o.input_line)) for o in overrides],
        choices=choices,
        values=[o for o in rest if o not in choices],
        study=study,
        asked=Asked(**asked),
        hydra=[str(o.input_line) for o in overrides if o.is_hydra_override()],
        folders=folders,
        known=known,
    )


def _wrong(asked: Mapping[str, Any], known: Mapping[str, list[str]]) -> list[Problem]:
    fields = signature(SIGNATURE).parameters
    found = [p for k, v in asked.items() for p in problems(expected(fields[k]), v, f"study.{k}")]
    budget = asked.get("budget")
    if not found and budget is not None and seconds(budget) is None:
        what = "expected a time such as 45s, 30m, 8h or 2d"
        found.append(Problem("study.budget", budget, what, "study.budget=30m"))
    fusions = (name for name in known["fusion"] if fact(target(nodes("fusion").get(name, {})), "emits") != ())
    able = list(dict.fromkeys([*ARMS, *fusions]))
    if not found and not asked.get("fusions", able):
        found.append(Problem("study.fusions", [], f"a study compares: expected one or more of {', '.join(able)}"))
    found += [
        not_one_of("study.fusions", name, able) for name in asked.get("fusions", ()) if not found and name not in able
    ]
    return found


def _wrong_values(study: Mapping[str, Any]) -> list[Problem]:
    """What is given for keys of a study: keys that it has not, and values of whole keys that can't be."""
    fields = signature("multimodal_lab.config.study.Study").parameters
    able = [*fields, *signature(SIGNATURE).parameters]
    found = [unknown_key(f"study.{k}", v, able, "study") for k, v in study.items() if k.partition(".")[0] not in fields]
    return found + [p for k, v in study.items() if k in fields for p in problems(expected(fields[k]), v, f"study.{k}")]


def _out_of_place(override: Override) -> Iterator[Problem]:
    """What a line may not decide where a study is derived, or what no file of a study can say."""
    name, value = override.key_or_group, None if override.is_sweep_override() else override.value()
    own = {"fusion": f"study.fusions=[{value}]"}
    if name in DERIVED and override.package is None and not isinstance(value, dict):
        what = f"study={NAME} chooses {name} itself, by arm and by label"
        yield Problem(name, value, what, own.get(name, f"the study that it writes, with {name} edited"))
    elif name == "label":
        yield Problem(name, value, "a study has several labels", f"study.labels=[{value}]")
    elif name == "experiment":
        what = f"an experiment chooses head, loss and fusion, and so does study={NAME}; give its data=, modality= and values"
        yield Problem(name, value, what)
    elif override.is_delete():
        what = f"study={NAME} writes a file, which can't take a key away; set it to null or none"
        yield Problem(f"~{name}", value, what, f"{name}=null")
