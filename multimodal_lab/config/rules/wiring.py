"""The named outputs of each stage, derived from the plain config without building anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from multimodal_lab.config.facts import STAGES, default_of, fact
from multimodal_lab.config.problem import Problem, not_one_of
from multimodal_lab.metric.direction import Scored

Tree = dict[str, Any]
SCORED = {one.name for one in fields(Scored)}


def streams(tree: Tree) -> dict[str, str]:
    """{name: kind} of the modality's input streams."""
    return {n: s.get("kind", "image") for n, s in tree["modality"].items() if s.get("role", "input") != "target"}


def backbones(tree: Tree) -> dict[str, Tree]:
    """{stream: the node of its backbone}: its own, else the one of all."""
    own: Tree = tree.get("backbones") or {}
    return {name: own[name] if name in own else tree["backbone"] for name in streams(tree)}


def emits(tree: Tree) -> list[str] | None:
    """The names that the fusion adds to the streams; None where it does not state them."""
    found = fact(target(tree["fusion"]), "emits")
    return None if found is None else list(found)


def emitted(tree: Tree) -> list[str]:
    """The names that the fusion gives: the streams and what it adds; [] where that is not known."""
    added = emits(tree)
    return [] if added is None else [*streams(tree), *added]


def may_emit(tree: Tree, name: str) -> bool:
    """Whether the fusion gives a name, or is not known not to."""
    return name in emitted(tree) or emits(tree) is None


def heads(tree: Tree) -> dict[str, Tree]:
    """{name: node} of all heads: the main one by its file name."""
    return {file_of(tree["head"]): tree["head"], **tree.get("heads", {})}


def key_of(tree: Tree, head: str) -> str:
    """Where a head stands in the config."""
    return "head" if heads(tree)[head] is tree["head"] else f"heads.{head}"


def losses(tree: Tree) -> dict[str, Tree]:
    """{key path: node} of all loss terms."""
    return {"loss": tree["loss"], **{f"losses.{k}": v for k, v in tree.get("losses", {}).items()}}


def told(tree: Tree) -> dict[str, str]:
    """{head: the label that it tells} of the heads that have such a setting."""
    nodes = heads(tree) if "head" in tree else {}
    return {name: str(node["label"]) for name, node in nodes.items() if node.get("label")}


def of_head(node: Tree, name: str, default: Any = None) -> Any:
    """A fact of a head, as it is set."""
    return fact(target(node), name, default, node)


def of_loss(node: Tree, name: str, default: Any = None) -> Any:
    """A fact of a loss term's function, as it is set."""
    fn = node.get("fn") or {}
    return fact(target(fn), name, default, {**fn, **node})


def scored(tree: Tree) -> list[Scored]:
    """What each evaluator of a config states of its scores; those that predict first, as they lead tables.

    One that scores heads is left out where no head tells a label.
    """
    nodes = [node for node in (tree.get("evaluate") or {}).values() if target(node)]
    found = [Scored(**{"name": file_of(node), **_stated(target(node))}) for node in nodes]
    found = [e for e in found if e.reads != "heads" or "head" not in tree or told(tree)]
    return sorted({e.name: e for e in found}.values(), key=lambda e: not e.predicts)


def _stated(evaluator: str) -> dict[str, Any]:
    facts = {name: fact(evaluator, name) for name in STAGES["evaluate"] if name == "prefix" or name in SCORED}
    return {"name" if name == "prefix" else name: value for name, value in facts.items() if value is not None}


def judge(tree: Tree) -> str:
    """The evaluator whose predictions a run is judged by: the first that keeps any; "" where none does."""
    return next((e.name for e in scored(tree) if e.predicts), "")


def file_of(node: Tree) -> str:
    """The file that defines a node's target: `projection`."""
    return target(node).split(".")[-2] if "." in target(node) else ""


def target(node: Tree) -> str:
    """A node's `_target_`, or ""."""
    return str(node.get("_target_", ""))


def labels(tree: Tree) -> list[str]:
    """The labels that the data are asked for; [] where they are not known before the files are read."""
    found = tree["data"].get("labels")
    return [str(name) for name in found] if isinstance(found, list | dict) else []


def targets(tree: Tree) -> list[str]:
    """What `batch.targets` will hold: labels, streams of role target, what ops add; [] where not known."""
    roles = [n for n, s in tree["modality"].items() if s.get("role") == "target"]
    return list(dict.fromkeys([*labels(tree), *roles, *added(tree)])) if labels(tree) else []


def added(tree: Tree) -> dict[str, tuple[str, str]]:
    """{target: (the op of the augmentation that adds it, or gives it another shape; its shape and type)}."""
    ops = (tree.get("augment") or {}).get("ops") or {}
    return {
        str(op.get(argument, default_of(target(op), argument))): (name, shape)
        for name, op in ops.items()
        for argument, shape in (fact(target(op), "adds_targets") or {}).items()
    }


def one_of(key: str, found: str, choices: list[str]) -> Iterator[Problem]:
    """`found` is one of `choices`; where none are known (labels read from files later) nothing is said."""
    if choices and found not in choices:
        yield not_one_of(key, found, choices, key.removesuffix(found) if key.endswith(f".{found}") else "")
