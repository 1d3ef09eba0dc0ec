"""Rules of the pairs of streams that a loss compares: its hub and its pairs are streams that there are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from multimodal_lab.config.problem import Problem, join
from multimodal_lab.config.rules.losses import annotation, otherwise
from multimodal_lab.config.rules.wiring import Tree, file_of, losses, of_loss, streams, target
from multimodal_lab.config.signature import SourceError, signature
from multimodal_lab.loss.pair_weights import Hub, PairError, PairWeights, weigh

SAMPLE = "batch.ids"
HUB, WEIGHTS = "Hub", "PairWeights"  # the annotations by which a loss says that an argument is one


def stream_pairs(tree: Tree) -> Iterator[Problem]:
    """A hub is a stream, pairs are of two streams, and some pair has a weight."""
    there = list(streams(tree))
    for key, node in losses(tree).items():
        places, hub, pair_weights = given(key, node)
        if hub is None and not pair_weights:
            continue
        if not of_loss(node, "joins", of_loss(node, "pairs", True)):
            place, found = (places["hub"], hub) if hub is not None else (places["pair_weights"], pair_weights)
            ways = otherwise(key, node, "joins", lambda joins: joins is True)
            expects = f"{file_of(node['fn'])} compares no two streams as it is set"
            yield Problem(place, found, expects, ", ".join(ways))
            continue
        try:
            weigh(there, hub, pair_weights)
        except PairError as error:
            place = places[error.argument]
            near = f"{place}={error.near}" if error.argument == "hub" else f"'{place}={{{error.near}: 1.0}}'"
            yield Problem(place, error.found, error.expected, near if error.near else "")


def compared(tree: Tree) -> Iterator[tuple[str, Tree, list[tuple[str, str]]]]:
    """(key path, node, pairs) of every loss term that pulls the streams of one sample together, as it is set and weighs."""
    for key, node in losses(tree).items():
        by_sample = node.get("ids", SAMPLE) == SAMPLE  # by a label, two samples are a pair
        if by_sample and node.get("weight", 1) and of_loss(node, "joins", of_loss(node, "pairs", False)):
            _, hub, pair_weights = given(key, node)
            if pairs := list(weigh(streams(tree), hub, pair_weights)):
                yield key, node, pairs


def uncompared(tree: Tree, node: Tree) -> set[str]:
    """The streams that a loss term compares with none, because their pairs have no hub or the weight 0."""
    _, hub, pair_weights = given("", node)
    if hub is None and not pair_weights:
        return set()
    try:
        pairs = weigh(streams(tree), hub, pair_weights)
    except PairError:  # told by `stream_pairs`
        return set()
    return {*streams(tree)} - {name for pair in pairs for name in pair}


def given(key: str, node: Tree) -> tuple[dict[str, str], Hub, PairWeights]:
    """Where a loss term has its hub and its weights, and these; None and {} where its function takes none."""
    fn = node.get("fn") or {}
    places, found = {}, {}
    for argument, kind in (("hub", HUB), ("pair_weights", WEIGHTS)):
        if _kind(target(fn), argument) == kind:
            places[argument] = join(key if argument in node else join(key, "fn"), argument)
            found[argument] = {**fn, **node}.get(argument)
    weights: Any = found.get("pair_weights")
    return places, found.get("hub"), weights if isinstance(weights, dict) else None


def _kind(fn: str, argument: str) -> str:
    """The annotation of an argument of a function, or of what builds one that is an object; "" where not known."""
    if found := annotation(fn, argument):
        return found
    try:
        made = signature(fn).parameters.get(argument) if fn else None
    except SourceError:
        return ""
    return "" if made is None or made.annotation is None else ast.unparse(made.annotation)


PAIR_RULES = (stream_pairs,)
