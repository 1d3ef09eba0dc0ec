"""Combinations that a loss takes part in: what it reads must be what a stage gives."""

from __future__ import annotations

from collections.abc import Iterator

from multimodal_lab.problem import Problem, is_number, is_target, join
from multimodal_lab.targets import conf_dir
from multimodal_lab.text import nearest
from multimodal_lab.wiring import Tree, emitted, file_of, heads, losses, streams, targets

TWO_VIEWS = {"simclr", "dcl"}  # and vicreg, barlow_twins and cross_modal as they are set
ROOTS = ["batch", "features", "out", "present", "progress"]  # of the scope that a Keyed looks into


def is_path(value: object) -> bool:
    """Whether a value is text that a `Keyed` can look up."""
    return isinstance(value, str) and value.split(".")[0] in ROOTS


def loss_paths(tree: Tree) -> Iterator[Problem]:
    """Every path of a loss leads to what a stage gives."""
    for key, node in losses(tree).items():
        for argument, path in node.items():
            if argument not in {"_target_", "name", "fn"} and is_path(path):
                yield from _path(tree, join(key, argument), path)


def _path(tree: Tree, key: str, path: str) -> Iterator[Problem]:
    first, *rest = path.split(".")
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
            choices, prefix, rest = targets(tree), "batch.targets", rest[1:]
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
