"""The two interpolations of `config.yaml` that are not plain references."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from multimodal_lab import rundir


def first_label(labels: Any) -> str:
    """The first label of a data set; `species` where they are only known once its files are read."""
    return str(labels[0]) if labels and not isinstance(labels, str) else "species"


def register() -> None:
    """Make `${run_id:}` and `${first_label:…}` known; a composed config keeps the one run id that it was given."""
    OmegaConf.register_new_resolver("run_id", rundir.run_id, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("first_label", first_label, replace=True)
