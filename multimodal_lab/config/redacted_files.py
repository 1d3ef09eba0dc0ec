"""What others write without us, without secrets: Hydra's files of a job, its `multirun.yaml`, and records of logging."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml

from multimodal_lab.config import redact
from multimodal_lab.files import write_text

MULTIRUN = "multirun.yaml"
OF_A_JOB = ("config.yaml", "hydra.yaml", "overrides.yaml")


def of_log_records() -> None:
    """Every record of logging from now on says what it does without secrets, whoever makes it and wherever it is written."""
    made = logging.getLogRecordFactory()
    if getattr(made, "redacts", False):
        return

    def redacted(*args: Any, **options: Any) -> logging.LogRecord:
        record = made(*args, **options)
        record.msg, record.args = redact.text(record.getMessage()), ()
        return record

    redacted.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacted)


def of_job(hydra: Any, folder: Path) -> None:
    """Rewrite what Hydra has written of a job that begins; hydra: its own node. The sweep's file is the first job's to do."""
    if hydra.output_subdir is not None:
        for name in OF_A_JOB:
            rewrite(folder / hydra.output_subdir / name)
    if "num" in hydra.job and hydra.job.num == 0:
        rewrite(Path(str(hydra.sweep.dir)) / MULTIRUN)


def rewrite(path: Path) -> None:
    """The YAML file at `path` without secrets, where there is one; references to the environment stay what they are."""
    if not path.is_file():
        return
    found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    told = redact.plain(found)
    if told != found:
        write_text(path, yaml.safe_dump(told, sort_keys=False, allow_unicode=True))
