"""Rules of losses: their inputs must be outputs of some stage."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from multimodal_lab.config.annotations import is_number, is_whole
from multimodal_lab.config.facts import default_of, other_values
from multimodal_lab.config.problem import Problem, join
from multimodal_lab.config.rules.wiring import (
    Tree,
    added,
    emitted,
    file_of,
    heads,
    losses,
    of_head,
    of_loss,
    streams,
    target,
    targets,
)
from multimodal_lab.config.signature import SourceError, call_signature
from multimodal_lab.config.suggest import nodes
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.text import nearest

ROOTS = ["batch", "features", "out", "present", "progress", "std", "teacher"]  # of the scope that a Keyed looks into


def is_path(value: object) -> bool:
    """Whether a value is text that a `Keyed` can look up."""
    return isinstance(value, str) and value.split(".")[0] in ROOTS


def loss_paths(tree: Tree) -> Iterator[Problem]:
    """Every path of a loss leads to what a stage gives."""
    for key, node in losses(tree).items():
        for argument, path in node.items():
            if argument not in {"_target_", "name", "fn"} and is_path(path):
                yield from _path(tree, join(key, argument), path)


def _path(tree: Tree, key: str, path: str) -> Iterator[Problem]:
    first, *rest = path.split(".")
    choices: list[str] = []
    prefix = first
    match first, rest:
        case "out", [head, _, *_] if head in heads(tree) and of_head(heads(tree)[head], "by_name"):
            choices, prefix, rest = emitted(tree), f"out.{head}", rest[1:]
        case "out", [head, _, *_] if head in heads(tree) and (gives := of_head(heads(tree)[head], "gives")):
            choices, prefix, rest = [*gives], f"out.{head}", rest[1:]
        case "out" | "teacher", [_, *_]:
            choices = list(heads(tree))
        case "features" | "present", [_, *_]:
            choices = emitted(tree)
        case "batch", ["targets", _, *_]:
            choices, prefix, rest = targets(tree), "batch.targets", rest[1:]
        case "std", [_, *_]:
            choices = targets(tree)
        case "batch", ["inputs" | "present" as part, _, *_]:
            choices, prefix, rest = list(streams(tree)), f"batch.{part}", rest[1:]
        case "batch", [_, *_]:
            choices = ["inputs", "targets", "present", "ids", "groups", "mask", "text_ids"]
    if choices and rest[0] not in choices:
        expects = f"no stage gives {prefix}.{rest[0]}; there is {', '.join(f'{prefix}.{c}' for c in choices)}"
        near = f"{key}={prefix}.{nearest(rest[0], choices)[0]}"
        yield Problem(key, path, expects, _other_choice(key, rest[0], choices) if prefix == "out" else near)


def _other_choice(key: str, wanted: str, there: list[str]) -> str:
    """A head that gives `wanted`, if there is one, or the losses that read what is there."""
    heads_, losses_ = conf_dir() / "head", conf_dir() / "loss"
    head = nearest(wanted, [f.stem for f in heads_.glob("*.yaml")])[0]
    readers = [f.stem for f in sorted(losses_.glob("*.yaml")) if any(f"out.{name}" in f.read_text() for name in there)]
    if head in there:
        return f"{key}=out.{head}"
    return ", ".join([f"head={head}", *(f"loss={name}" for name in readers[:4])])


def target_shapes(tree: Tree) -> Iterator[Problem]:
    """A loss takes a target as the augmentation makes it, where both state its shape."""
    for key, node in losses(tree).items():
        takes = of_loss(node, "targets")
        for argument, path in node.items():
            name = str(path).removeprefix("batch.targets.") if str(path).startswith("batch.targets.") else ""
            op, shape = added(tree).get(name, ("", ""))
            if shape and takes is not None and shape not in takes:
                able = [n for n, other in nodes("loss").items() if shape in of_loss(other, "targets", ())]
                expects = (
                    f"augment.ops.{op} makes it {shape}, and {file_of(node['fn'])} takes {' or '.join(takes) or 'none'}"
                )
                yield Problem(join(key, argument), path, expects, ", ".join(f"{key}={n}" for n in able[:4]))


def names_clash(tree: Tree) -> Iterator[Problem]:
    """An extra head or loss does not take the main one's name, which would replace it silently."""
    for group in ("head", "loss"):
        main = tree[group].get("name") or file_of(tree[group].get("fn", tree[group]))
        extra = tree.get(f"{group}s" if group == "head" else "losses", {})
        if main in extra:
            plural = "heads" if group == "head" else "losses"
            yield Problem(
                f"{plural}.{main}",
                main,
                f"the main {group} has this name already; choose another",
                f"{plural}.{main}_2",
            )


def two_views(tree: Tree) -> Iterator[Problem]:
    """A contrast within a stream needs two views of each sample, or as many as its loss states."""
    there = (tree.get("augment") or {}).get("views", 1)
    for key, node in losses(tree).items():
        needs = of_loss(node, "views", 1)
        if isinstance(there, int) and there < needs:
            name = file_of(node.get("fn") or {})
            others = otherwise(key, node, "views", lambda views: views <= there)
            expects = (
                f"{key}={name} contrasts {needs} views of a sample; expected {', or '.join([str(needs), *others])}"
            )
            yield Problem("augment.views", there, expects, f"augment.views={needs}")


def enough_samples(tree: Tree) -> Iterator[Problem]:
    """A loss that compares the samples of a step with each other has as many as it needs."""
    there = tree["data"].get("batch_size")
    for key, node in losses(tree).items():
        needs = of_loss(node, "samples", 1)
        if is_whole(there) and there < needs:
            expects = (
                f"{key}={file_of(node.get('fn') or {})} compares the samples of a step with each other; expected >= {needs}. "
                "train.accumulate_steps does not give it more to compare, train.micro_batch does, in the memory of few rows"
            )
            yield Problem("data.batch_size", there, expects, f"data.batch_size={needs}")
            return


def some_weight(tree: Tree) -> Iterator[Problem]:
    """Some term of the loss has a weight other than 0; a scheduled one at some time."""
    idle = [_without_weight(key, node) for key, node in losses(tree).items()]
    if all(idle):
        first, *others = [key for keys in idle for key in keys]
        also = f"with {', '.join(others)} 0 as well, " if others else ""
        yield Problem(first, 0, f"{also}the loss is 0 at every step; expected a weight > 0", f"{first}=1")


def task_weights(tree: Tree) -> Iterator[Problem]:
    """Learned weights of tasks have several terms to weigh, none of which falls below 0: its weight would grow without end."""
    key, terms = "system.task_weights", losses(tree)
    if tree["system"].get("task_weights") != "uncertainty":
        return
    if len(terms) < 2:
        yield Problem(key, "uncertainty", "weighs several loss terms, and there is one, loss", f"{key}=fixed")
    for name, node in terms.items():
        fn = target(node.get("fn") or {}).rpartition(".")[2]
        if fn in of_loss(node, "below_zero", ()):
            expects = f"{name}={fn} may fall below 0, and its learned weight would grow without end"
            yield Problem(key, "uncertainty", expects, f"{key}=fixed")


def _without_weight(key: str, node: Tree) -> list[str]:
    """The weights of a term that make it 0, [] if none do: its own, or all of those that its function states."""
    if _is_zero(node.get("weight", 1)):
        return [join(key, "weight")]
    fn = node.get("fn") or {}
    stated = of_loss(node, "weights", ())
    given = {name: {**fn, **node}.get(name, default_of(target(fn), name)) for name in stated}
    return [join(key if name in node else f"{key}.fn", name) for name in given] * all(map(_is_zero, given.values()))


def _is_zero(weight: object) -> bool:
    """Whether a weight is 0 at every step: a number, or a schedule from 0 to 0."""
    ends = [weight.get("start"), weight.get("end")] if isinstance(weight, dict) else [weight]
    return all(is_number(end) and end == 0 for end in ends)


def otherwise(key: str, node: Tree, name: str, fits: Callable[[Any], bool]) -> list[str]:
    """How a loss would be set for a fact of it to fit: `loss.intra_weight=0`."""
    found = []
    for argument, values in other_values(target(node.get("fn") or {}), name, fits).items():
        path = join(key if argument in node else f"{key}.fn", argument)
        found += [f"another {path}" if v is ... else f"{path}={v}" for v in values]
    return found


def annotation(fn: str, argument: str) -> str:
    """The annotation of an argument of a loss, "" where not known."""
    try:
        takes = call_signature(fn) if fn else None
    except SourceError:
        return ""
    found = takes.parameters.get(argument) if takes else None
    return "" if found is None or found.annotation is None else ast.unparse(found.annotation)
