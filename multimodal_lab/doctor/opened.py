"""The data of a command line, opened whatever is wrong with their files: nothing but `data` and `modality` is checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from multimodal_lab.config import schema
from multimodal_lab.config.check import SweepJobs, refuse, sweep_problems
from multimodal_lab.config.instantiate import conf_dir, safe_instantiate
from multimodal_lab.config.overrides import choice_problems, groups, is_choice, parse
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.signature import signature
from multimodal_lab.data.audit.offered import offered
from multimodal_lab.data.dataset import Data

OURS = ("data", "modality")
CHOOSE = ("modality", "experiment", "study")  # choices that say which streams are meant


def configured(words: Sequence[str]) -> DictConfig:
    """The config of the words, as `multimodal_lab.run` takes them; `ConfigError` for what is wrong with data or modality."""
    known = groups((conf_dir(),))
    top = sorted({*(g for g in known if "/" not in g), *signature(f"{schema.__name__}.Config").parameters})
    read, found = parse(list(words), top, known)
    found += [p for o in read for p in (*choice_problems(o, known), *sweep_problems(o))]
    refuse(found)
    jobs = SweepJobs("config", (conf_dir(),), known)
    cfg = jobs.composed([str(o.input_line) for o in read])
    OmegaConf.set_struct(cfg, False)
    refuse([p for p in schema.check(cfg) if p.key.split(".")[0] in OURS])
    del cfg["hydra"]
    return cfg


def opened(cfg: DictConfig) -> Data:
    """The data set; a file whose header is bad is told when its sample is read. `DataError` for what can't be opened."""
    cfg.data.on_error, cfg.data.max_bad, cfg.data.shuffle = "skip", 1.0, None
    factory: Data = safe_instantiate(cfg.data)
    return factory


def streams(cfg: DictConfig, words: Sequence[str], factory: Data) -> dict[str, Any]:
    """The modality that the words choose, else all that the source offers."""
    known = groups((conf_dir(),))
    read, _ = parse(list(words), [], known)
    chosen = any(o.key_or_group.split(".")[0] in CHOOSE for o in read if is_choice(o, known) or "." in o.key_or_group)
    return dict(as_plain(cfg)["modality"]) if chosen else offered(factory.source)
