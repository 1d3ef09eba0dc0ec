"""Everything composed is read: what no head and no loss reads would be refused by the first step, with the data prepared."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from multimodal_lab.cache_rules import adapted, reads_all
from multimodal_lab.loss_rules import is_path
from multimodal_lab.problem import Problem, Unknown, is_number, is_target, join
from multimodal_lab.signature import SourceError, call_signature
from multimodal_lab.wiring import PAIRS, Tree, emitted, file_of, heads, losses, streams, target

OURS = "multimodal_lab."
SYSTEM = f"{OURS}system.System"


def pairs(tree: Tree) -> Iterator[Problem]:
    """A loss that compares streams has two or more of them."""
    if len(there := list(streams(tree))) != 1:
        return
    for key, node in losses(tree).items():
        fn, name = node.get("fn") or {}, file_of(node.get("fn") or {})
        between = fn.get("between", "views")
        if name in PAIRS:
            expects = f"compares two streams, and the modality has one, {there[0]}"
            near = f"{key}=simclr" if key == "loss" else f"~{key}"
            yield Problem(key, name, expects, near)
        elif name in {"vicreg", "barlow_twins"} and between in ("modalities", "both"):
            expects = f"compares two streams, and the modality has one, {there[0]}"
            yield Problem(f"{key}.fn.between", between, expects, f"{key}.fn.between=views")
        elif name == "cross_modal" and is_number(node.get("intra_weight")) and node["intra_weight"] == 0:
            expects = f"leaves nothing to train on: there is one stream, {there[0]}, and no two to compare"
            yield Problem(f"{key}.intra_weight", 0, expects, f"{key}.intra_weight=1")


def whole_or_one(tree: Tree) -> Iterator[Problem]:
    """A loss of all names is given all of them, and not one; a loss of one tensor not all of them."""
    for key, node in losses(tree).items():
        for argument, path in node.items():
            wants = _annotation(target(node.get("fn") or {}), argument) if is_path(path) else ""
            first, *rest = str(path).split(".")
            whole = not rest or (first == "out" and rest == ["projection"])
            if not (first in {"features", "present"} or (first == "out" and rest[:1] == ["projection"])):
                continue
            if wants.startswith("Mapping[") and not whole and "projection" in heads(tree):
                near = f"{join(key, argument)}={'out.projection' if first == 'out' else first}"
                yield Problem(join(key, argument), path, "is of one name; this loss compares several", near)
            elif wants == "Tensor" and whole:
                near = f"{join(key, argument)}={path}.{emitted(tree)[0]}"
                yield Problem(join(key, argument), path, "is of several names; this loss takes one", near)


def unread(tree: Tree) -> Iterator[Problem]:
    """Heads are read by losses; `fused` and every stream that is trained by a head or a loss."""
    if target(tree["system"]) != SYSTEM or any(pairs(tree)) or any(whole_or_one(tree)):
        return
    if not all(target(n).startswith(OURS) for n in [*heads(tree).values(), tree["fusion"]]):
        return  # what these read is not known here
    idle = [name for name in heads(tree) if not _readers(tree, name) and not _frozen(tree, f"heads.{name}")]
    for name in idle:
        key = "head" if heads(tree)[name] is tree["head"] else f"heads.{name}"
        yield Problem(key, file_of(heads(tree)[name]), "no loss reads what this head says", _reader(key, name))
    if not idle:
        yield from _names(tree)


def _names(tree: Tree) -> Iterator[Problem]:
    terms = list(losses(tree).values())
    read = {name for node in terms for name in _read_by(tree, node, list(heads(tree))) | _read_itself(tree, node)}
    idle = {name for head in _projections(tree) for name in _unprojected(tree, head)}
    marks = file_of(tree["fusion"]) == "modality_tokens"  # its parameters change the streams; `fused` is their mean
    kept = marks or _frozen(tree, "fusion")
    if "fused" in emitted(tree) and ("fused" in idle or ("fused" not in read and not kept)):
        what = "the projection of the fused" if "fused" in read else "the fused"
        near = "loss=cross_modal" if "fused" in read else _reads_fused(tree)
        yield Problem("fusion", file_of(tree["fusion"]), f"nothing reads {what} that it makes ({_of(tree)})", near)
        return
    fed = {*streams(tree)} if "fused" in read else read
    for name in streams(tree):
        if name in idle or (name not in fed and _trains(tree, name)):
            yield Problem(f"modality.{name}", name, f"nothing reads this stream ({_of(tree)})", f"~modality.{name}")


def _projections(tree: Tree) -> list[str]:
    """The projection heads that train an MLP for each name."""
    found = {n: node for n, node in heads(tree).items() if file_of(node) == "projection"}
    return [n for n, node in found.items() if node.get("shared") is not True and not _frozen(tree, f"heads.{n}")]


def _unprojected(tree: Tree, head: str) -> set[str]:
    """The names whose projection by `head` no loss reads."""
    return {*emitted(tree)} - {name for node in losses(tree).values() for name in _read_by(tree, node, [head])}


def _read_by(tree: Tree, node: Tree, through: list[str]) -> set[str]:
    """The names that one loss reads through these heads."""
    found: set[str] = set()
    fn = node.get("fn") or {}
    alone = file_of(fn) in PAIRS or (fn.get("between") == "modalities" and target(fn).startswith(OURS))
    for first, *rest in (path.split(".") for path in _paths(node)):
        for name in through if first == "out" else ():
            head = heads(tree)[name]
            if rest and rest[0] != name:
                continue
            if file_of(head) != "projection":
                found |= _read_by_head(tree, head)
            elif rest[1:]:
                found.add(rest[1])
            else:
                found |= {*emitted(tree)} - ({"fused"} if alone else set())
    return found


def _read_itself(tree: Tree, node: Tree) -> set[str]:
    """The names whose features one loss reads without a head."""
    found = [path.split(".")[1:] for path in _paths(node) if path.split(".")[0] == "features"]
    return {name for rest in found for name in (rest[:1] or emitted(tree))}


def _read_by_head(tree: Tree, node: Tree) -> set[str]:
    reads = node.get("reads")
    match file_of(node):
        case "decision":
            return set(streams(tree))
        case "classifier":
            return {reads} if isinstance(reads, str) else {"fused" if "fused" in emitted(tree) else emitted(tree)[0]}
        case "caption_lstm":
            return {reads if isinstance(reads, str) else emitted(tree)[0]}
    return set(emitted(tree))


def _readers(tree: Tree, head: str) -> list[str]:
    """The losses that read a head: those whose paths lead to it, and those whose paths are not known here."""
    return [key for key, node in losses(tree).items()
            if any(path == "out" or path.split(".")[:2] == ["out", head] for path in _paths(node))
            or any(isinstance(v, Unknown) for v in node.values())]  # fmt: skip


def _paths(node: Tree) -> list[str]:
    return [v for k, v in node.items() if k not in {"_target_", "name", "fn"} and isinstance(v, str) and is_path(v)]


def _annotation(fn: str, argument: str) -> str:
    """The annotation of an argument of one of our losses, "" where not known."""
    try:
        takes = call_signature(fn) if fn.startswith(OURS) else None
    except SourceError:
        return ""
    found = takes.parameters.get(argument) if takes else None
    return "" if found is None or found.annotation is None else ast.unparse(found.annotation)


def _frozen(tree: Tree, module: str) -> bool:
    modules = (tree.get("adapt") or {}).get("modules")
    frozen = modules if isinstance(modules, list) else []
    return any(module == m or module.startswith(f"{m}.") for m in frozen)


def _trains(tree: Tree, stream: str) -> bool:
    """Whether a stream has a backbone of its own with something in it to train."""
    own = (tree.get("backbones") or {}).get(stream)
    node = tree["backbone"] if own is None else own
    if reads_all(node) or not target(node).startswith(OURS):
        return False
    return node.get("freeze") is not True and not adapted(tree, stream)


def _of(tree: Tree) -> str:
    named = [
        f"{key}={target(node['fn']).rpartition('.')[2]}"
        for key, node in losses(tree).items()
        if is_target(node.get("fn"))
    ]
    return ", ".join([f"head={file_of(tree['head'])}", *named])


def _reads_fused(tree: Tree) -> str:
    """The nearest way to have fused read, or not made."""
    if file_of(tree["head"]) == "classifier":
        return "head.reads=fused"
    return "fusion=separate"


def _reader(key: str, name: str) -> str:
    """The nearest way to have a head read."""
    return f"~{key}, or a loss with a path out.{name}" if key != "head" else f"a loss with a path out.{name}"


USE_RULES = (pairs, whole_or_one, unread)
