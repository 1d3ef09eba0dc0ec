"""Audit without a study: `python -m multimodal_lab.study audit data=… data.root=… modality=…`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from multimodal_lab.config import compose, resolvers, study
from multimodal_lab.config.check import check_command
from multimodal_lab.config.problem import ConfigError, StudyError
from multimodal_lab.study.design.cells import looked_at


def audited(words: Sequence[str]) -> dict[str, Any]:
    """What the audit finds in the data of a command line of `run`, a study's or one experiment's; nothing is trained.

    `StudyError` for a configuration that can't run and for data that can't be read.
    """
    resolvers.register()
    try:
        check_command(list(words))
    except ConfigError as error:
        raise StudyError(str(error)) from error
    from multimodal_lab.data.source import DataError
    from multimodal_lab.study.audit.inspect import audit_data

    asked, configs = _asked(list(words))
    try:
        return audit_data(asked, configs, None)
    except DataError as error:
        raise StudyError(str(error)) from error


def _asked(words: list[str]) -> tuple[study.Study, dict[str, Any]]:
    def composed(lines: list[str]) -> DictConfig:
        return compose.composed([*words, *lines])

    cfg = composed([])
    if cfg.get("study") is not None:
        node: Any = OmegaConf.to_container(cfg.study, resolve=True)
        asked = study.read(node)
    else:
        asked = study.Study({"all": []}, ["all"], [], seeds=[cfg.seed], splits=[cfg.data.split.seed])
    return asked, looked_at(asked, composed)
