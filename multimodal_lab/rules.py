"""Combinations that no single node can judge: what a head or a loss reads must be what another stage gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from multimodal_lab.expect import Problem, is_number, is_target, join
from multimodal_lab.targets import conf_dir, nearest

KINDS = {"text": "text", "vector": "vector", "spectral": "vector"}  # any other backbone: image
TWO_VIEWS = {"simclr", "dcl"}  # and vicreg, barlow_twins and cross_modal as they are set
SEPARATE = "fusion.separate.Separate"
PARTS = ["backbones", "fusion", "heads", "losses", "normalise"]  # of a System, as parameters are named
Tree = dict[str, Any]


def rule_problems(tree: Tree) -> list[Problem]:
    """Every combination of a well-typed config that can't run."""
    return [problem for rule in RULES for problem in rule(tree)]


def streams(tree: Tree) -> dict[str, str]:
    """{name: kind} of the modality's input streams."""
    return {n: s.get("kind", "image") for n, s in tree["modality"].items() if s.get("role", "input") != "target"}


def emitted(tree: Tree) -> list[str]:
    """The names that the fusion gives: the streams, and `fused` unless it keeps them separate."""
    return [*streams(tree), *([] if _target(tree["fusion"]).endswith(SEPARATE) else ["fused"])]


def heads(tree: Tree) -> dict[str, Tree]:
    """{name: node} of all heads: the main one by its file name."""
    return {file_of(tree["head"]): tree["head"], **tree.get("heads", {})}


def losses(tree: Tree) -> dict[str, Tree]:
    """{key path: node} of all loss terms."""
    return {"loss": tree["loss"], **{f"losses.{k}": v for k, v in tree.get("losses", {}).items()}}


def file_of(node: Tree) -> str:
    """The file that defines a node's target: `projection`."""
    return _target(node).split(".")[-2] if "." in _target(node) else ""


def some_input(tree: Tree) -> Iterator[Problem]:
    """A modality has at least one input stream."""
    if not streams(tree):
        yield Problem(
            "modality", ", ".join(tree["modality"]) or None, "expected at least one input stream, such as modality=rgb"
        )


def stream_names(tree: Tree) -> Iterator[Problem]:
    """Streams are named as paths can name them, and `fused` is taken."""
    for name in tree["modality"]:
        if name == "fused" or not str(name).isidentifier():
            yield Problem(f"modality.{name}", name, "a stream needs a name of letters, digits and _, and not `fused`")


def own_backbones(tree: Tree) -> Iterator[Problem]:
    """`backbones.<stream>` names a stream."""
    yield from (
        p for name in tree.get("backbones", {}) for p in _one_of(f"backbones.{name}", name, list(streams(tree)))
    )


def backbone_kinds(tree: Tree) -> Iterator[Problem]:
    """A backbone meets only streams of the kind it takes."""
    own = tree.get("backbones", {})
    for name, kind in streams(tree).items():
        node, key = (own[name], f"backbones.{name}") if name in own else (tree["backbone"], "backbone")
        takes = KINDS.get(file_of(node), "image")
        if takes != kind:
            choice = {"text": "text", "vector": "vector"}.get(kind, "convnet")
            near = f"+backbone@backbones.{name}={choice}" if len(streams(tree)) > 1 else f"backbone={choice}"
            yield Problem(key, file_of(node), f"takes {takes} streams, but modality.{name} is of kind {kind}", near)


def head_reads(tree: Tree) -> Iterator[Problem]:
    """What a head reads is what the fusion gives."""
    for name, node in heads(tree).items():
        key = "head" if node is tree["head"] else f"heads.{name}"
        reads = node.get("reads")
        if isinstance(reads, str):
            yield from _one_of(f"{key}.reads", reads, emitted(tree))
        elif file_of(node) == "classifier" and len(streams(tree)) > 1 and "fused" not in emitted(tree):
            choices = ", ".join([*(f"{key}.reads={s}" for s in streams(tree)), "head=decision", "fusion=concat"])
            expects = f"reads fused, which fusion=separate does not give; choose {choices}"
            yield Problem(f"{key}.reads", None, expects, "fusion=attention")


def head_targets(tree: Tree) -> Iterator[Problem]:
    """A head's `label` is a label of the data; its `target` a label or a stream of role target."""
    for name, node in heads(tree).items():
        key = "head" if node is tree["head"] else f"heads.{name}"
        for argument in ("label", "target"):
            if isinstance(node.get(argument), str):
                yield from _one_of(f"{key}.{argument}", node[argument], _targets(tree))


def label(tree: Tree) -> Iterator[Problem]:
    """`label` is a label of the data."""
    if isinstance(tree.get("label"), str):
        yield from _one_of("label", tree["label"], _labels(tree))


def loss_paths(tree: Tree) -> Iterator[Problem]:
    """Every path of a loss leads to what a stage gives."""
    for key, node in losses(tree).items():
        for argument, path in node.items():
            if argument not in {"_target_", "name", "fn"} and isinstance(path, str):
                yield from _path(tree, join(key, argument), path)


def _path(tree: Tree, key: str, path: str) -> Iterator[Problem]:
    first, *rest = path.split(".")
    roots = ["batch", "features", "out", "present", "progress"]
    if first not in roots:
        yield Problem(
            key, path, f"expected a path that starts with {', '.join(roots)}", f"{key}={nearest(first, roots)[0]}"
        )
        return
    choices: list[str] = []
    prefix = first
    match first, rest:
        case "out", ["projection", _, *_] if "projection" in heads(tree):
            choices, prefix, rest = emitted(tree), "out.projection", rest[1:]
        case "out", [_, *_]:
            choices = list(heads(tree))
        case "features" | "present", [_, *_]:
            choices = emitted(tree)
        case "batch", ["targets", _, *_]:
            choices, prefix, rest = _targets(tree), "batch.targets", rest[1:]
        case "batch", ["inputs" | "present" as part, _, *_]:
            choices, prefix, rest = list(streams(tree)), f"batch.{part}", rest[1:]
        case "batch", [_, *_]:
            choices = ["inputs", "targets", "present", "ids", "groups", "mask"]
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


def names_clash(tree: Tree) -> Iterator[Problem]:
    """An extra head or loss does not take the main one's name, which would replace it in silence."""
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
    """A contrast within a stream needs two views of each sample."""
    if (tree.get("augment") or {}).get("views", 1) != 1:
        return
    for key, node in losses(tree).items():
        fn = node.get("fn", {})
        intra = node.get("intra_weight", 0)
        within = file_of(fn) in TWO_VIEWS or fn.get("between", "modalities") != "modalities"
        if within:
            yield Problem(
                "augment.views",
                1,
                f"{key}={file_of(fn)} contrasts two views of a sample; expected 2",
                "augment.views=2",
            )
        elif is_target(intra) or (is_number(intra) and intra > 0):
            expects = (
                f"{key}.intra_weight > 0 contrasts two views of a sample; expected 2 views, or {key}.intra_weight=0"
            )
            yield Problem("augment.views", 1, expects, "augment.views=2")


def augmented(tree: Tree) -> Iterator[Problem]:
    """An op is limited to streams of the modality."""
    for name, op in ((tree.get("augment") or {}).get("ops") or {}).items():
        for stream in (op.get("streams") or []) if isinstance(op, dict) else ():
            yield from _one_of(f"augment.ops.{name}.streams", stream, list(streams(tree)))


def heads_divide_width(tree: Tree) -> Iterator[Problem]:
    """Attention splits its width among its heads."""
    nodes = {"fusion": tree["fusion"], "backbone": tree["backbone"]}
    nodes |= {f"backbones.{k}": v for k, v in tree.get("backbones", {}).items()}
    for key, node in nodes.items():
        width, count = node.get("width"), node.get("heads")
        if isinstance(width, int) and isinstance(count, int) and width % count:
            divisors = [d for d in range(1, width + 1) if width % d == 0]
            near = min(divisors, key=lambda d: abs(d - count))
            yield Problem(f"{key}.heads", count, f"does not divide {key}.width={width}", f"{key}.heads={near}")


def rates(tree: Tree) -> Iterator[Problem]:
    """A learning rate of its own is for a part of the system."""
    for name in tree["optim"].get("rates") or {}:
        yield from _one_of(f"optim.rates.{name}", str(name).split(".")[0], PARTS)


def adapted(tree: Tree) -> Iterator[Problem]:
    """What `adapt` changes is a part of the system."""
    modules = (tree.get("adapt") or {}).get("modules")
    for name in modules if isinstance(modules, list) else ():
        yield from _one_of("adapt.modules", str(name).split(".")[0], PARTS)


def monitor(tree: Tree) -> Iterator[Problem]:
    """Early stopping watches a score that the validation pass gives."""
    name, patience = tree["train"].get("monitor"), tree["train"].get("patience")
    if patience is not None and name is None:
        yield Problem(
            "train.monitor", None, "train.patience needs a score to watch, such as val/total", "train.monitor=val/total"
        )
    if isinstance(name, str):
        first, _, rest = name.partition("/")
        terms = ["total", *(k.rpartition(".")[2] for k in losses(tree)), *(tree.get("evaluate") or {})]
        terms += [file_of(n["fn"]) for n in losses(tree).values() if is_target(n.get("fn"))]
        if first != "val" or rest.split("/")[0] not in terms:
            near = f"train.monitor=val/{nearest(rest.split('/')[0] or first, terms)[0]}"
            yield Problem("train.monitor", name, f"expected val/NAME, NAME one of {', '.join(terms)}", near)


RULES = (
    some_input, stream_names, own_backbones, backbone_kinds, head_reads, head_targets, label, loss_paths,
    names_clash, two_views, augmented, heads_divide_width, rates, adapted, monitor,
)  # fmt: skip


def _target(node: Tree) -> str:
    return str(node.get("_target_", ""))


def _labels(tree: Tree) -> list[str]:
    found = tree["data"].get("labels")
    return [str(name) for name in found] if isinstance(found, list | dict) else []


def _targets(tree: Tree) -> list[str]:
    roles = [n for n, s in tree["modality"].items() if s.get("role") == "target"]
    return [*_labels(tree), *roles] if _labels(tree) else []


def _one_of(key: str, found: str, choices: list[str]) -> Iterator[Problem]:
    """`found` is one of `choices`; where none are known (labels read from files later) nothing is said."""
    if choices and found not in choices:
        near = nearest(found, choices)[0]
        parent = key.rpartition(".")[0]
        typed = f"{parent}.{near}" if key.endswith(f".{found}") else f"{key}={near}"
        yield Problem(key, found, f"expected one of {', '.join(choices)}", typed)
