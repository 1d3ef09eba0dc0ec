"""Rule against unused parts: every composed stream and head must be read by a head or a loss."""

from __future__ import annotations

from collections.abc import Iterator

from multimodal_lab.config.facts import fact
from multimodal_lab.config.problem import Problem, Unknown, is_target, join
from multimodal_lab.config.rules.cache import adapted, can_freeze, frozen, reads_all
from multimodal_lab.config.rules.heads import reads_heads
from multimodal_lab.config.rules.losses import annotation, is_path, otherwise
from multimodal_lab.config.rules.pairs import uncompared
from multimodal_lab.config.rules.wiring import (
    Tree,
    backbones,
    emits,
    emitted,
    file_of,
    heads,
    key_of,
    losses,
    of_head,
    of_loss,
    streams,
    target,
)
from multimodal_lab.config.suggest import choices, one

SYSTEM = "multimodal_lab.system.System"


def pairs(tree: Tree) -> Iterator[Problem]:
    """A loss that compares streams has two or more of them."""
    if len(there := list(streams(tree))) != 1:
        return
    for key, node in losses(tree).items():
        if of_loss(node, "pairs", False):
            near = otherwise(key, node, "pairs", lambda pairs: not pairs)
            what = "compares two streams as it is set" if near else "compares two streams"
            expects = f"{what}, and the modality has one, {there[0]}"
            near = near or ([f"{key}={name}" for name in _of_one_stream()] if key == "loss" else [f"~{key}"])
            yield Problem(key, file_of(node["fn"]), expects, ", ".join(near))


def _of_one_stream() -> list[str]:
    """The losses that contrast views of a sample."""
    return choices("loss", lambda n: of_loss(n, "views", 1) > 1 and not of_loss(n, "joins", of_loss(n, "pairs", False)))


def whole_or_one(tree: Tree) -> Iterator[Problem]:
    """A loss of all names is given all of them, and not one; a loss of one tensor not all of them."""
    for key, node in losses(tree).items():
        for argument, path in node.items():
            wants = annotation(target(node.get("fn") or {}), argument) if is_path(path) else ""
            first, *rest = str(path).split(".")
            head = heads(tree).get(rest[0]) if first == "out" and rest else None
            if not (first in {"features", "present"} or (head and of_head(head, "by_name"))):
                continue
            whole = not (rest[1:] if head else rest)
            if wants.startswith("Mapping[") and not whole and _by_name(tree):
                near = f"{join(key, argument)}={'.'.join([first, *rest[:1]]) if head else first}"
                yield Problem(join(key, argument), path, "is of one name; this loss compares several", near)
            elif wants == "Tensor" and whole and emitted(tree):
                near = f"{join(key, argument)}={path}.{emitted(tree)[0]}"
                yield Problem(join(key, argument), path, "is of several names; this loss takes one", near)


def unread(tree: Tree) -> Iterator[Problem]:
    """Heads are read by losses; `fused` and every stream that is trained by a head or a loss."""
    if target(tree["system"]) != SYSTEM or any(pairs(tree)) or any(whole_or_one(tree)):
        return
    if not _stated(tree):
        return  # what these read is not known here
    idle = [name for name in heads(tree) if not _readers(tree, name) and not _frozen(tree, f"heads.{name}")]
    for name in idle:
        key = key_of(tree, name)
        yield Problem(key, file_of(heads(tree)[name]), "no loss reads what this head says", _reader(key, name))
    if not idle:
        yield from _names(tree)


def _stated(tree: Tree) -> bool:
    """Whether every head states what it takes and gives, and the fusion what it adds and acts on."""
    of_heads = [of_head(node, name) for node in heads(tree).values() for name in ("takes", "by_name")]
    return None not in (*of_heads, emits(tree), _acts_on(tree))


def _acts_on(tree: Tree) -> list[str] | None:
    found: list[str] | None = fact(target(tree["fusion"]), "acts_on")
    return found


def _names(tree: Tree) -> Iterator[Problem]:
    terms = list(losses(tree).values())
    read = {name for node in terms for name in _read_by(tree, node, list(heads(tree))) | _read_itself(tree, node)}
    idle = {name for head in _projections(tree) for name in _unprojected(tree, head)}
    kept = "fused" not in (_acts_on(tree) or ()) or _frozen(tree, "fusion")
    if "fused" in emitted(tree) and ("fused" in idle or ("fused" not in read and not kept)):
        what = "the projection of the fused" if "fused" in read else "the fused"
        near = f"loss={_that_reads_fused()}" if "fused" in read else _reads_fused(tree)
        yield Problem("fusion", file_of(tree["fusion"]), f"nothing reads {what} that it makes ({_of(tree)})", near)
        return
    fed = {*streams(tree)} if "fused" in read else read
    for name in streams(tree):
        if name in idle or (name not in fed and _trains(tree, name)):
            yield Problem(f"modality.{name}", name, f"nothing reads this stream ({_of(tree)})", f"~modality.{name}")


def _by_name(tree: Tree) -> bool:
    """Whether any head says something of each name."""
    return any(of_head(node, "by_name") for node in heads(tree).values())


def _projections(tree: Tree) -> list[str]:
    """The heads that train weights of each name's own, and that a loss reads."""
    found = [n for n, node in heads(tree).items() if of_head(node, "by_name") and of_head(node, "own_weights")]
    return [n for n in found if not _frozen(tree, f"heads.{n}") and _terms(tree, n)]


def _unprojected(tree: Tree, head: str) -> set[str]:
    """The names whose projection by `head` no loss reads."""
    return {*emitted(tree)} - {name for node in losses(tree).values() for name in _read_by(tree, node, [head])}


def _read_by(tree: Tree, node: Tree, through: list[str]) -> set[str]:
    """The names that one loss reads through these heads."""
    found: set[str] = set()
    for first, *rest in (path.split(".") for path in _paths(node)):
        for name in through if first == "out" else ():
            head = heads(tree)[name]
            if rest and rest[0] != name:
                continue
            if not of_head(head, "by_name"):
                found |= _read_by_head(tree, head)
            elif rest[1:]:
                found.add(rest[1])
            else:
                found |= {*emitted(tree)} - {*of_loss(node, "leaves_out", ())} - uncompared(tree, node)
    return found


def _read_itself(tree: Tree, node: Tree) -> set[str]:
    """The names whose features one loss reads without a head."""
    found = [path.split(".")[1:] for path in _paths(node) if path.split(".")[0] == "features"]
    return {name for rest in found for name in (rest[:1] or emitted(tree))}


def _read_by_head(tree: Tree, node: Tree) -> set[str]:
    reads, names = node.get("input"), emitted(tree)
    match of_head(node, "takes", "all"):
        case "fused" | "first" | "streams" if isinstance(reads, str):
            return {reads}
        case "streams":
            return set(streams(tree))
        case "fused":
            return {"fused" if "fused" in names else names[0]}
        case "first":
            return {names[0]}
    return set(names)


def _readers(tree: Tree, head: str) -> list[str]:
    """The losses that read a head, and the later heads that name it."""
    return [*_terms(tree, head), *(n for n, node in heads(tree).items() if head in reads_heads(node).values())]


def _terms(tree: Tree, head: str) -> list[str]:
    """The losses that read a head: those whose paths lead to it, and those whose paths are not known here."""
    return [key for key, node in losses(tree).items()
            if any(path == "out" or path.split(".")[:2] == ["out", head] for path in _paths(node))
            or any(isinstance(v, Unknown) for v in node.values())]  # fmt: skip


def _paths(node: Tree) -> list[str]:
    return [v for k, v in node.items() if k not in {"_target_", "name", "fn"} and isinstance(v, str) and is_path(v)]


def _frozen(tree: Tree, module: str) -> bool:
    modules = frozen(tree)
    return modules is None or any(module == m or module.startswith(f"{m}.") for m in modules)


def _trains(tree: Tree, stream: str) -> bool:
    """Whether a stream has a backbone of its own with something in it to train."""
    node = backbones(tree)[stream]
    return not reads_all(node) and can_freeze(node) and node.get("freeze") is not True and not adapted(tree, stream)


def _of(tree: Tree) -> str:
    named = [
        f"{key}={target(node['fn']).rpartition('.')[2]}"
        for key, node in losses(tree).items()
        if is_target(node.get("fn"))
    ]
    return ", ".join([f"head={file_of(tree['head'])}", *named])


def _reads_fused(tree: Tree) -> str:
    """The nearest way to have fused read, or not made."""
    if of_head(tree["head"], "takes") == "fused":
        return "head.input=fused"
    return f"fusion={one('fusion', lambda node: 'fused' not in fact(target(node), 'emits', ['fused']))}"


def _that_reads_fused() -> str:
    """A loss of several names that leaves none out."""
    return one("loss", lambda node: of_loss(node, "joins", False) and not of_loss(node, "leaves_out", ()))


def _reader(key: str, name: str) -> str:
    """The nearest way to have a head read."""
    return f"~{key}, or a loss with a path out.{name}" if key != "head" else f"a loss with a path out.{name}"


USE_RULES = (pairs, whole_or_one, unread)
