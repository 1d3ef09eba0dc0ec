"""What the stages of a config give each other, by name: read off its plain values, with nothing built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from multimodal_lab.problem import Problem, not_one_of

SEPARATE = "fusion.separate.Separate"
PAIRS = {"clip", "siglip", "triplet"}  # losses of two streams and nothing else; others of `between` as they are set
Tree = dict[str, Any]


def streams(tree: Tree) -> dict[str, str]:
    """{name: kind} of the modality's input streams."""
    return {n: s.get("kind", "image") for n, s in tree["modality"].items() if s.get("role", "input") != "target"}


def emitted(tree: Tree) -> list[str]:
    """The names that the fusion gives: the streams, and `fused` unless it keeps them separate."""
    return [*streams(tree), *([] if target(tree["fusion"]).endswith(SEPARATE) else ["fused"])]


def heads(tree: Tree) -> dict[str, Tree]:
    """{name: node} of all heads: the main one by its file name."""
    return {file_of(tree["head"]): tree["head"], **tree.get("heads", {})}


def losses(tree: Tree) -> dict[str, Tree]:
    """{key path: node} of all loss terms."""
    return {"loss": tree["loss"], **{f"losses.{k}": v for k, v in tree.get("losses", {}).items()}}


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
    """What `batch.targets` will hold: labels and streams of role target; [] where not known."""
    roles = [n for n, s in tree["modality"].items() if s.get("role") == "target"]
    return [*labels(tree), *roles] if labels(tree) else []


def one_of(key: str, found: str, choices: list[str]) -> Iterator[Problem]:
    """`found` is one of `choices`; where none are known (labels read from files later) nothing is said."""
    if choices and found not in choices:
        yield not_one_of(key, found, choices, key.removesuffix(found) if key.endswith(f".{found}") else "")
