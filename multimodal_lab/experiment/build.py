"""Build from a config: the system, augmentation, feature cache and trackers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from multimodal_lab.build import asks, build
from multimodal_lab.config import redact
from multimodal_lab.config.facts import fact
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.rules import wiring
from multimodal_lab.config.rules.wiring import target
from multimodal_lab.experiment import first_scale, preprocessing
from multimodal_lab.experiment.adapted import begin
from multimodal_lab.log.background import Background
from multimodal_lab.loss import balanced
from multimodal_lab.system import System
from multimodal_lab.train.ema import Teacher


def require_backbones(cfg: DictConfig) -> None:
    """Refuse, before data are read, what a backbone says that it can't be: by its class's `require_possible`, if it has one.

    That is given its own arguments and, where it asks for them, the images' `size`, None where only the files tell, and the
    `tokens` and `length` of a text, with the `key` that they stand under.
    """
    source = cfg.data.get("source") or {}
    size = cfg.data.get("size") or (source.get("size") if "size" in source else None)
    asked: list[tuple[Any, Any]] = []
    for name, factory in _backbones(cfg).items():
        check = getattr(getattr(factory, "func", None), "require_possible", None)
        if check is None:
            continue
        own = cfg.modality[name]
        side = own.get("size") or size
        facts = {
            "size": side if isinstance(side, int) else None,
            "tokens": own.get("tokens"),
            "length": own.get("length"),
            "key": f"modality.{name}",
        }
        known = inspect.signature(check).parameters
        facts = {k: v for k, v in facts.items() if k == "size" or k in known}
        if (factory, facts) not in asked:
            asked.append((factory, facts))
            try:
                check(**{**facts, **factory.keywords})
            except ValueError as error:
                if name not in (cfg.get("backbones") or {}):
                    raise
                # a class knows its arguments, and not under which key of the config they stand
                said = re.sub(r"\bbackbone\.(?=[a-z])", f"backbones.{name}.", str(error))
                raise type(error)(said) from error


def take_preprocessing(cfg: DictConfig) -> None:
    """Write into `cfg` what `resize: backbone` of its modality stands for, so that a record says it too; see `preprocessing`."""
    if any(own.get("resize") == "backbone" for own in cfg.modality.values()):
        preprocessing.resolve(cfg, _backbones(cfg))


def modality(cfg: DictConfig) -> dict[str, Any]:
    """The modality of a config as plain values, `backbone` of `normalise` and `resize` replaced by what the backbone says.

    That is what its class's `normalisation` gives for the backbone's own arguments, see `data.streams.normalise`.
    """
    take_preprocessing(cfg)
    found: dict[str, Any] = as_plain(cfg)["modality"]
    asks = [name for name, own in found.items() if own.get("normalise") == "backbone"]
    factories = _backbones(cfg) if asks else {}
    for name in asks:
        own = getattr(factories.get(name), "func", None)
        tell = getattr(own, "normalisation", None)
        if tell is None:
            what = getattr(own, "__module__", "none").rpartition(".")[2]
            raise ValueError(
                f"modality.{name}.normalise=backbone: its backbone ({what}) has no weights with a mean and std of their own; "
                "choose train, imagenet, sat493m or {mean, std}"
            )
        found[name] = {**found[name], "normalise": tell(**factories[name].keywords)}
    return found


def _backbones(cfg: DictConfig) -> dict[str, Any]:
    """{input stream: the factory of its backbone}; streams that share a choice share the object."""
    own = {name: safe_instantiate(node) for name, node in cfg.backbones.items()}
    streams = wiring.streams(as_plain(cfg))
    rest = safe_instantiate(cfg.backbone) if any(name not in own for name in streams) else None
    return {name: own.get(name, rest) for name in streams}


def build_system(cfg: DictConfig, data: Any, trained: bool = False) -> System:
    """The system of a config over prepared data, adapted as `adapt` says; trained: its weights will be loaded."""
    maps, numbers = getattr(data, "maps", {}), getattr(data, "map_numbers", {})
    classes = {label: len(names) for label, names in {**data.classes, **maps}.items()}
    factory = safe_instantiate(_untrained(cfg) if trained else cfg.system)
    # a subclass may pass on what it knows of alone
    facts = {"numbers": {**data.numbers, **numbers}, "several": getattr(data, "several", ())}
    known = {name: fact for name, fact in facts.items() if asks(factory, name)}
    system: System = factory(data.streams, classes, **known)
    first_scale.scale(system, data)
    _require_targets(system, data, wiring.added(as_plain(cfg)), trained)
    _balance(system, data, trained)
    begin(system, cfg, data, trained)
    return taught(system)


def taught(system: System) -> System:
    """The same, with the teacher that it asks for: a copy of it as it is built and adapted."""
    if system.teacher_momentum is not None:
        system.teacher = Teacher(system, system.teacher_momentum)
    return system


def _untrained(cfg: DictConfig) -> dict[str, Any]:
    """The node `system` with backbones that begin with nothing from disk: a checkpoint has all, and a file may be gone."""
    node = as_plain(cfg)["system"]
    if cfg.train.get("save", "all") != "all":  # a checkpoint of what was trained has not what was frozen
        return node  # type: ignore[no-any-return]
    for backbone in (node["backbone"], *(node.get("backbones") or {}).values()):
        _begin_anew(backbone)
    return node  # type: ignore[no-any-return]


def _begin_anew(backbone: dict[str, Any]) -> None:
    """Set what a backbone begins with to what it states as `initial`, and so of one that it is made of."""
    begins = fact(target(backbone), "initial", {})
    backbone |= {name: value for name, value in begins.items() if name in backbone}
    for inner in backbone.values():
        if isinstance(inner, dict) and target(inner):
            _begin_anew(inner)


def _require_targets(system: System, data: Any, added: Iterable[str], trained: bool) -> None:
    """Refuse a loss whose target neither the data have nor the augmentation adds, or that no label or one class alone tells.

    Where labels are read off the files, no config can tell before.
    """
    there = [*data.targets, *data.target_streams, *added]
    for term, loss in system.losses.items():
        for argument, path in getattr(loss, "paths", {}).items():
            name = path.removeprefix("batch.targets.").split(".")[0]
            if path.startswith("batch.targets.") and name not in there:
                choices = ", ".join(there) or "none: see data.source.labels and data.labels"
                raise ValueError(
                    f"loss {term}: {argument} is {path}, but the data have no label {name!r}; there are {choices}"
                )
            label = path.removeprefix("std.")
            if path.startswith("std.") and label not in system.scales:
                choices = ", ".join(system.scales) or "none"
                raise ValueError(
                    f"loss {term}: {argument} is {path}, but {label} is no number of the data; there are {choices}"
                )
            if path.startswith("batch.targets.") and name in data.targets and not trained and loss.weight:
                _require_labels(term, argument, name, data)


def _balance(system: System, data: Any, trained: bool) -> None:
    """Give losses that ask for `balanced` weights those of the training split, with a note; a checkpoint has its own."""
    term: str
    loss: Any
    for term, loss in system.losses.items():
        paths: dict[str, str] = getattr(loss, "paths", {})
        for argument in [k for k, v in paths.items() if v == balanced.BALANCED]:
            label = paths.get("target", "").removeprefix("batch.targets.")
            names = data.classes.get(label)
            if not names:
                raise ValueError(
                    f"loss {term}: {argument}=balanced is by class, and {label or 'its target'} is no label of classes"
                )
            if trained:
                loss.learn(argument, torch.ones(len(names)))
                continue
            found = balanced.weights(argument, data.targets[label][data.splits["train"]], len(names))
            loss.learn(argument, torch.tensor(found))
            low, high = (pick(range(len(found)), key=found.__getitem__) for pick in (min, max))
            data.notes.append(
                f"loss {term}: {argument}=balanced is {found[low]:.3g} ({names[low]}) to {found[high]:.3g} ({names[high]}), "
                "by the training split"
            )


def _require_labels(term: str, argument: str, label: str, data: Any) -> None:
    """Refuse a label of which the training split has none, or a single class: every step would be of a loss of 0."""
    values = data.targets[label][data.splits["train"]]
    known = np.isfinite(values) if not data.classes[label] else (values if values.ndim == 1 else values[:, 0]) >= 0
    if not known.any():
        raise ValueError(
            f"loss {term}: none of the {len(values)} training samples has a {label}, so that there is nothing to learn"
        )
    single = data.classes[label] and values.ndim == 1 and len(np.unique(values[known])) == 1
    # as ids, a sample without a label is a class of its own
    if single and (argument != "ids" or known.all()):
        raise ValueError(
            f"loss {term}: every training sample with a {label} is of {data.classes[label][values[known][0]]!r}, so that there "
            "is nothing to tell apart"
        )


def build_trackers(cfg: DictConfig, folder: Path, told: dict[str, Any]) -> list[Any]:
    """The trackers of a config, each behind a thread of its own; `told`: the config without its secrets."""
    trackers = safe_instantiate(redact.plain(as_plain(cfg.log)))  # an entity or a tag is written as it is given
    name = told["name"] or folder.name
    return [Background(k, partial(factory, folder=folder, name=name, config=told)) for k, factory in trackers.items()]


def feature_cache(cfg: DictConfig) -> Any:
    """The cache that a config asks for, None without."""
    return safe_instantiate(cfg.cache) if cfg.get("cache") and "_target_" in cfg.cache else None


def build_augmentation(cfg: DictConfig, cache: Any, system: System, data: Any, device: torch.device) -> Any:
    """The augmentation of a config; with a cache, `system` and `data` are made to speak of kept features alone."""
    made = safe_instantiate(cfg.augment)
    classes = {label: len(names) for label, names in data.classes.items()}
    facts = {"classes": classes, "maps": list(getattr(data, "maps", ()))}
    factory = partial(build, made, **{name: fact for name, fact in facts.items() if asks(made, name)})
    if cache is None:
        return factory(streams=data.streams).to(device)
    tree = as_plain(OmegaConf.masked_copy(cfg, ["backbone", "backbones"]))
    nodes = {name: tree["backbones"].get(name, tree["backbone"]) for name in data.streams}
    return cache.serve(system, data, factory, nodes, device)
