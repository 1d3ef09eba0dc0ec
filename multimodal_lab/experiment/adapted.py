"""What a built system begins with beside its own weights: those of a finished run, and what `adapt` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from multimodal_lab.adapt.warm_start import warm_start
from multimodal_lab.build import asks, build
from multimodal_lab.checkpoint.state import Adapter
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.stage import stage
from multimodal_lab.system import System


def begin(system: System, cfg: DictConfig, data: Any, trained: bool) -> None:
    """Load what `train.warm_start` names, then adapt as `adapt` says; trained: the weights will be loaded afterwards."""
    # a checkpoint without frozen weights needs them from where they came
    rebuild = trained and cfg.train.get("save") == "trained"
    facts = {"data": None if trained else data, "rebuild": rebuild}
    run = cfg.train.get("warm_start")
    # where the frozen weights came from elsewhere the run may be gone; a digest tells
    if run and (not trained or (rebuild and Path(run).expanduser().is_dir())):
        with stage("reading the run to begin with"):
            warm_start(system, run, facts["data"])
    if cfg.get("adapt") and "_target_" in cfg.adapt:
        adapt = safe_instantiate(cfg.adapt)
        with stage("adapting the system"):
            given = build(adapt, system=system, **{k: v for k, v in facts.items() if asks(adapt, k)})
        vars(system)["adapter"] = adapter(given, cfg.train.get("shard"))  # a module too keeps its state to itself


def adapter(given: Any, shard: bool = False) -> Adapter | None:
    """What an `adapt` has given, if it acts while training; `ValueError` for one that a resume could not continue."""
    if not hasattr(given, "after_gradient"):
        return None
    name = type(given).__name__
    if lacking := [k for k in ("state_dict", "load_state_dict") if not hasattr(given, k)]:
        raise ValueError(
            f"adapt: {name} has after_gradient and no {' and no '.join(lacking)}: what it learns would be lost in a resume; "
            "a state_dict of {} says that it learns nothing"
        )
    if shard:
        raise ValueError(f"adapt: {name} changes whole weights, and train.shard=true cuts them; give train.shard=false")
    found: Adapter = given
    return found
