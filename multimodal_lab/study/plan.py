"""The plan of a study: its question and its cells, as `plan.json` in its directory. Plain data, no torch, no Hydra."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from multimodal_lab import whole
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
    whole.value(folder / FILE, asdict(plan))


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
