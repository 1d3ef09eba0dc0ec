"""Rules of the time axis: which streams have one, and which parts need one or can't take one."""

from __future__ import annotations

from collections.abc import Iterator

from multimodal_lab.config import kind_facts
from multimodal_lab.config.facts import fact
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.rules.wiring import Tree, file_of, heads, key_of, of_head, streams, target
from multimodal_lab.config.suggest import choices


def timed(tree: Tree) -> Iterator[Problem]:
    """`steps` is for kinds that may have a time axis, and `rate` and `longer` for streams that have one."""
    for name, node in tree["modality"].items():
        given = [key for key in ("steps", "rate", "longer") if key in node]
        kind = str(node.get("kind", "image"))
        for key in given if kind_facts.fact(kind, "steps") is False else ():
            yield Problem(f"modality.{name}.{key}", node[key], f"a stream of kind {kind} has no time axis")
            return
        for key in given if "steps" not in node else ():
            expects = (
                "belongs to a time axis, which steps gives: null as long as the training split's longest recording"
            )
            yield Problem(f"modality.{name}.{key}", node[key], expects, f"modality.{name}.steps=null")


def backbone_steps(tree: Tree) -> Iterator[Problem]:
    """A backbone that states `steps` meets only streams with a time axis (True) or without one (False)."""
    own = tree.get("backbones", {})
    for name, kind in streams(tree).items():
        node, key = (own[name], f"backbones.{name}") if name in own else (tree["backbone"], "backbone")
        takes, has = fact(target(node), "steps"), "steps" in tree["modality"][name]
        if takes is None or takes == has or kind not in fact(target(node), "kinds", (kind,)):
            continue
        fit = choices("backbone", lambda n: kind in fact(target(n), "kinds", ()) and fact(target(n), "steps") is has)  # noqa: B023
        said = "has a time axis (steps)" if has else "has none; modality.{name}.steps=null gives it one"
        expects = (
            f"reads streams {'with' if takes else 'without'} a time axis, and modality.{name} {said.format(name=name)}"
        )
        near = f"+backbone@backbones.{name}={fit[0]}" if len(streams(tree)) > 1 else f"backbone={fit[0]}" if fit else ""
        yield Problem(
            key, file_of(node), f"{expects}{'; there are ' + ', '.join(fit) if fit else ''}", near if fit else ""
        )


def op_steps(tree: Tree) -> Iterator[Problem]:
    """An op along time (`steps = True`) has a stream with a time axis to work on."""
    has = [name for name in streams(tree) if "steps" in tree["modality"][name]]
    for name, op in ((tree.get("augment") or {}).get("ops") or {}).items():
        chosen = (op.get("streams") or [*streams(tree)]) if isinstance(op, dict) else []
        if isinstance(op, dict) and fact(target(op), "steps", False) and not {*chosen} & {*has}:
            expects = f"works along time, and {', '.join(map(str, chosen))} {'has' if len(chosen) == 1 else 'have'} no time axis"
            yield Problem(f"augment.ops.{name}", file_of(op), f"{expects}; remove it", f"~augment.ops.{name}")


def head_steps(tree: Tree) -> Iterator[Problem]:
    """The streams that a head reads over time (`over_time`) have a time axis, and there are as many as it asks for."""
    has = [name for name in streams(tree) if "steps" in tree["modality"][name]]
    for head, node in heads(tree).items():
        asked = {argument: node.get(argument) for argument in of_head(node, "over_time", ())}
        for argument, name in asked.items():
            if isinstance(name, str) and name in streams(tree) and name not in has:
                expects = f"names a stream without a time axis{'; with one: ' + ', '.join(has) if has else ''}"
                yield Problem(f"{key_of(tree, head)}.{argument}", name, expects, f"modality.{name}.steps=null")
                return
        if len(has) < len(asked):
            expects = f"reads {len(asked)} over time, and of the streams {', '.join(has) or 'none'} has a time axis"
            near = next((f"modality.{name}.steps=null" for name in streams(tree) if name not in has), "")
            yield Problem(key_of(tree, head), file_of(node), expects, near)


def longest(tree: Tree) -> Iterator[Problem]:
    """Who learns from some of the training split does not know its longest recording."""
    some = (tree.get("data") or {}).get("statistics", "train")
    for name, node in tree["modality"].items():
        if "steps" in node and node["steps"] is None and some != "train":
            expects = (
                "the longest of the training split, of which data.statistics reads some samples alone; give a number"
            )
            yield Problem(f"modality.{name}.steps", None, expects, "data.statistics=train")


STEP_RULES = (timed, longest, backbone_steps, op_steps, head_steps)
