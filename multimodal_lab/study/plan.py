"""The plan of a study: its question and its cells, as `plan.json` in its directory. Plain data, no torch, no Hydra."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multimodal_lab.study.facts import Role, Study, read

FILE = "plan.json"


class StudyError(RuntimeError):
    """A study's directory that can't be used: which, what was found, what to do."""


@dataclass(frozen=True)
class Cell:
    """One training: `key` names its config (see `digest.config_key`), `overrides` are the lines that make it."""

    arm: str
    role: Role
    seed: int
    split: int
    key: str
    overrides: list[str]

    @property
    def folder(self) -> str:
        """Its directory's name."""
        return f"{self.arm}-s{self.seed}-p{self.split}-{self.key[:8]}"


@dataclass(frozen=True)
class Plan:
    """What the last call asked for. typed: its overrides. warnings: why the verdict will be weak whatever comes out."""

    study: Study
    cells: list[Cell]
    typed: list[str]
    warnings: list[str]


def write(folder: Path, plan: Plan) -> None:
    """Write `plan.json` in `folder`, at once or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    replace(folder / FILE, asdict(plan))


def load(folder: Path) -> Plan:
    """The plan in `folder`; `StudyError` if there is none that can be read."""
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_bytes())
        cells = [Cell(**c) for c in found["cells"]]
        return Plan(read(found["study"]), cells, found["typed"], found["warnings"])
    except FileNotFoundError:
        raise StudyError(f"runs={folder}: no study here (expected {FILE} in it); multirun/NAME holds one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{folder / FILE}: can't be read ({error}); run the study again, its cells are kept") from None


def replace(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, at once or not at all, whoever else does the same."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    part.write_text(json.dumps(content, indent=1))
    os.replace(part, path)
