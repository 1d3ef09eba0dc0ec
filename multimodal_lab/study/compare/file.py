"""The study as a YAML file of `conf/study/`: what was derived, and over it what was typed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override

from multimodal_lab.config.problem import StudyError
from multimodal_lab.files import file_hash, write_json, write_text
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.study.compare.arms import Arms, Design
from multimodal_lab.study.compare.facts import Facts
from multimodal_lab.study.compare.request import Request

ALWAYS = {"augment": "none", "evaluate": ["head", "probe"], "log": "none"}
HEADER = """# @package _global_
# Derived by study=compare. Edit it, and run it as any other study:
#   python -m multimodal_lab.run --config-dir={folder} study={name}
# It was derived from:
#   python -m multimodal_lab.run study=compare {typed}
"""


def node(facts: Facts, arms: Arms, design: Design, asked: Request) -> dict[str, Any]:
    """The node `study`: what was typed below it stands over what was derived."""
    made: dict[str, Any] = {
        "arms": arms.arms,
        "baselines": arms.baselines,
        "controls": arms.controls,
        "retrain": "concat" if retrains(facts, design) else None,
        "labels": [label.name for label in facts.labels],
        "seeds": list(design.seeds),
        "splits": list(design.splits),
        "score": None,
        "margin": None if "score" in asked.study else 0.02,  # in the unit of a score that is asked for
        "evaluator": None,
    }
    for name, value in asked.study.items():
        put(made, name, value)
    return made


def retrains(facts: Facts, design: Design) -> bool:
    """Whether every subset of the modalities is trained anyway, so that their Shapley values cost nothing."""
    return "concat" in design.fusions and (len(facts.inputs) == 2 or (len(facts.inputs) == 3 and design.pairs))


def defaults(derived: Mapping[str, Any], asked: Request) -> list[Any]:
    """Choices of groups, those that were typed over the derived ones."""
    chosen: dict[str, Any] = {**ALWAYS, **derived}
    for o in asked.choices:
        chosen[_place(o)] = o.value()
    typed = {_place(o): o.is_add() for o in asked.choices}
    made: list[Any] = []
    for place, choice in chosen.items():
        new = typed.get(place, "@" in place)
        made.append({f"/{place}" if new else f"override /{place}": choice})
    # additions stand before overrides, as Hydra wants them
    made.sort(key=lambda line: next(iter(line)).startswith("override"))
    return [*made, {"override /hydra/sweeper": "study"}]


def write(
    file: Path, choices: list[Any], study: Mapping[str, Any], body: Mapping[str, Any], typed: list[str], sweep: str
) -> None:
    """Write it, atomically."""
    tree = {
        "defaults": choices,
        "study": study,
        **body,
        "figures": [],
        "hydra": {"mode": "MULTIRUN", "sweep": {"dir": sweep}},
    }
    text = HEADER.format(folder=file.parents[1], name=file.stem, typed=" ".join(map(shlex.quote, typed)))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, text + yaml.dump(tree, Dumper=_Flow, sort_keys=False, width=140, allow_unicode=True))


def remember(file: Path, typed: list[str]) -> None:
    """Note beside the file what it was derived from, and what it holds."""
    write_json(_note(file), {"typed": typed, "file": file_hash(file)})


def kept(file: Path, typed: list[str]) -> bool:
    """Whether the file was derived from these words, so that it is run as it is now.

    `StudyError` where it was derived from other words and edited since: it is nobody's to write over.
    """
    if not file.is_file():
        return False
    try:
        found = read_json(_note(file))
    except (OSError, ValueError):
        found = None
    known: dict[str, Any] = found if isinstance(found, dict) else {}
    if known.get("typed") == typed:
        return True
    if known.get("file") != file_hash(file):
        raise StudyError(
            f"{file}: was edited, and this command asks for another study than it was derived from; run it with "
            f"--config-dir={file.parents[1]} study={file.stem}, remove it, or give another hydra.sweep.dir"
        )
    return False


def _note(file: Path) -> Path:
    return file.parents[1] / "derived.json"


def put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a value at a dotted key, mappings made on the way."""
    *way, last = dotted.split(".")
    for part in way:
        inner = tree.get(part)
        tree[part] = inner = inner if isinstance(inner, dict) else {}
        tree = inner
    tree[last] = {**tree[last], **value} if isinstance(value, dict) and isinstance(tree.get(last), dict) else value


def _place(override: Override) -> str:
    return override.key_or_group + (f"@{override.package}" if override.package else "")


class _Flow(yaml.SafeDumper):
    """Lists of plain values in one line, as the shipped studies have them."""


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    plain = not any(isinstance(v, dict | list) for v in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=plain)


def _dict(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.Node:
    plain = bool(value) and not any(isinstance(v, dict) for v in value.values()) and len(str(value)) < 120
    return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=plain)


_Flow.add_representer(list, _list)
_Flow.add_representer(dict, _dict)
