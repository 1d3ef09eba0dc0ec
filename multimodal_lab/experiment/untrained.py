"""Judge a system as it begins, nothing trained: published weights on data of one's own, in a run directory."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from multimodal_lab.config import redact, resolvers
from multimodal_lab.config.check import check_command, refuse
from multimodal_lab.config.instantiate import conf_dir
from multimodal_lab.config.overrides import groups, quoted
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.data.dataset import Resplit
from multimodal_lab.experiment import compose
from multimodal_lab.experiment.run import run
from multimodal_lab.runs import directory
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.runs.hashes import SUMMARY
from multimodal_lab.text import expected_one_of

# what is trained is nothing, and what was trained before is not copied: a checkpoint has its digest
AS_IT_BEGINS = ("train.max_steps=0", "train.validate_every=0", "train.save=trained")
UNLESS_SAID = {"log": "log=none", "adapt": "adapt=freeze"}


def configured(system: str, model: str | None, words: Sequence[str]) -> DictConfig:
    """The config of a system, a choice of conf/experiment, with the weights `model` and what `words` change, checked.

    model: a directory or an id of the Hugging Face hub, of what is `backbone.weights`. `ConfigError` lists every problem.
    """
    known = groups((conf_dir(),))["experiment"]
    if system not in known:
        raise ConfigError(f"system={system}: no such choice of conf/experiment; {expected_one_of(system, known)}")
    given = {(parts := word.lstrip("+~").partition("="))[0]: parts[2] for word in words}
    if "dir" in given:
        raise ConfigError(
            f"dir={given['dir']}: the directory of a system as it begins is given as out=DIR (nearest: out={given['dir']})"
        )
    usual = [choice for key, choice in UNLESS_SAID.items() if key not in given]
    weights = [] if model is None else [f"backbone.weights={quoted(model)}"]
    lines = [f"experiment={system}", *usual, *AS_IT_BEGINS, *weights, *words]
    jobs = check_command(lines)
    assert jobs is not None
    refuse(jobs.absent)
    return compose.composed(lines)


def evaluate_system(
    system: str, out: Path, model: str | None = None, overrides: Sequence[str] = (), all_held_out: bool = False
) -> dict[str, Any]:
    """The scores of a system that nothing is trained of, written to `out` as a run's are; `DirectoryError` if one is there.

    overrides: as on the command line, such as `["data=pairs", "data.root=/folder"]`. all_held_out: no sample is put aside for
    training and validation, so that what fits on a training split, such as a probe, is left out. The directory is a run's: all
    that takes one (`predict`, `embed`, `explore`) takes it, as long as the weights stay where they are.
    """
    resolvers.register()
    cfg = configured(system, model, overrides)
    resplit: Resplit = "test" if all_held_out else "never"
    directory.claim(out, resume=False)
    try:
        run(cfg, out, resplit)
        found: dict[str, Any] = read_json(out / SUMMARY)
        return found
    except Exception:  # a directory with its failure told is free again
        directory.note_failure(out, redact.text(traceback.format_exc()))
        raise
    finally:
        directory.release(out)
