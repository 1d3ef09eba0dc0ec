"""Rules of runs on cached features (`cache=features`) and of weights from other runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multimodal_lab.config.facts import fact
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.rules.wiring import Tree, file_of, losses, streams, target
from multimodal_lab.config.signature import SourceError, signature
from multimodal_lab.config.study_lines import under
from multimodal_lab.config.suggest import one
from multimodal_lab.runs.records import LayoutError, require_readable

WARM_START = "train.warm_start"


def cached(tree: Tree) -> Iterator[Problem]:
    """Features are kept of frozen backbones, stream by stream, of inputs that never change; of one stream at least."""
    if not target(tree.get("cache") or {}):
        return
    moving = {name: why for name in streams(tree) if (why := _not_kept(tree, name)) is not None}
    kept = [name for name in streams(tree) if name not in moving]
    if not kept:
        yield from moving.values()
    yield from _inputs(tree, kept or list(streams(tree)))
    precision = tree["train"].get("precision")
    if precision not in (None, "fp32"):
        yield Problem("train.precision", precision, "cache=features stores features in fp32", "train.precision=fp32")


def could_be_cached(tree: Tree) -> list[str]:
    """The streams that are encoded anew in every epoch to the same features, which cache=features would keep."""
    epochs, steps = tree["train"].get("epochs"), tree["train"].get("max_steps")
    if target(tree.get("cache") or {}) or epochs == 1 or steps in (0, 1):
        return []
    stay = [name for name in streams(tree) if _stays_frozen(tree, name)]
    return stay if stay and not list(cached({**tree, "cache": {"_target_": "any"}})) else []


def trained_runs(tree: Tree) -> Iterator[Problem]:
    """Encoders, and the weights of a warm start, come from runs that are there, and from one or the other."""
    node = tree.get("adapt") or {}
    argument = fact(target(node), "runs_argument", "")
    runs, start = node.get(argument), tree["train"].get("warm_start")
    named = {f"adapt.{argument}.{i}": run for i, run in enumerate(runs if isinstance(runs, list) else ())}
    if start is not None and named:
        expects = f"gives every weight of a run, and adapt={file_of(node)} the backbones of others; keep one of the two"
        yield Problem(WARM_START, start, expects, f"{WARM_START}=null")
    for key, run in (named | ({} if start is None else {WARM_START: start})).items():
        folder = Path(str(run)).expanduser()
        if not (folder / "summary.json").is_file():
            near = sorted(str(p.parent) for p in folder.parent.glob("*/summary.json"))[:3]
            yield Problem(key, run, "no finished run here (expected summary.json in it)", ", ".join(near))
            continue
        try:
            require_readable(folder)
        except LayoutError as error:
            yield Problem(key, run, str(error))


def _not_kept(tree: Tree, name: str) -> Problem | None:
    """Why the features of a stream can't be kept; None where they can, or where only the built system tells."""
    own, kind = tree.get("backbones") or {}, streams(tree)[name]
    key, node = (f"backbones.{name}", own[name]) if name in own else ("backbone", tree["backbone"])
    if reads_all(node):
        expects = "reads several streams together; cache=features caches them one by one"
        return Problem(key, target(node), expects, f"backbone={backbone_for(kind)}")
    if can_freeze(node) and node.get("freeze") is not True and not adapted(tree, name):
        expects = "this backbone trains, and cache=features caches the outputs of frozen ones"
        return Problem(f"{key}.freeze", node.get("freeze"), expects, f"{key}.freeze=true, or adapt=freeze")
    return None


def _stays_frozen(tree: Tree, name: str) -> bool:
    """Whether the backbone of a stream has weights, and is known to keep them."""
    own: Tree = tree.get("backbones") or {}
    node: Tree = own.get(name) or tree["backbone"]
    return (
        can_freeze(node)
        and not reads_all(node)
        and (node.get("freeze") is True or (frozen(tree) is not None and adapted(tree, name)))
    )


def _inputs(tree: Tree, kept: list[str]) -> Iterator[Problem]:
    """No op changes the streams whose features are `kept`, and no loss reads their inputs."""
    ops = (tree.get("augment") or {}).get("ops") or {}
    changed = {op: own for op, node in ops.items() if (own := [name for name in _acted_on(tree, node) if name in kept])}
    if changed:
        there = ", ".join(dict.fromkeys(name for own in changed.values() for name in own))
        expects = f"changes inputs of {there} ({', '.join(changed)}); cache=features caches features of inputs that never change"
        yield Problem("augment", target(tree["augment"]), expects, "augment=none")
    read = ("batch.mask", *(f"batch.inputs.{name}" for name in kept))  # or all inputs, those among them
    for key, node in losses(tree).items():
        for argument, path in node.items():
            if isinstance(path, str) and (path == "batch.inputs" or any(under(path, top) for top in read)):
                yield Problem(f"{key}.{argument}", path, "reads inputs, which cache=features never loads", "cache=none")


def _acted_on(tree: Tree, op: Tree) -> list[str]:
    """The streams that an op may change: those of its kinds, images where it states none, that its settings don't leave out."""
    fit = [name for name, kind in streams(tree).items() if kind in fact(target(op), "kinds", ("image",))]
    if "stream" in op:  # of one that acts on a single stream null is the first
        return [str(op["stream"])] if op["stream"] else fit[:1]
    return [name for name in fit if name in (op.get("streams") or fit)]


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
