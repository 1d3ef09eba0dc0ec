"""Rules of the structure: streams, backbones, heads and ops must fit together."""

from __future__ import annotations

from collections.abc import Iterator

from multimodal_lab.config.facts import constant, fact, problems
from multimodal_lab.config.problem import Problem, is_target
from multimodal_lab.config.rules.arguments import ARGUMENT_RULES
from multimodal_lab.config.rules.balance import BALANCE_RULES
from multimodal_lab.config.rules.cache import backbone_for, cached, trained_runs
from multimodal_lab.config.rules.extras import EXTRA_RULES
from multimodal_lab.config.rules.grids import GRID_RULES
from multimodal_lab.config.rules.heads import HEAD_RULES
from multimodal_lab.config.rules.losses import (
    enough_samples,
    loss_paths,
    names_clash,
    some_weight,
    target_shapes,
    task_weights,
    two_views,
)
from multimodal_lab.config.rules.pairs import PAIR_RULES
from multimodal_lab.config.rules.run import RUN_RULES
from multimodal_lab.config.rules.steps import STEP_RULES
from multimodal_lab.config.rules.teacher import TEACHER_RULES
from multimodal_lab.config.rules.towers import TOWER_RULES
from multimodal_lab.config.rules.unused import USE_RULES
from multimodal_lab.config.rules.wiring import (
    Tree,
    file_of,
    heads,
    losses,
    may_emit,
    of_head,
    one_of,
    streams,
    target,
    targets,
    told,
)
from multimodal_lab.config.signature import signature
from multimodal_lab.config.suggest import choices
from multimodal_lab.config.targets import allowed
from multimodal_lab.text import nearest

SYSTEM = "multimodal_lab.system.System"


def rule_problems(tree: Tree) -> list[Problem]:
    """Every combination of a well-typed config that can't run; facts of a wrong type alone, for the rules read them."""
    return [*stated(tree)] or [problem for rule in RULES for problem in rule(tree)]


def stated(tree: Tree) -> Iterator[Problem]:
    """Every component states its facts in the type that they have."""
    ops = (tree.get("augment") or {}).get("ops") or {}
    nodes = [("system", "system", tree["system"]), ("backbone", "backbone", tree["backbone"])]
    nodes += [("backbone", f"backbones.{k}", v) for k, v in (tree.get("backbones") or {}).items()]
    nodes += [("fusion", "fusion", tree["fusion"]), ("adapt", "adapt", tree.get("adapt") or {})]
    nodes += [("head", f"heads.{k}" if v is not tree["head"] else "head", v) for k, v in heads(tree).items()]
    nodes += [("loss", f"{k}.fn", v["fn"]) for k, v in losses(tree).items() if is_target(v.get("fn"))]
    nodes += [("evaluate", f"evaluate.{k}", v) for k, v in (tree.get("evaluate") or {}).items()]
    nodes += [("op", f"augment.ops.{k}", v) for k, v in ops.items()]
    for stage, key, node in nodes:
        for error in problems(node["_target_"], stage) if "_target_" in node else ():
            yield Problem(key, node["_target_"], str(error))


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


def modality_subsets(tree: Tree) -> Iterator[Problem]:
    """What is known without a modality needs a fused of several, or a head that tells a label by all streams."""
    telling = [name for name in told(tree) if of_head(heads(tree)[name], "takes") == "streams"]
    if tree.get("modality_subsets") and (not (telling or may_emit(tree, "fused")) or len(streams(tree)) < 2):
        yield Problem("modality_subsets", True, "judges fused on subsets of the modalities; there is no fused of several here",
                      "modality_subsets=false")  # fmt: skip


def stream_names(tree: Tree) -> Iterator[Problem]:
    """Streams are named as paths can name them, and `fused` is taken."""
    for name in tree["modality"]:
        if name == "fused" or not str(name).isidentifier():
            yield Problem(f"modality.{name}", name, "a stream needs a name of letters, digits and _, and not `fused`")


def own_backbones(tree: Tree) -> Iterator[Problem]:
    """`backbones.<stream>` names a stream."""
    yield from (p for name in tree.get("backbones", {}) for p in one_of(f"backbones.{name}", name, list(streams(tree))))


def backbone_kinds(tree: Tree) -> Iterator[Problem]:
    """A backbone meets only streams of the kinds that it takes, where it states them."""
    own = tree.get("backbones", {})
    for name, kind in streams(tree).items():
        node, key = (own[name], f"backbones.{name}") if name in own else (tree["backbone"], "backbone")
        takes = fact(target(node), "kinds")
        if takes is not None and kind not in takes:
            choice = backbone_for(kind)
            near = f"+backbone@backbones.{name}={choice}" if len(streams(tree)) > 1 else f"backbone={choice}"
            expects = f"takes {' and '.join(takes)} streams, but modality.{name} is of kind {kind}"
            yield Problem(key, file_of(node), expects, near if choice else "")


def label(tree: Tree) -> Iterator[Problem]:
    """`label` is a label of the data."""
    if isinstance(tree.get("label"), str):
        yield from one_of("label", tree["label"], targets(tree))


def figures(tree: Tree) -> Iterator[Problem]:
    """Every figure is one that can be drawn: a run would find out after it has trained."""
    known = [*constant("multimodal_lab.report.figures", "FIGURES")]
    wanted = tree.get("figures") or []
    yield from (p for i, name in enumerate(wanted) for p in one_of(f"figures.{i}", name, known))
    formats, bare = (tree.get("embed") or {}).get("formats"), constant("multimodal_lab.report.figures", "BARE")
    if isinstance(formats, list) and "parquet" not in formats and (drawn := [n for n in wanted if n not in bare]):
        why = (
            f"figures {', '.join(map(str, drawn))} read embeddings as parquet; expected it among them, or fewer figures"
        )
        yield Problem("embed.formats", formats, why, f"embed.formats=[{','.join(['parquet', *map(str, formats)])}]")


def augmented(tree: Tree) -> Iterator[Problem]:
    """An op is limited to streams of the modality."""
    for name, op in ((tree.get("augment") or {}).get("ops") or {}).items():
        for stream in (op.get("streams") or []) if isinstance(op, dict) else ():
            yield from one_of(f"augment.ops.{name}.streams", stream, list(streams(tree)))


def lr_scale(tree: Tree) -> Iterator[Problem]:
    """A learning rate scale is for a part of the system."""
    for name in tree["optim"].get("lr_scale") or {}:
        yield from one_of(f"optim.lr_scale.{name}", str(name).split(".")[0], _parts(tree))


def adapted(tree: Tree) -> Iterator[Problem]:
    """What `adapt` changes is a part of the system."""
    node = tree.get("adapt") or {}
    for argument in (fact(target(node), name) for name in ("freezes_argument", "runs_argument")):
        if argument and node.get(argument) == []:
            yield Problem(
                f"adapt.{argument}", [], "an empty list changes nothing; expected one name or more", "adapt=none"
            )
    if fact(target(node), "after_gradient") and tree["train"].get("shard") is True:
        expects = f"cuts the weights that adapt={file_of(node)} changes whole"
        yield Problem("train.shard", True, expects, "train.shard=false")
    modules = node.get("modules")
    for name in modules if isinstance(modules, list) else ():
        yield from one_of("adapt.modules", str(name).split(".")[0], _parts(tree))


def _parts(tree: Tree) -> list[str]:
    """The parts of the system, as parameters are named."""
    return [*fact(target(tree["system"]), "parts", ())]


def shuffled(tree: Tree) -> Iterator[Problem]:
    """The stream that `data.shuffle` re-pairs is one of several inputs: alone it would be re-paired with its own labels."""
    found = (tree["data"].get("shuffle") or {}).get("stream")
    named = [found] if isinstance(found, str) else list(found or ())
    for stream in named:
        yield from one_of("data.shuffle.stream", stream, list(streams(tree)))
        if {*streams(tree)} <= {*named} and not tree["data"]["shuffle"].get("bands"):
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
            readers = choices("data", _reads_any_folder)
            expects = f"data={file_of(source)} reads no files; choose data={', '.join(readers)} or another that does"
            yield Problem("data.root", root, expects, ", ".join(f"data={name}" for name in readers))


def _reads_any_folder(node: Tree) -> bool:
    """Whether a choice of data is for a folder of one's own files: it reads the labels off them."""
    return "root" in signature(target(node["source"])).parameters and node.get("labels") == "auto"


def components_in_range(tree: Tree) -> Iterator[Problem]:
    """An op that expects images of about 0 to 1 is given no principal components."""
    ops = (tree.get("augment") or {}).get("ops") or {}
    for name in (k for k, kind in streams(tree).items() if kind == "image" and tree["modality"][k].get("pca")):
        ranged = [k for k, op in ops.items() if fact(target(op), "ranged", False)]
        on = [k for k in ranged if ops[k].get("p") != 0 and name in (ops[k].get("streams") or [name])]
        if on:
            views = (tree.get("augment") or {}).get("views") or 1
            unranged = choices("augment", lambda n: all(map(_of_any_range, n["ops"].values())))
            expects = (
                f"augment.ops.{on[0]} expects values of about 0 to 1, and principal components have no such range; "
                f"choose an augmentation without such ops: {', '.join(unranged)}"
            )
            near = f"augment={unranged[0]}" + (f" augment.views={views}" if views != 1 else "")
            yield Problem(f"modality.{name}.pca", tree["modality"][name]["pca"], expects, near)


def _of_any_range(op: Tree) -> bool:
    """Whether an op works on images of any range, and on nothing but them."""
    stated = {name: fact(target(op), name, False) for name in ("ranged", "steps", "adds_targets")}
    return not any(stated.values()) and "image" in fact(target(op), "kinds", ("image",))


RULES = (
    part_of_its_group,
    some_input, modality_subsets, stream_names, own_backbones, backbone_kinds, *HEAD_RULES, *ARGUMENT_RULES, *GRID_RULES,
    label, loss_paths, target_shapes, names_clash, two_views, enough_samples, some_weight, task_weights,
    augmented, lr_scale, adapted, shuffled, figures, cached, trained_runs,
    root_is_read, components_in_range, *STEP_RULES, *RUN_RULES, *USE_RULES, *EXTRA_RULES, *TOWER_RULES,
    *BALANCE_RULES, *PAIR_RULES, *TEACHER_RULES,
)  # fmt: skip
