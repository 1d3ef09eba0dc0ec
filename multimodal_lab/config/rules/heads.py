"""Rules of heads: what they read is there, in the order in which heads speak."""

from __future__ import annotations

from collections.abc import Iterator

from multimodal_lab.config.facts import default_of, fact
from multimodal_lab.config.problem import Problem, not_one_of
from multimodal_lab.config.rules.wiring import (
    Tree,
    emitted,
    file_of,
    heads,
    key_of,
    may_emit,
    of_head,
    one_of,
    streams,
    target,
    targets,
)
from multimodal_lab.config.signature import SourceError, signature
from multimodal_lab.config.suggest import choices, one


def head_reads(tree: Tree) -> Iterator[Problem]:
    """What a head reads is what the fusion gives."""
    for name, node in heads(tree).items():
        key = key_of(tree, name)
        reads = node.get("input")
        if isinstance(reads, str):
            yield from one_of(f"{key}.input", reads, emitted(tree))
        elif of_head(node, "takes") == "fused" and len(streams(tree)) > 1 and not may_emit(tree, "fused"):
            alone = ", ".join(f"{key}.input={s}" for s in streams(tree))
            every = _like(node)
            fusions = choices("fusion", lambda other: "fused" in fact(target(other), "emits", ()))
            expects = (
                f"reads fused, which fusion={file_of(tree['fusion'])} does not give; choose head={every}, a fusion that "
                f"gives it ({', '.join(fusions)}), or, where something else reads the other streams, {alone}"
            )
            yield Problem(f"{key}.input", None, expects, f"fusion={fusions[0]}" if fusions else "")


def _like(node: Tree) -> str:
    """The head of every stream that, like this one of a fusion, tells a label or does not, of a sample and not of its pixels."""

    def alike(other: Tree) -> bool:
        pixels = bool(of_head(other, "per_pixel", False))
        return of_head(other, "takes") == "streams" and ("label" in other) == ("label" in node) and not pixels

    return one("head", alike)


def head_targets(tree: Tree) -> Iterator[Problem]:
    """A head's `label` is a label of the data; its `target` a label or a stream of role target."""
    for name, node in heads(tree).items():
        key = key_of(tree, name)
        for argument in ("label", "target"):
            if isinstance(node.get(argument), str):
                yield from one_of(f"{key}.{argument}", node[argument], targets(tree))


def heads_in_order(tree: Tree) -> Iterator[Problem]:
    """A head that reads what another head says stands behind it; heads speak in the order of the config, the main one first."""
    order = list(heads(tree))
    for i, name in enumerate(order):
        for argument, wanted in reads_heads(heads(tree)[name]).items():
            key = f"{key_of(tree, name)}.{argument}"
            if wanted in order[i:]:
                which = "itself" if wanted == name else f"head {wanted}, which comes after it"
                earlier = f"one of {', '.join(order[:i])}" if i else "an earlier head, and the main head comes first"
                near = (
                    f"head={wanted} +head@heads.{name}={file_of(heads(tree)[name])}" if not i else f"{key}={order[0]}"
                )
                yield Problem(key, wanted, f"asks for what is said by {which}; expected {earlier}", near)
            elif wanted not in order:
                yield not_one_of(key, wanted, order[:i] or order)


def reads_heads(node: Tree) -> dict[str, str]:
    """{argument: the head that it names} of the arguments that a head states as naming an earlier one."""
    stated = of_head(node, "reads_heads", ())
    given = {argument: node.get(argument, default_of(target(node), argument)) for argument in stated}
    return {argument: wanted for argument, wanted in given.items() if isinstance(wanted, str)}


def head_pairs(tree: Tree) -> Iterator[Problem]:
    """A head that compares streams has two or more of them."""
    there = list(streams(tree))
    for name, node in heads(tree).items():
        if len(there) == 1 and of_head(node, "pairs", False):
            expects = f"compares two streams, and the modality has one, {there[0]}"
            yield Problem(key_of(tree, name), file_of(node), expects, "a modality of two streams")


def heads_of_fusion(tree: Tree) -> Iterator[Problem]:
    """A head that asks for the fusion asks it again about the streams: it gives fused, and leaves the streams as they are."""
    acts_on = fact(target(tree["fusion"]), "acts_on", ())
    if may_emit(tree, "fused") and "streams" not in acts_on:
        return
    able = choices("fusion", lambda n: [*fact(target(n), "acts_on", ())] == ["fused"])
    for name, node in heads(tree).items():
        if asks(target(node), "fusion"):
            why = "which changes the streams" if "streams" in acts_on else "which gives none"
            expects = f"head={name} fuses each stream alone by fusion={file_of(tree['fusion'])}, {why}"
            near = [f"fusion={one}" for one in able]
            yield Problem("fusion", file_of(tree["fusion"]), expects, ", ".join(near))


def heads_of_cached(tree: Tree) -> Iterator[Problem]:
    """A head that asks for the backbones has them; cached features leave them without inputs."""
    if not target(tree.get("cache") or {}):
        return
    for name, node in heads(tree).items():
        if asks(target(node), "backbones"):
            expects = "asks for the backbones, and cache=features replaces them by what they gave"
            yield Problem(key_of(tree, name), file_of(node), expects, "cache=none")


def asks(of: str, argument: str) -> bool:
    """Whether a class takes an argument."""
    try:
        return argument in signature(of).parameters
    except SourceError:
        return False


HEAD_RULES = (head_reads, head_targets, heads_in_order, head_pairs, heads_of_fusion, heads_of_cached)
