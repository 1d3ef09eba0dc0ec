"""Rules of what a component states of its own arguments: how they go together, and what they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from multimodal_lab.bounds import unfit
from multimodal_lab.config.facts import default_of, fact
from multimodal_lab.config.problem import Problem, is_target, join
from multimodal_lab.config.rules.wiring import (
    Tree,
    added,
    file_of,
    heads,
    key_of,
    losses,
    of_head,
    of_loss,
    one_of,
    streams,
    target,
    targets,
)
from multimodal_lab.config.signature import SourceError, signature

WHERE = ("backbone", "backbones", "fusion", "head", "heads", "augment")


def related(tree: Tree) -> Iterator[Problem]:
    """The numbers of a component go together as its `relations` say, of parts of it, too."""
    for top in WHERE:
        yield from _related(top, tree.get(top))


def _related(key: str, node: Any) -> Iterator[Problem]:
    if not isinstance(node, Mapping):
        return
    if is_target(node) and (stated := fact(target(dict(node)), "relations")):
        for bad in unfit(stated, _settings(dict(node))):
            near = "" if bad.near is None else f"{key}.{bad.argument}={bad.near}"
            yield Problem(f"{key}.{bad.argument}", bad.value, f"expected {bad.expected}", near)
    for name, value in node.items():
        yield from _related(join(key, str(name)), value)


def _settings(node: Tree) -> Tree:
    """The arguments of a node, those of the signature where it leaves them out."""
    try:
        known = signature(target(node)).parameters
    except SourceError:
        return node
    return {**{name: default_of(target(node), name) for name in known}, **node}


def heads_divide_width(tree: Tree) -> Iterator[Problem]:
    """Attention splits its width among its heads; of a component that states it `related` tells."""
    nodes = {"fusion": tree["fusion"], "backbone": tree["backbone"]}
    nodes |= {f"backbones.{k}": v for k, v in tree.get("backbones", {}).items()}
    nodes |= {key_of(tree, name): node for name, node in heads(tree).items()}
    for key, node in nodes.items():
        if "heads" in fact(target(node), "relations", {}):
            continue
        width, count = node.get("width"), node.get("heads")
        if isinstance(width, int) and isinstance(count, int) and width % count:
            divisors = [d for d in range(1, width + 1) if width % d == 0]
            near = min(divisors, key=lambda d: abs(d - count))
            yield Problem(f"{key}.heads", count, f"does not divide {key}.width={width}", f"{key}.heads={near}")


def named(tree: Tree) -> Iterator[Problem]:
    """An argument that a component states to name a stream or a label names one that is there."""
    nodes = {key_of(tree, name): node for name, node in heads(tree).items()}
    nodes |= {f"augment.ops.{name}": op for name, op in ((tree.get("augment") or {}).get("ops") or {}).items()}
    nodes |= {f"evaluate.{name}": node for name, node in (tree.get("evaluate") or {}).items()}
    for key, node in nodes.items():
        stated = fact(target(node), "names", {}) if isinstance(node, Mapping) else {}
        for argument, of in stated.items():
            value = node.get(argument)
            every = {
                "stream": [*streams(tree)],
                "label": targets(tree),
                "stream or label": [*streams(tree), *targets(tree)],
            }
            if of == "stream or label" and not targets(tree):
                continue  # the labels are known once the files are read
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str):
                    yield from one_of(f"{key}.{argument}", one, every[of])


def reads_inputs(tree: Tree) -> Iterator[Problem]:
    """A head that reads the inputs of a stream gets them: kept features stand in for those of streams that they are kept of."""
    if not target(tree.get("cache") or {}):
        return
    for name, node in heads(tree).items():
        for argument in of_head(node, "reads_inputs", ()):
            stream = node.get(argument)
            if stream is None or stream in streams(tree):
                expects = f"reads the inputs of {stream or 'a stream'} themselves, which cache=features never loads"
                yield Problem(key_of(tree, name), file_of(node), expects, "cache=none")


def as_its_head(tree: Tree) -> Iterator[Problem]:
    """A loss has the settings of the head it reads (`as_head`), that head as many of a thing as an op makes (`as_target`)."""
    for key, node in losses(tree).items():
        read = next((v.split(".")[1] for v in node.values() if isinstance(v, str) and v.startswith("out.")), None)
        head = heads(tree).get(read or "")
        if head is None or read is None:
            continue
        fn = node.get("fn") or {}
        for argument in of_loss(node, "as_head", ()):
            here, there = {**_settings(fn), **node}.get(argument), _settings(head).get(argument)
            if None not in (here, there) and here != there:
                expects = f"expected that of {key_of(tree, read)}, {there}"
                yield Problem(f"{key}.{argument}", here, expects, f"{key}.{argument}={there}")
        made = {f"batch.targets.{name}": shape for name, (_, shape) in added(tree).items()}
        shape = next((made[v] for v in node.values() if isinstance(v, str) and v in made), "")
        count = re.match(r"\(N, (\d+)", shape)
        for argument in of_loss(node, "as_target", ()) if count else ():
            there, most = _settings(head).get(argument), int(count[1] if count else 0)
            if isinstance(there, int) and there != most:
                expects = f"{key} compares it with a target of {shape}, expected {most}"
                yield Problem(
                    f"{key_of(tree, read)}.{argument}", there, expects, f"{key_of(tree, read)}.{argument}={most}"
                )


def splits_there(tree: Tree) -> Iterator[Problem]:
    """The split that the run is scored on is there, and the further one that an evaluator reads (`splits`)."""
    split = (tree.get("data") or {}).get("split") or {}
    scored = tree.get("eval_split") or "test"
    readers = {f"evaluate.{name} as it is set reads": node for name, node in (tree.get("evaluate") or {}).items()}
    wanted = [(one, who) for who, node in readers.items() if isinstance(node, dict)
              for one in fact(target(node), "splits", (), node) if one != scored]  # fmt: skip
    own = (
        [] if tree.get("study") else [(scored, f"eval_split={scored} scores")]
    )  # a study says what to set in its cells
    for one, who in [*own, *wanted]:
        if split.get(one) == 0 and split.get("column") is None:
            yield Problem(f"data.split.{one}", 0, f"leaves no {one} split, which {who}", f"data.split.{one}=0.1")


ARGUMENT_RULES = (heads_divide_width, related, named, reads_inputs, as_its_head, splits_there)
