"""Rules of the run: monitored score, objective, device, split fractions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace

from multimodal_lab.config.annotations import is_number, is_whole
from multimodal_lab.config.facts import constant, fact
from multimodal_lab.config.problem import Problem, is_target, not_one_of
from multimodal_lab.config.rules.wiring import Tree, emitted, file_of, losses, of_loss, scored, target, targets, told
from multimodal_lab.metric import direction
from multimodal_lab.metric.direction import Scored
from multimodal_lab.text import nearest

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
SPLITS = ("train", "val", "test")
SIDES = re.compile(r"->|-")


def monitor(tree: Tree) -> Iterator[Problem]:
    """Early stopping watches a score that the validation pass gives, and there is such a pass."""
    train = tree["train"]
    name, patience, every = train.get("monitor"), train.get("patience"), train.get("validate_every")
    if patience is not None and name is None:
        yield Problem(
            "train.monitor", None, "train.patience needs a score to watch, such as val/total", "train.monitor=val/total"
        )
    if name is not None and every == 0 and not isinstance(every, bool):
        expects = f"never looks at the validation split, and train.monitor={name} is to be watched there; expected >= 1"
        yield Problem("train.validate_every", every, expects, "train.validate_every=1")
    if isinstance(name, str):
        first, _, rest = name.partition("/")
        dumb = [
            e
            for e, node in (tree.get("evaluate") or {}).items()
            if fact(target(node), "reads") == "heads" and not told(tree)
        ]
        terms = [*_terms(tree), *(e for e in tree.get("evaluate") or {} if e not in dumb)]
        if first != "val" or rest.split("/")[0] not in terms:
            near = f"train.monitor=val/{nearest(rest.split('/')[0] or first, terms)[0]}"
            yield Problem("train.monitor", name, f"expected val/NAME, NAME one of {', '.join(terms)}", near)
        else:
            found = list(_watched(tree, rest.split("/")))
            yield from found or _mode(name, train.get("mode", "auto"), tree)


def _watched(tree: Tree, words: list[str]) -> Iterator[Problem]:
    evaluator = next((e for e in scored(tree) if e.name == words[0]), None)
    if evaluator is not None:
        yield from _of_evaluator(tree, "train.monitor", ["val", evaluator.name], evaluator, words[1:])
    elif words[0] in _terms(tree) and len(words) > 1:
        near = f"train.monitor=val/{words[0]}"
        yield Problem(
            "train.monitor", "/".join(["val", *words]), f"expected val/{words[0]}: a loss is one number", near
        )


def _mode(name: str, mode: object, tree: Tree) -> Iterator[Problem]:
    usual = direction.usual(name, scored(tree), _terms(tree))
    if mode == "auto" and usual is None:
        yield Problem(
            "train.mode", mode, f"whether more or less {name} is better is not known", "train.mode=max, or min"
        )
    elif mode in ("min", "max") and usual not in (mode, None) and direction.sure(name, scored(tree)):
        expects = f"keeps the worst: {'less' if usual == 'min' else 'more'} {name} is better"
        yield Problem("train.mode", mode, expects, f"train.mode={usual}")


def _terms(tree: Tree) -> list[str]:
    """The names of the loss terms, as a validation pass gives them."""
    names = ["total", *(k.rpartition(".")[2] for k in losses(tree))]
    names += [file_of(n["fn"]) for n in losses(tree).values() if is_target(n.get("fn"))]
    names += [part for n in losses(tree).values() for part in of_loss(n, "terms", ())]
    return [*names, *(n["name"] for n in losses(tree).values() if isinstance(n.get("name"), str))]


def score(tree: Tree) -> Iterator[Problem]:
    """The number that a sweeper reads is one that the run will have, as far as evaluators state theirs."""
    name, every = tree.get("objective"), scored(tree)
    if not isinstance(name, str):
        return
    eval_split = str(tree.get("eval_split", "test"))
    if eval_split == "val" and name.count("/") > 1:
        if not name.startswith("val/"):
            expects = "the run is scored on the validation split (eval_split=val), whose scores begin with val/"
            yield Problem("objective", name, expects, f"objective=val/{name}")
            return
        inner = score({**tree, "objective": name.removeprefix("val/"), "eval_split": "test"})
        yield from (replace(p, found=name, near=p.near.replace("objective=", "objective=val/")) for p in inner)
        return
    first, *rest = name.split("/")
    also = {word for e in every for word in e.also}
    others = {
        "cost": constant("multimodal_lab.runs.provenance", "COSTS"),
        "data": SPLITS,
        "provenance": ("seed",),
        eval_split: tuple(dict.fromkeys(_terms(tree))),
        **dict.fromkeys(sorted(also), tuple(targets(tree))),
    }
    firsts = [*sorted(e.name for e in every), *others]
    if evaluator := next((e for e in every if e.name == first), None):
        yield from _of_evaluator(tree, "objective", [first], evaluator, rest)
    elif first not in firsts:
        if all(e.scores is not None for e in every):
            near = nearest(first, firsts)[0]
            yield Problem(
                "objective",
                name,
                f"expected NAME/…, NAME one of {', '.join(firsts)}",
                _typed("objective", [near], rest),
            )
    elif len(rest) != 1 or not rest[0]:
        yield Problem("objective", name, f"expected {first}/NAME", _typed("objective", [first], []))
    elif others[first] and rest[0] not in others[first]:
        yield not_one_of("objective", name, [f"{first}/{one}" for one in others[first]])


def _of_evaluator(tree: Tree, key: str, before: list[str], evaluator: Scored, rest: list[str]) -> Iterator[Problem]:
    """What is wrong with the words of a key that stand behind the evaluator's name, as far as it states its scores."""
    if evaluator.scores is None or evaluator.by is None or "skipped" in rest:
        return
    lengths, shape = {
        "label": ({3}, "NAME/LABEL/SCORE"), "pair": ({2, 3}, "PAIR/SCORE"), "name": ({2}, "NAME/SCORE"),
    }[str(evaluator.by)]  # fmt: skip
    own = [*told(tree)] if evaluator.reads == "heads" else emitted(tree)
    name, names, labels = "/".join([*before, *rest]), [*own, *evaluator.adds], targets(tree)
    scores = [*(evaluator.scores), *constant("multimodal_lab.evaluate.tasks", "COUNTS")]
    if len(rest) not in lengths or not all(rest):
        yield Problem(key, name, f"expected {'/'.join(before)}/{shape}", _typed(key, before, []))
    elif own and (wrong := [side for side in _sides(rest[0]) if side.partition("@")[0] not in names]):
        near = rest[0].replace(wrong[0], nearest(wrong[0], names)[0])
        expects = f"there is no {wrong[0]} here; expected one of {', '.join(names)}"
        yield Problem(key, name, expects, _typed(key, before, [near, *rest[1:]]))
    elif len(rest) == 3 and labels and rest[1] not in labels:
        near = nearest(rest[1], labels)[0]
        expects = f"there is no label {rest[1]}; expected one of {', '.join(labels)}"
        yield Problem(key, name, expects, _typed(key, before, [rest[0], near, rest[2]]))
    elif evaluator.word(rest[-1]) is None and rest[-1] not in scores:
        near = nearest(rest[-1], scores)[0]
        expects = f"{evaluator.name} gives no {rest[-1]}; it has {', '.join(sorted(scores))}"
        yield Problem(key, name, expects, _typed(key, before, [*rest[:-1], near]))


def _sides(name: str) -> list[str]:
    """The streams of `rgb->uv` or `rgb-uv`; [] for a name in another form, as an evaluator of one's own may have."""
    found = SIDES.split(name)
    return found if len(found) < 3 and all(re.fullmatch(r"\w+(@.*)?", side) for side in found) else []


def _typed(key: str, before: list[str], rest: list[str]) -> str:
    return f"{key}={'/'.join([*before, *(rest or ['…'])])}"


def device(tree: Tree) -> Iterator[Problem]:
    """A device is one that this project computes on; whether this machine has it is reported when the run begins."""
    found = tree.get("device", "auto")
    if isinstance(found, str) and not DEVICE.fullmatch(found):
        kind, _, number = found.partition(":")
        gpu = kind.lower() in {"gpu", "nvidia"} or nearest(kind, ["auto", "cpu", "cuda"])[0] == "cuda"
        near = f"cuda:{number}" if gpu and number.isdigit() else "cuda" if gpu else nearest(kind, ["auto", "cpu"])[0]
        yield Problem("device", found, "expected auto, cpu, cuda or cuda:N, N the number of a GPU", f"device={near}")


def shares(tree: Tree) -> Iterator[Problem]:
    """The shares of a split add up to 1, and train has one (`Split` says the same)."""
    node = tree["data"].get("split")
    if not is_target(node) or target(node) != "multimodal_lab.data.split.split.Split":
        return
    train, val, test = (node.get(k, v) for k, v in (("train", 0.7), ("val", 0.1), ("test", 0.2)))
    if not all(map(is_number, (train, val, test))):
        return
    if node.get("column") is None and abs(train + val + test - 1) > 1e-6:
        rest = round(1 - val - test, 6)
        near = f"data.split.train={rest:g}" if rest > 0 else ""
        yield Problem("data.split", f"{train} + {val} + {test}", "train, val and test must add up to 1", near)
    elif train == 0:
        yield Problem("data.split.train", train, "leaves nothing to train on", "data.split.train=0.7")


def workers(tree: Tree) -> Iterator[Problem]:
    """Loading takes no more processes than this machine can make use of."""
    found, most = tree["data"].get("workers"), 4 * (os.cpu_count() or 1)
    if is_whole(found) and found > most:
        expects = f"expected 0 to {most}, four for each of this machine's {most // 4} cores"
        yield Problem("data.workers", found, expects, f"data.workers={most // 4}")


RUN_RULES = (monitor, score, device, shares, workers)
