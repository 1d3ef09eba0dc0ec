"""Combinations that no single node can judge: what a head or a loss reads must be what another stage gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from multimodal_lab.cache_rules import cached, encoder_runs
from multimodal_lab.loss_rules import loss_paths, names_clash, two_views
from multimodal_lab.problem import Problem, is_target
from multimodal_lab.run_rules import RUN_RULES
from multimodal_lab.signature import definition, signature
from multimodal_lab.targets import allowed
from multimodal_lab.text import nearest
from multimodal_lab.use_rules import USE_RULES
from multimodal_lab.wiring import Tree, emitted, file_of, heads, labels, one_of, streams, target, targets

KINDS = {"text": "text", "vector": "vector", "spectral": "vector"}  # any other backbone: image
SYSTEM = "multimodal_lab.system.System"
FIGURES = ["pca", "umap", "neighbours", "similarity", "curves", "explorer"]  # those of report/figures.py
READERS = ("multispectral_tiff", "images", "envi", "hdf5")  # of conf/data, those for a folder of one's own files
PARTS = ["backbones", "fusion", "heads", "losses", "normalise"]  # of a System, as parameters are named


def rule_problems(tree: Tree) -> list[Problem]:
    """Every combination of a well-typed config that can't run."""
    return [problem for rule in RULES for problem in rule(tree)]


def part_of_its_group(tree: Tree) -> Iterator[Problem]:
    """A stage is built by a class of its own group (or of another package), a loss by `Keyed`."""
    for group, many in (("backbone", "backbones"), ("fusion", ""), ("head", "heads"), ("loss", "losses")):
        nodes = {group: tree[group], **{f"{many}.{k}": v for k, v in (tree.get(many) or {}).items()}}
        for key, node in nodes.items():
            package = "multimodal_lab.keyed." if group == "loss" else f"multimodal_lab.{group}."
            if target(node).startswith("multimodal_lab.") and not target(node).startswith(package):
                near = nearest(target(node), [name for name in allowed() if name.startswith(package)])
                yield Problem(f"{key}._target_", target(node), f"expected a name in {package[:-1]}", near[0])
    if not {"backbone", "fusion", "head", "loss"} <= signature(target(tree["system"])).parameters.keys():
        yield Problem("system._target_", target(tree["system"]), f"expected {SYSTEM} or a subclass of it", SYSTEM)


def some_input(tree: Tree) -> Iterator[Problem]:
    """A modality has at least one input stream."""
    if not streams(tree):
        yield Problem(
            "modality", ", ".join(tree["modality"]) or None, "expected at least one input stream, such as modality=rgb"
        )


def subsets(tree: Tree) -> Iterator[Problem]:
    """What fused knows without a modality needs a fused of several."""
    if tree.get("subsets") and ("fused" not in emitted(tree) or len(streams(tree)) < 2):
        yield Problem("subsets", True, "judges fused on subsets of the modalities; there is no fused of several here",
                      "subsets=false")  # fmt: skip


def stream_names(tree: Tree) -> Iterator[Problem]:
    """Streams are named as paths can name them, and `fused` is taken."""
    for name in tree["modality"]:
        if name == "fused" or not str(name).isidentifier():
            yield Problem(f"modality.{name}", name, "a stream needs a name of letters, digits and _, and not `fused`")


def own_backbones(tree: Tree) -> Iterator[Problem]:
    """`backbones.<stream>` names a stream."""
    yield from (p for name in tree.get("backbones", {}) for p in one_of(f"backbones.{name}", name, list(streams(tree))))


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
            yield from one_of(f"{key}.reads", reads, emitted(tree))
        elif file_of(node) == "classifier" and len(streams(tree)) > 1 and "fused" not in emitted(tree):
            one = ", ".join(f"{key}.reads={s}" for s in streams(tree))
            expects = (
                f"reads fused, which fusion=separate does not give; choose head=decision, fusion=concat, "
                f"or, where something else reads the other streams, {one}"
            )
            yield Problem(f"{key}.reads", None, expects, "fusion=attention")


def head_targets(tree: Tree) -> Iterator[Problem]:
    """A head's `label` is a label of the data; its `target` a label or a stream of role target."""
    for name, node in heads(tree).items():
        key = "head" if node is tree["head"] else f"heads.{name}"
        for argument in ("label", "target"):
            if isinstance(node.get(argument), str):
                yield from one_of(f"{key}.{argument}", node[argument], targets(tree))


def label(tree: Tree) -> Iterator[Problem]:
    """`label` is a label of the data."""
    if isinstance(tree.get("label"), str):
        yield from one_of("label", tree["label"], labels(tree))


def figures(tree: Tree) -> Iterator[Problem]:
    """Every figure is one that can be drawn: a run would find out after it has trained."""
    yield from (p for i, name in enumerate(tree.get("figures") or []) for p in one_of(f"figures.{i}", name, FIGURES))


def augmented(tree: Tree) -> Iterator[Problem]:
    """An op is limited to streams of the modality."""
    for name, op in ((tree.get("augment") or {}).get("ops") or {}).items():
        for stream in (op.get("streams") or []) if isinstance(op, dict) else ():
            yield from one_of(f"augment.ops.{name}.streams", stream, list(streams(tree)))


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
        yield from one_of(f"optim.rates.{name}", str(name).split(".")[0], PARTS)


def adapted(tree: Tree) -> Iterator[Problem]:
    """What `adapt` changes is a part of the system."""
    modules = (tree.get("adapt") or {}).get("modules")
    for name in modules if isinstance(modules, list) else ():
        yield from one_of("adapt.modules", str(name).split(".")[0], PARTS)


def shuffled(tree: Tree) -> Iterator[Problem]:
    """The stream that `data.shuffle` re-pairs is one of several inputs: alone it would be re-paired with its own labels."""
    stream = (tree["data"].get("shuffle") or {}).get("stream")
    if isinstance(stream, str):
        yield from one_of("data.shuffle.stream", stream, list(streams(tree)))
        if list(streams(tree)) == [stream] and not tree["data"]["shuffle"].get("bands"):
            near = f"data.shuffle={{stream: {stream}, bands: ['UV*']}}"
            yield Problem(
                "data.shuffle.stream", stream, "the only stream; another must stay, or some of its bands", near
            )


def root_is_read(tree: Tree) -> Iterator[Problem]:
    """A folder is named to a source that reads files: one that takes a root."""
    data = tree["data"]
    source, root = data.get("source") or {}, data.get("root")
    if root is not None and target(source).startswith("multimodal_lab."):
        takes = signature(target(source))
        if "root" not in takes.parameters and takes.open_to is None:
            expects = f"data={file_of(source)} reads no files; choose data={', '.join(READERS)} or another that does"
            yield Problem("data.root", root, expects, "data=images")


def components_in_range(tree: Tree) -> Iterator[Problem]:
    """An op that expects images of about 0 to 1 is given no principal components."""
    ops = {k: op for k, op in ((tree.get("augment") or {}).get("ops") or {}).items() if is_target(op) and _ranged(op)}
    for name in (k for k, kind in streams(tree).items() if kind == "image" and tree["modality"][k].get("pca")):
        on = [k for k, op in ops.items() if op.get("p") != 0 and name in (op.get("streams") or [name])]
        if on:
            expects = (
                f"augment.ops.{on[0]} expects values of about 0 to 1, and principal components have no such range; "
                "choose augment=none, or geometric ops alone, as augment=classify does"
            )
            views = (tree.get("augment") or {}).get("views") or 1
            near = "augment=classify augment.views=2" if views == 2 else "augment=classify"
            yield Problem(f"modality.{name}.pca", tree["modality"][name]["pca"], expects, near)


def _ranged(op: Tree) -> bool:
    """Whether the op's class says `ranged = True`, read off its source."""
    node = definition(target(op))[1]
    body = node.body if isinstance(node, ast.ClassDef) else []
    said = [s.value for s in body if isinstance(s, ast.AnnAssign) and ast.unparse(s.target) == "ranged"]
    return any(isinstance(value, ast.Constant) and value.value is True for value in said)


RULES = (
    part_of_its_group,
    some_input, subsets, stream_names, own_backbones, backbone_kinds, head_reads, head_targets, label, loss_paths,
    names_clash, two_views, augmented, heads_divide_width, rates, adapted, shuffled, figures, cached, encoder_runs,
    root_is_read, components_in_range, *RUN_RULES, *USE_RULES,
)  # fmt: skip
