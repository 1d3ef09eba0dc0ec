"""Build a system of the choices of `conf/` from Python, without a run: for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from multimodal_lab.build import asks, build
from multimodal_lab.config import resolvers, schema
from multimodal_lab.config.check import SweepJobs, check_command, refuse
from multimodal_lab.config.instantiate import conf_dir, safe_instantiate
from multimodal_lab.config.overrides import choice_problems, groups, parse
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.config.signature import signature
from multimodal_lab.data import kinds
from multimodal_lab.experiment import build as of_run
from multimodal_lab.experiment import first_scale
from multimodal_lab.experiment.adapted import adapter
from multimodal_lab.system import System
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Stream


def build_system(
    overrides: Sequence[str] = (),
    *,
    streams: Mapping[str, Stream] | None = None,
    classes: Mapping[str, int | Sequence[str]] | None = None,
    numbers: Mapping[str, tuple[float, float]] | None = None,
    several: Sequence[str] = (),
) -> System:
    """The system of a command line such as `["fusion=concat", "head=classifier"]`, for the streams that are given.

    streams: {name: facts}; a backbone is built for each, and what has `mean` and `std` is normalised by them. classes: {label: K,
    or the K names}; several: those of them that are several 0/1 labels a sample; numbers: {label: (mean, std)}; the first of
    these labels is `label`. Without streams, it is built for the data of the command line, which are read for it. What can't be
    is a `ConfigError` that lists every problem.
    """
    resolvers.register()
    if streams is None:
        jobs = check_command(list(overrides))
        assert jobs is not None
        refuse(jobs.absent)
        cfg = composed(overrides)
        torch.manual_seed(cfg.seed)
        return of_run.build_system(cfg, safe_instantiate(cfg.data).prepare(of_run.modality(cfg), cfg.seed))
    if odd := [name for name, stream in streams.items() if stream.name != name]:
        raise ConfigError(f"streams[{odd[0]!r}]: the stream is called {streams[odd[0]].name!r}; expected one name")
    if odd := [name for name in several if name not in (classes or {})]:
        raise ConfigError(f"several={odd[0]!r}: is not in classes; {expected_one_of(odd[0], classes or {})}")
    cfg = composed(overrides)
    cfg.modality = {name: _facts(stream) for name, stream in streams.items()}
    if labels := [*(classes or {}), *(numbers or {})]:
        cfg.data.labels = labels
    refuse([p for p in schema.check(cfg) if p.key.split(".")[0] != "data"])
    torch.manual_seed(cfg.seed)
    known = {label: own if isinstance(own, int) else len(own) for label, own in (classes or {}).items()}
    scale = {label: (torch.tensor([m]), torch.tensor([s])) for label, (m, s) in (numbers or {}).items()}
    more = {"numbers": scale, "several": tuple(several)}
    system: System = safe_instantiate(cfg.system)(dict(streams), known, **{k: v for k, v in more.items() if v})
    if waiting := first_scale.waiting(system):
        raise ConfigError(
            f"backbone.band_correlation=measured: the first convolution of {next(iter(waiting))} is scaled by the training "
            "split; leave out `streams` to have the data read, or give a number from 0 to 1"
        )
    if cfg.train.get("warm_start"):
        raise ConfigError(
            "train.warm_start: asks for the data, to know what is held out; leave out `streams` to have them read"
        )
    if "_target_" in cfg.adapt:
        adapt = safe_instantiate(cfg.adapt)
        if asks(adapt, "data"):
            raise ConfigError(
                "adapt: asks for the data, to know what is held out; leave out `streams` to have them read"
            )
        vars(system)["adapter"] = adapter(build(adapt, system=system))
    return of_run.taught(system)


def composed(overrides: Sequence[str]) -> DictConfig:
    """The config of a command line, free to be changed; `ConfigError` for words that can't be followed."""
    folders = (conf_dir(),)
    known = groups(folders)
    top = sorted({*(g for g in known if "/" not in g), *signature(f"{schema.__name__}.Config").parameters})
    read, found = parse(list(overrides), top, known)
    refuse([*found, *(p for o in read for p in choice_problems(o, known))])
    cfg = SweepJobs("config", folders, known).composed([str(o.input_line) for o in read])
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    return cfg


def _facts(stream: Stream) -> dict[str, Any]:
    """What a modality would say of a stream."""
    facts: dict[str, Any] = {"kind": stream.kind}
    if kinds.get(stream.kind).has_bands:
        return {**facts, "bands": [band.name for band in stream.bands]}
    return facts
