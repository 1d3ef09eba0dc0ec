"""The schema of a composed config, and every violation of it, before torch is imported.

Nodes with a `_target_` are held to the signature of what they build; the rest to the dataclasses below; what no single
node can know to `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from multimodal_lab.bounds import Natural
from multimodal_lab.config.annotations import expected, field_problems, problems, value_problems
from multimodal_lab.config.extensions import extension_problems
from multimodal_lab.config.kind_facts import kind_problems
from multimodal_lab.config.modality import StreamConfig
from multimodal_lab.config.problem import MISSING, UNKNOWN, Problem, is_target, join, unknown_key
from multimodal_lab.config.rules.losses import ROOTS, is_path
from multimodal_lab.config.rules.structure import rule_problems
from multimodal_lab.config.signature import Parameter, Signature, SourceError, call_signature, signature
from multimodal_lab.config.study import Study
from multimodal_lab.config.targets import allowed, is_allowed, is_foreign, near_allowed
from multimodal_lab.text import nearest

KEYED = "multimodal_lab.keyed.Keyed"
# What code gives to a `_partial_` node, never a config; the second set only where the signature requires it.
FACTS = {"stream", "streams", "dims", "classes", "system", "data", "optimizer", "augment", "validate", "store", "log"}
FACTS |= {"rebuild", "device", "facts", "resume", "folder", "config"}
REQUIRED_FACTS = {"seed", "name", "backbones"}
SPECIALS = {"_target_", "_partial_"}
UNRESOLVED = "can't be resolved"
_WHOLE = re.compile(r"\$\{([\w.]+)\}")
_LATE = re.compile(r"\$\{(hydra|now|run_id):")  # known only to a running job
_LATER = re.compile(r"interpolation type (hydra|now|run_id)\b|HydraConfig was not set")


class Node(Protocol):
    """A node with a `_target_`."""


@dataclass
class Config:
    """The top level of `config.yaml`."""

    modality: dict[str, StreamConfig]
    backbone: Node
    fusion: Node
    head: Node
    loss: Node
    data: Node
    optim: Node
    train: Node
    system: Node
    augment: Node | dict[str, Node] | None = None
    adapt: Node | dict[str, Node] | None = None
    cache: Node | dict[str, Node] | None = None
    evaluate: dict[str, Node] = field(default_factory=dict)
    embed: Node | None = None
    log: dict[str, Node] = field(default_factory=dict)
    report: dict[str, Node | None] = field(default_factory=dict)
    backbones: dict[str, Node] = field(default_factory=dict)
    heads: dict[str, Node] = field(default_factory=dict)
    losses: dict[str, Node] = field(default_factory=dict)
    seed: Natural = 0
    name: str | None = None
    label: str = "species"
    dir: str = ""
    resume: Literal["never", "auto", "drift"] = "never"
    device: str = "auto"
    deterministic: bool = True
    objective: str | None = None
    figures: list[str] = field(default_factory=list)
    modality_subsets: bool = False
    eval_split: Literal["test", "val"] = "test"
    study: Study | None = None


def check(cfg: DictConfig | dict[str, Any]) -> list[Problem]:
    """Everything that is wrong with a composed config, the `hydra` node left out; [] if it may run."""
    tree, lost = resolved(cfg if isinstance(cfg, DictConfig) else OmegaConf.create(cfg))
    return [*_typed(tree), *lost] or rule_problems(tree)


def type_problems(cfg: DictConfig | dict[str, Any]) -> list[Problem]:
    """The same without the rules: what is no value of its key's type, or of no key."""
    tree, lost = resolved(cfg if isinstance(cfg, DictConfig) else OmegaConf.create(cfg))
    return [*_typed(tree), *lost]


def _typed(tree: dict[str, Any]) -> list[Problem]:
    found = [*field_problems(signature(f"{__name__}.Config"), tree, "")]
    found += [Problem(k, MISSING, _give(k, tree)) for k, value in _places(tree, "") if value == MISSING]
    found += node_problems(tree, "")
    return [*found, *kind_problems(tree.get("modality"))]


def resolved(cfg: DictConfig) -> tuple[dict[str, Any], list[Problem]]:
    """The config as plain values, and the interpolations that lead nowhere.

    Interpolations of whole nodes, which are checked at their own place, and late ones are UNKNOWN.
    """
    found: list[Problem] = []

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {k: plain(v, f"{path}.{k}") for k, v in value.items()}
        if isinstance(value, list):
            return [plain(v, f"{path}[{i}]") for i, v in enumerate(value)]
        return _leaf(cfg, value, path.removeprefix("."), found) if isinstance(value, str) and "${" in value else value

    raw: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    raw.pop("hydra", None)
    return plain(raw, ""), found


def _leaf(cfg: DictConfig, text: str, path: str, found: list[Problem]) -> Any:
    if _LATE.search(text):
        return UNKNOWN
    try:
        value = OmegaConf.select(cfg, path, throw_on_resolution_failure=True)
    except InterpolationToMissingValueError:
        return UNKNOWN  # the missing value is named at its own place
    except (OmegaConfBaseException, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        if not _LATER.search(reason):
            found.append(Problem(path, text, f"{UNRESOLVED}: {reason}", _near_key(cfg, text)))
        return UNKNOWN
    if OmegaConf.is_config(value):
        return UNKNOWN if _WHOLE.fullmatch(text) else OmegaConf.to_container(value, resolve=True)
    return value


def _give(key: str, tree: dict[str, Any]) -> str:
    """What to do about a key without a value."""
    source = tree["data"].get("source") if key == "data.root" and isinstance(tree.get("data"), dict) else None
    made = isinstance(source, dict) and is_target(source.get("made"))  # what stands in where there is no folder
    return f"missing; give {key}=…" + (f", or {key}=null for made-up samples" if made else "")


def _near_key(cfg: DictConfig, text: str) -> str:
    named = _WHOLE.search(text)
    root = named[1].partition(".")[0] if named else ""
    keys = [str(k) for k in cfg]
    return f"another choice of {root}" if root in keys else f"${{{nearest(root, keys)[0]}}}" if keys else ""


def _places(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """(key, value) of `value` and of all that it holds, at any depth."""
    yield key, value
    before = f"{key}." if key else ""
    for k, v in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(v, f"{before}{k}")


def node_problems(value: Any, key: str) -> Iterator[Problem]:
    """Everything wrong with the nodes in `value` that build objects, at any depth."""
    for place, node in _places(value, key):
        if isinstance(node, dict) and any(isinstance(k, str) and k.startswith("_") and k.endswith("_") for k in node):
            yield from _target_problems(node, place)


def _target_problems(node: dict[str, Any], key: str) -> Iterator[Problem]:
    target = node.get("_target_")
    for special in node.keys() - SPECIALS:
        if str(special).startswith("_") and str(special).endswith("_"):
            expects = "not allowed; only _target_ and _partial_ are read"
            yield Problem(join(key, special), node[special], expects, nearest(special, SPECIALS)[0])
    if not isinstance(node.get("_partial_", False), bool):
        yield Problem(join(key, "_partial_"), node["_partial_"], "expected true or false", "_partial_=true")
    if isinstance(target, str) and is_foreign(target) and (wrong := extension_problems()):
        yield from wrong
        return
    if not isinstance(target, str) or not is_allowed(target):
        near, count = near_allowed(str(target)), len(allowed())
        yield Problem(join(key, "_target_"), target, f"not one of the {count} names that a config may build", near)
        return
    try:
        yield from _argument_problems(signature(target), node, key)
    except SourceError as error:
        yield Problem(join(key, "_target_"), target, str(error))
        return
    if target == KEYED:
        yield from _keyed_problems(node, key)


def _argument_problems(known: Signature, node: dict[str, Any], key: str) -> Iterator[Problem]:
    partial = node.get("_partial_") is True
    knobs = [k for k, p in known.parameters.items() if not (partial and is_fact(p))]
    yield from value_problems({k: known.parameters[k] for k in knobs}, node, key)
    for k in (k for k in node if k not in SPECIALS and k not in knobs):
        if k in known.parameters:
            yield Problem(join(key, k), node[k], f"is given to {known.label} by the stage before; remove it")
        elif known.open_to is None and not str(k).startswith("_"):
            yield unknown_key(join(key, str(k)), node[k], knobs, known.label)
    for k in known.parameters.keys() - node.keys():
        if known.parameters[k].required and not partial:
            text = expected(known.parameters[k]).text
            yield Problem(join(key, k), None, f"missing; {known.label} needs {text}; give {join(key, k)}=…")


def is_fact(parameter: Parameter) -> bool:
    """Whether code gives this argument of a `_partial_` node."""
    return parameter.name in FACTS or (parameter.name in REQUIRED_FACTS and parameter.required)


def _keyed_problems(node: dict[str, Any], key: str) -> Iterator[Problem]:
    """The arguments that a `Keyed` passes on are held to the signature of its function."""
    fn = node.get("fn")
    target = fn.get("_target_") if isinstance(fn, dict) else None
    takes = call_signature(target) if isinstance(fn, dict) and isinstance(target, str) and is_allowed(target) else None
    if takes is None or fn is None:
        return
    given = node.keys() - SPECIALS - {"fn", "weight", "name"}
    built = fn.keys() if fn.get("_partial_") else set()
    for k in sorted(given):
        if k not in takes.parameters and takes.open_to is None:
            yield unknown_key(join(key, k), node[k], [*takes.parameters, "weight"], takes.label)
        elif k in built:
            yield Problem(join(key, k), node[k], f"also set at {key}.fn.{k}; keep one of the two")
        elif k in takes.parameters and not is_target(node[k]) and not is_path(node[k]):
            expects = expected(takes.parameters[k])
            if isinstance(node[k], str) and not expects.fits(1):
                near = f"{join(key, k)}={nearest(node[k], ROOTS)[0]}"
                yield Problem(join(key, k), node[k], f"expected a path that starts with {', '.join(ROOTS)}", near)
            else:
                yield from problems(expects, node[k], join(key, k))
    for k in takes.parameters.keys() - given - built:
        if takes.parameters[k].required:
            yield Problem(join(key, k), None, f"missing; {takes.label} needs a path such as out.projection")
