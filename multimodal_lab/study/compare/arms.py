"""The arms and controls of a derived study, from its streams and labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import yaml

from multimodal_lab.config.suggest import nodes
from multimodal_lab.study.compare import stack
from multimodal_lab.study.compare.facts import Facts, Input, Label
from multimodal_lab.study.compare.heads import LATE, key_of

RETRAINED = "concat"  # the fusion that pairs of several modalities have, and whose Shapley values are of trained models


@dataclass(frozen=True)
class Design:
    """What of all that could be compared is. fusions: of all modalities; pairs: of each two, by `RETRAINED`; within: labels
    within whose classes pairs are shuffled."""

    early: bool
    fusions: tuple[str, ...]
    pairs: bool
    within: tuple[str, ...]
    seeds: tuple[int, ...]
    splits: tuple[int, ...]


@dataclass
class Arms:
    """{arm: its overrides}, the baselines among them, and {control: its node}."""

    arms: dict[str, list[str]] = field(default_factory=dict)
    baselines: list[str] = field(default_factory=list)
    controls: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """What lines are made of: the backbone of each input where they differ, by its choice and settings, and what the attention
    needs."""

    backbones: Mapping[str, tuple[str, Mapping[str, Any]]]
    attention: tuple[str, ...] = ()


def arms(facts: Facts, design: Design, parts: Parts) -> Arms:
    """Each modality alone, then the fused arms with their controls: shuffled, each modality several times."""
    made = Arms()
    inputs, labels = facts.inputs, facts.labels
    for one in inputs:
        name = _baseline(one.name)
        made.arms[name] = [*_without(inputs, (one,), parts), "fusion=separate"]
        made.baselines.append(name)
    if design.early and facts.stacked is not None:
        _early(made, facts)
    for fusion in design.fusions:
        _fused(made, fusion, inputs, inputs, labels, parts)
    if design.pairs:
        for pair in combinations(inputs, 2):
            _fused(made, RETRAINED, inputs, pair, labels, parts)
    first = next((f for f in (RETRAINED, *design.fusions) if f in made.arms), None)
    for label in design.within if first else ():
        shuffle = {**_shuffle(inputs), "within": label}
        made.controls[f"{first}_within_{key_of(label)}"] = _control(
            str(first), "shuffled", [_line("data.shuffle", shuffle)]
        )
    return made


def _early(made: Arms, facts: Facts) -> None:
    inputs, node = facts.inputs, dict(facts.stacked or {})
    none = [f"~modality.{i.name}" for i in inputs]
    made.arms["early"] = [*none, _line(f"+modality.{stack.NAME}", node), "fusion=separate"]
    shuffle = {"stream": stack.NAME, "bands": stack.moved(inputs[1:], inputs[:1])}
    made.controls["early_shuffled"] = _control("early", "shuffled", [_line("data.shuffle", shuffle)])
    for one in inputs:
        again = stack.twice(one, len(inputs))
        made.controls[f"early_{one.name}_again"] = _control(
            "early", "duplicate", [_line(f"+modality.{stack.NAME}", again)], _baseline(one.name)
        )


def _fused(
    made: Arms, fusion: str, every: Sequence[Input], own: Sequence[Input], labels: Sequence[Label], parts: Parts
) -> None:
    name = fusion if len(own) == len(every) else "_".join([fusion, *(i.name for i in own)])
    lines = [*_without(every, own, parts)]
    if fusion == "late":
        lines += ["fusion=separate", f"head={LATE}", *(f"head@heads.{key_of(x.name)}={LATE}" for x in labels[1:])]
        lines += [f"loss.logits=out.{LATE}"]
    else:
        lines += [f"fusion={fusion}", *(parts.attention if fusion == "attention" else ())]
    made.arms[name] = lines
    made.controls[f"{name}_shuffled"] = _control(name, "shuffled", [_line("data.shuffle", _shuffle(own))])
    for kept in own:
        made.controls[f"{name}_{kept.name}_again"] = _control(
            name, "duplicate", _again(every, own, kept, parts), _baseline(kept.name)
        )


def _again(every: Sequence[Input], own: Sequence[Input], kept: Input, parts: Parts) -> list[str]:
    """The kept modality in the place of every other one of an arm."""
    lines = _without(every, (kept,), parts)
    for i, other in enumerate(one for one in own if one != kept):
        name = _free("again" if not i else f"again_{i + 1}", every)
        lines.append(_line(f"+modality.{name}", kept.node))
        if kept.name in parts.backbones:
            alike = (other.kind, other.timed) == (
                kept.kind,
                kept.timed,
            )  # the place keeps its backbone, where that can be
            choice, settings = parts.backbones[other.name if alike else kept.name]
            lines.append(f"+backbone@backbones.{name}={choice}")
            lines += [_line(f"backbones.{name}.{k}", v) for k, v in settings.items()]
    return lines


def _shuffle(own: Sequence[Input]) -> dict[str, Any]:
    """Of every modality but the first."""
    rest = [i.name for i in own[1:]]
    return {"stream": rest[0] if len(rest) == 1 else rest}


def _without(every: Sequence[Input], own: Sequence[Input], parts: Parts) -> list[str]:
    gone = [i.name for i in every if i not in own]
    return [*(f"~modality.{n}" for n in gone), *(f"~backbones.{n}" for n in gone if n in parts.backbones)]


def _control(of: str, kind: str, lines: list[str], keeps: str | None = None) -> dict[str, Any]:
    return {"of": of, "kind": kind, **({"keeps": keeps} if keeps else {}), "set": lines}


def _baseline(stream: str) -> str:
    """The name of the arm that has a stream alone."""
    return f"{stream}_alone" if stream in {"early", "late", *nodes("fusion")} else stream


def _free(name: str, every: Sequence[Input]) -> str:
    taken = {i.name for i in every}
    while name in taken:
        name += "_"
    return name


def _line(key: str, value: Any) -> str:
    """An override in Hydra's grammar: a value as YAML's flow style, words that need it quoted."""
    return f"{key}={flow(value)}"


def flow(value: Any) -> str:
    """A plain value as Hydra's grammar has it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and not value.replace("_", "").isalnum():
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return yaml.safe_dump(value).partition("\n")[0] if not isinstance(value, str) else _word(value)


def _word(text: str) -> str:
    """A word, quoted where it would be read as a number, a truth or nothing."""
    return text if isinstance(yaml.safe_load(text), str) and not text[0].isdigit() else f'"{text}"'
