"""Convert a composed config to plain dicts, lists and values."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf


def as_plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as plain values, every interpolation resolved."""
    found = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(found, dict)
    return {str(k): v for k, v in found.items()}
