"""The choice of `conf/cache/` put to work on a built system and its data."""

from __future__ import annotations

from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from multimodal_lab.build import build
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.plain import as_plain
from multimodal_lab.system import System


def chosen(cfg: DictConfig) -> Any:
    """The cache that a config asks for, None without."""
    return safe_instantiate(cfg.cache) if cfg.get("cache") and "_target_" in cfg.cache else None


def augmentation(cfg: DictConfig, cache: Any, system: System, data: Any, device: torch.device) -> Any:
    """The augmentation of a config; with a cache, `system` and `data` are made to speak of kept features alone."""
    factory = safe_instantiate(cfg.augment)
    if cache is None:
        return build(factory, streams=data.streams).to(device)
    tree = as_plain(OmegaConf.masked_copy(cfg, ["backbone", "backbones"]))
    nodes = {name: tree["backbones"].get(name, tree["backbone"]) for name in data.streams}
    return cache.serve(system, data, factory, nodes, device)
