"""Rules of runs on cached features (`cache=features`) and of encoders from other runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multimodal_lab.config.facts import fact
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.rules.wiring import Tree, losses, streams, target
from multimodal_lab.config.signature import SourceError, signature
from multimodal_lab.config.suggest import one
from multimodal_lab.runs.records import LayoutError, require_readable


def cached(tree: Tree) -> Iterator[Problem]:
    """Features are kept of frozen backbones, stream by stream, of inputs that never change."""
    if not target(tree.get("cache") or {}):
        return
    yield from _streams(tree)
    yield from _inputs(tree)
    precision = tree["train"].get("precision")
    if precision not in (None, "fp32"):
        yield Problem("train.precision", precision, "cache=features stores features in fp32", "train.precision=fp32")


def encoder_runs(tree: Tree) -> Iterator[Problem]:
    """Encoders come from runs that are there."""
    node = tree.get("adapt") or {}
    argument = fact(target(node), "runs_argument", "")
    runs = node.get(argument)
    for i, run in enumerate(runs if isinstance(runs, list) else ()):
        folder = Path(str(run)).expanduser()
        if not (folder / "summary.json").is_file():
            near = sorted(str(p.parent) for p in folder.parent.glob("*/summary.json"))[:3]
            yield Problem(
                f"adapt.{argument}.{i}", run, "no finished run here (expected summary.json in it)", ", ".join(near)
            )
            continue
        try:
            require_readable(folder)
        except LayoutError as error:
            yield Problem(f"adapt.{argument}.{i}", run, str(error))


def _streams(tree: Tree) -> Iterator[Problem]:
    own = tree.get("backbones") or {}
    for name, kind in streams(tree).items():
        key, node = (f"backbones.{name}", own[name]) if name in own else ("backbone", tree["backbone"])
        if kind == "text":
            yield Problem(
                f"modality.{name}",
                kind,
                "cache=features caches images and vectors; text is drawn anew each epoch",
                "cache=none",
            )
        elif reads_all(node):
            expects = "reads several streams together; cache=features caches them one by one"
            yield Problem(key, target(node), expects, f"backbone={backbone_for(kind)}")
        elif can_freeze(node) and node.get("freeze") is not True and not adapted(tree, name):
            expects = "this backbone trains, and cache=features caches the outputs of frozen ones"
            yield Problem(f"{key}.freeze", node.get("freeze"), expects, f"{key}.freeze=true, or adapt=freeze")
    for name, stream in tree["modality"].items():
        if stream.get("role") == "target":
            yield Problem(f"modality.{name}.role", "target", "is drawn anew each epoch; cache=features cannot cache it",
                          "cache=none")  # fmt: skip


def _inputs(tree: Tree) -> Iterator[Problem]:
    ops = (tree.get("augment") or {}).get("ops") or {}
    if ops:
        expects = f"changes inputs ({', '.join(ops)}); cache=features caches features of inputs that never change"
        yield Problem("augment", target(tree["augment"]), expects, "augment=none")
    for key, node in losses(tree).items():
        for argument, path in node.items():
            if isinstance(path, str) and path.startswith(("batch.inputs", "batch.mask")):
                yield Problem(f"{key}.{argument}", path, "reads inputs, which cache=features never loads", "cache=none")


def reads_all(node: Tree) -> bool:
    """Whether a backbone reads several streams together."""
    try:
        return "streams" in signature(target(node)).parameters
    except SourceError:
        return False


def backbone_for(kind: str) -> str:
    """A choice of backbone for single streams of a kind; "" where there is none."""
    return one("backbone", lambda node: kind in fact(target(node), "kinds", ()) and not reads_all(node), kind)


def can_freeze(node: Tree) -> bool:
    """Whether a backbone has something to train, by its signature: a `freeze` that would keep it from training."""
    try:
        return "freeze" in signature(target(node)).parameters
    except SourceError:
        return False


def frozen(tree: Tree) -> list[str] | None:
    """The modules that `adapt` freezes; None where it does not state them."""
    node = tree.get("adapt") or {}
    if not target(node):
        return []
    listed = node.get(fact(target(node), "freezes_argument", ""))
    named = fact(target(node), "freezes", listed if isinstance(listed, list) else None, node)
    return None if named is None else [str(m) for m in named]


def adapted(tree: Tree, stream: str) -> bool:
    """Whether `adapt` freezes the backbone of a stream, or is not known not to."""
    modules = frozen(tree)
    return modules is None or any(m in ("backbones", f"backbones.each.{stream}", "backbones.each") for m in modules)
