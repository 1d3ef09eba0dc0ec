"""Renamed modules, targets and config keys: the names of the previous layout and today's.

A run directory of the previous layout is read as if it had been written today; a config of one's own that says an old name is
refused with the new one. No torch, no Hydra.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

LAYOUT = 2  # of a run directory, written to data.json; the previous layout has no number
PACKAGE = "multimodal_lab."
SYSTEM = "system."

# {module: module} of what a config may name as `_target_`, and {name: name} where more than the module changed.
MODULES = {
    "adapt": "adapt.freeze",
    "data.card": "data.readers.card",
    "data.envi": "data.readers.envi",
    "data.hdf5": "data.readers.hdf5",
    "data.images": "data.readers.images",
    "data.labels": "data.readers.labels",
    "data.limits": "data.readers.limits",
    "data.packed": "data.packed.reader",
    "data.pairs": "data.readers.pairs",
    "data.scaling": "data.streams.scaling",
    "data.scene": "data.readers.scene",
    "data.specimens": "data.synthetic.specimens",
    "data.split": "data.split.split",
    "data.table": "data.readers.table",
    "data.tiff": "data.readers.tiff",
    "data.trifeature": "data.synthetic.trifeature",
    "encoders": "adapt.encoders",
    "head.decision": "head.late_fusion",
    "loss.knob": "loss.schedule",
    "optim": "optim.optimizers",
    "sweep": "sweep_table",
}
TARGETS = {
    "cache.features.Kept": "cache.features.CachedFeatures",
    "head.decision.Decision": "head.late_fusion.LateFusion",
    "log.TensorBoard": "log.tensorboard.TensorBoard",
    "log.Wandb": "log.wandb.Wandb",
    "loss.knob.Free": "loss.schedule.FreeScalar",
    "loss.knob.Learned": "loss.schedule.LearnedScalar",
    "loss.knob.Linear": "loss.schedule.LinearSchedule",
    "train.fit": "train.config.TrainConfig",
}
# {dotted key: dotted key}; `*` is any one name.
KEYS = {
    "judged": "eval_split",
    "score": "objective",
    "subsets": "modality_subsets",
    "train.floor": "train.min_lr_ratio",
    "train.accumulate": "train.accumulate_steps",
    "train.keep": "train.keep_last",
    "optim.rates": "optim.lr_scale",
    "data.check": "data.verify",
    "data.fit": "data.resize_mode",
    "data.mask": "data.background",
    "data.split.rare": "data.split.min_class_policy",
    "data.split.hold": "data.split.group_policy",
    "modality.*.take": "modality.*.bands",
    "head.reads": "head.input",
    "heads.*.reads": "heads.*.input",
    "evaluate.*.starts": "evaluate.*.n_init",
}
# What the values of a new key are, where they are others than those of the old one.
VALUES = {"optim.lr_scale": "a factor of optim.lr, where it was a rate"}
# {(dotted key, its old value): its value today}.
RENAMED_VALUES = {("data.verify", "train"): "headers"}
# {head: head}: the main head is called by its file, in paths of losses and in the names of its weights.
HEADS = {"decision": "late_fusion"}
CHOICES = {"head": HEADS, "experiment": {"multi_task": "multitask"}}  # {group: {choice: choice}}


def renamed_choice(group: str, name: object) -> str | None:
    """What an old choice of a config group is called today; None for one that did not change."""
    return CHOICES.get(group, {}).get(str(name))


def renamed_value(key: str, value: object) -> str | None:
    """What an old value of a key is called today; None for one that did not change."""
    return RENAMED_VALUES.get((key, value)) if isinstance(value, str) else None


def rename_values(config: dict[str, Any]) -> dict[str, Any]:
    """A plain config of any earlier version, in place, with today's values."""
    for (key, old), new in RENAMED_VALUES.items():
        *path, last = key.split(".")
        node: Any = config
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, dict) and node.get(last) == old:
            node[last] = new
    evaluators = config.get("evaluate")
    for node in evaluators.values() if isinstance(evaluators, dict) else ():
        if isinstance(node, dict) and node.pop("tune_threshold", False) is True:  # a switch of its own before
            node["threshold"] = "tuned"
    return config


def renamed_target(name: str) -> str | None:
    """What an old `_target_` is called today; None for a name that did not change."""
    old = name.removeprefix(PACKAGE)
    module, _, last = old.rpartition(".")
    if not name.startswith(PACKAGE):
        return None
    new = TARGETS.get(old) or (f"{MODULES[module]}.{last}" if module in MODULES else None)
    return None if new is None else PACKAGE + new


def renamed_key(key: str) -> str | None:
    """What an old dotted key, or a key below it, is called today; None for one that did not change."""
    if key.startswith(SYSTEM):  # a written config is resolved: what `system` names stands there a second time
        inner = renamed_key(key.removeprefix(SYSTEM))
        return SYSTEM + inner if inner else None
    parts = key.split(".")
    for old, new in KEYS.items():
        pattern = old.split(".")
        if len(parts) >= len(pattern) and all(p in ("*", own) for p, own in zip(pattern, parts)):
            given = [own for p, own in zip(pattern, parts) if p == "*"]
            return ".".join([given.pop(0) if p == "*" else p for p in new.split(".")] + parts[len(pattern) :])
    return None


def upgrade_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A plain config of the previous layout with today's keys, targets and paths."""
    found: dict[str, Any] = _upgrade(config, "")
    optim = found.get("optim")
    if isinstance(optim, dict) and optim.get("lr_scale"):  # rates were absolute; a scale multiplies `lr`
        optim["lr_scale"] = {prefix: rate / optim["lr"] for prefix, rate in optim["lr_scale"].items()}
    return found


def _upgrade(node: Any, where: str) -> Any:
    if isinstance(node, Mapping):
        made = {}
        for key, value in node.items():
            path = f"{where}.{key}" if where else str(key)
            new = renamed_key(path) or path
            made[new.rpartition(".")[2]] = _upgrade(value, new)
        return made
    if isinstance(node, list):
        return [_upgrade(value, where) for value in node]
    if isinstance(node, str) and where.endswith("_target_"):
        return renamed_target(node) or node
    return _path(node) if isinstance(node, str) else node


def _path(text: str) -> str:
    for old, new in HEADS.items():
        text = re.sub(rf"^out\.{old}(?=$|\.)", f"out.{new}", text)
    return text


def upgrade_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The data.json of the previous layout, its choices under today's keys."""
    choices = record.get("choices")
    if not isinstance(choices, Mapping):
        return {**record, "layout": LAYOUT}
    made = {(renamed_key(f"data.{k}") or k).removeprefix("data."): v for k, v in choices.items()}
    return {**record, "choices": made, "layout": LAYOUT}


def upgrade_weight(name: str) -> str:
    """The name of a weight in a checkpoint of the previous layout: `heads.decision.…` is `heads.late_fusion.…`."""
    for old, new in HEADS.items():
        name = re.sub(rf"^heads\.{old}\.", f"heads.{new}.", name)
    return name
