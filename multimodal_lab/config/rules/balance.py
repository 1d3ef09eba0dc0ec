"""Rules of `train.balance`: encoders to balance, and a head that tells a class of each stream alone."""

from __future__ import annotations

from collections.abc import Iterator

from multimodal_lab.config.facts import fact
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.rules.heads import asks
from multimodal_lab.config.rules.wiring import Tree, file_of, heads, of_head, streams, target

KEY = "train.balance"


def balanced(tree: Tree) -> Iterator[Problem]:
    """What `train.balance` needs is there, and nothing that leaves it without."""
    found = tree["train"].get("balance", "none")
    if found == "none":
        return
    why, near = _lacks(tree)
    if why:
        yield Problem(KEY, found, why, near or f"{KEY}=none")


def _lacks(tree: Tree) -> tuple[str, str]:
    """What is missing, and the nearest way to have it; "" where nothing is."""
    there, train = list(streams(tree)), tree["train"]
    alone = [name for name in there if name not in (tree.get("backbones") or {})]
    if len(there) < 2:
        return f"balances the encoders of two streams or more, and the modality has {', '.join(there)} alone", ""
    if len(alone) > 1 and asks(target(tree["backbone"]), "streams"):
        shared = file_of(tree["backbone"])
        return f"needs an encoder for each stream, and backbone={shared} is one for all", "backbone=image"
    if target(tree.get("cache") or {}):
        return "changes the gradients of encoders, and those that cache=features keeps have none", "cache=none"
    if train.get("micro_batch") is not None:
        return "sees the features of whole batches; expected train.micro_batch=null", "train.micro_batch=null"
    if train.get("shard") is True:
        return "changes whole gradients, and train.shard=true cuts them", "train.shard=false"
    if "streams" in fact(target(tree["fusion"]), "acts_on", ()):
        fusion = file_of(tree["fusion"])
        return f"asks the fusion about each stream alone, and fusion={fusion} changes the streams", "fusion=concat"
    telling = {name: node for name, node in heads(tree).items() if asks(target(node), "classes")}
    if not telling:
        return "needs a class of each stream alone, and no head tells a class", "head=classifier, head=late_fusion"
    name, node = next(iter(telling.items()))
    if of_head(node, "takes") != "streams" and node.get("input") in there:
        return f"needs a class of each stream alone, and head {name} reads {node['input']} alone", ""
    return "", ""


BALANCE_RULES = (balanced,)
