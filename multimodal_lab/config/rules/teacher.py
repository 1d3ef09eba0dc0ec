"""Rules of the EMA teacher: a loss that hears it has one, and nothing else of the run takes it away."""

from __future__ import annotations

from collections.abc import Iterator

from multimodal_lab.config.problem import Problem, join
from multimodal_lab.config.rules.wiring import Tree, losses, target

KEY = "system.teacher_momentum"


def teacher(tree: Tree) -> Iterator[Problem]:
    """Losses that read `teacher.HEAD` need a teacher, and a teacher needs one of them."""
    momentum = tree["system"].get("teacher_momentum")
    heard = {
        join(key, argument): path
        for key, node in losses(tree).items()
        for argument, path in node.items()
        if isinstance(path, str) and path.split(".")[0] == "teacher"
    }
    if momentum is None:
        for key, path in heard.items():
            yield Problem(key, path, f"hears a teacher, and {KEY} is null", f"{KEY}=0.995")
        return
    if not heard:
        yield Problem(
            KEY, momentum, "no loss hears the teacher, at a path such as teacher.projection", f"{KEY}=null, loss=moco"
        )
        return
    yield from _without(tree)


def _without(tree: Tree) -> Iterator[Problem]:
    """What a run with a teacher can't do."""
    if tree["train"].get("shard") is True:
        expects = f"cuts the weights, and the teacher ({KEY}) follows whole ones"
        yield Problem("train.shard", True, expects, "train.shard=false")
    if tree["train"].get("save") == "trained":
        expects = f"leaves out the weights without a gradient, and those of the teacher ({KEY}) move all the same"
        yield Problem("train.save", "trained", expects, "train.save=all")
    if target(tree.get("cache") or {}):
        expects = f"leaves the teacher ({KEY}) without the inputs that it reads"
        yield Problem("cache", target(tree["cache"]).split(".")[-2], expects, "cache=none")


TEACHER_RULES = (teacher,)
