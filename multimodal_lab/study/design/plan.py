"""The plan of a study (`plan.json`): its question and cells, as plain data. Imports no torch and no Hydra."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from multimodal_lab import files
from multimodal_lab.config import redact
from multimodal_lab.config.annotations import expected
from multimodal_lab.config.annotations import problems as value_problems
from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.signature import signature
from multimodal_lab.config.study import Role, Study, problems, read
from multimodal_lab.runs.guarded import read_json, require_inside
from multimodal_lab.runs.record_form import entry_unlike
from multimodal_lab.runs.records import LayoutError, require_known_layout
from multimodal_lab.text import expected_one_of

FILE = "plan.json"
FORM: dict[str, Any] = {
    "study": dict[str, Any],
    **dict.fromkeys(("cells", "tuning"), list[dict[str, Any]]),
    **dict.fromkeys(("typed", "warnings"), list[str]),
    "chosen": dict[str, dict[str, int]],
    "retrained": dict[str, str],
}
CELL: dict[str, Any] = {
    **dict.fromkeys(("arm", "role", "key"), str),
    **dict.fromkeys(("seed", "split"), int),
    "overrides": list[str],
    "option": int | None,
}
Chosen = dict[str, dict[str, int]]  # {arm: {split: place among study.tune.options}}


@dataclass(frozen=True)
class Cell:
    """One training: `key` names its config (see `runs.hashes.config_key`), `overrides` are the lines that make it.

    option: which of `study.tune.options` a tuning cell tries.
    """

    arm: str
    role: Role
    seed: int
    split: int
    key: str
    overrides: list[str]
    option: int | None = None

    @property
    def folder(self) -> str:
        """Its directory's name."""
        return f"{self.arm}-s{self.seed}-p{self.split}-{self.key[:8]}"


@dataclass(frozen=True)
class StudyPlan:
    """What the last call asked for. typed: its overrides. warnings: why the verdict will be weak whatever comes out.

    tuning: the cells that try options; `cells`, which are compared, are none until those are finished. chosen: what followed
    from them. retrained: {`rgb+uv`: the arm that was trained on that subset}.
    """

    study: Study
    cells: list[Cell]
    typed: list[str]
    warnings: list[str]
    tuning: list[Cell] = field(default_factory=list)
    chosen: Chosen = field(default_factory=dict)
    retrained: dict[str, str] = field(default_factory=dict)

    @property
    def every(self) -> list[Cell]:
        """All that is to be trained, in its order."""
        return [*self.tuning, *self.cells]


def write(folder: Path, plan: StudyPlan) -> None:
    """Write `plan.json` in `folder`, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / FILE, redact.plain(asdict(plan)))


def load(folder: Path) -> StudyPlan:
    """The plan in `folder`; `StudyError` if there is none that can be read."""
    try:
        found: dict[str, Any] = read_json(folder / FILE)
        _require_sound(found)
        cells, tuning = ([Cell(**c) for c in found[k]] for k in ("cells", "tuning"))
        for cell in (*tuning, *cells):
            require_inside(folder, [own := folder / cell.folder, own / "embeddings"])
            require_known_layout(own)
        return StudyPlan(
            read(found["study"]), cells, found["typed"], found["warnings"], tuning, found["chosen"], found["retrained"]
        )
    except FileNotFoundError:
        raise StudyError(f"runs={folder}: no study here (expected {FILE} in it); multirun/NAME holds one") from None
    except LayoutError as error:
        raise StudyError(str(error)) from None
    except (OSError, ValueError, TypeError) as error:
        raise StudyError(f"{folder / FILE}: can't be read ({error}); run the study again, its cells are kept") from None


def _require_sound(found: dict[str, Any]) -> None:
    """Refuse a plan that no study wrote: a stranger's may name any folder, and hold anything where a study has its words."""
    if not isinstance(found, dict):
        raise ValueError(f"expected the keys of a plan, found a {type(found).__name__}")
    if wrong := entry_unlike(found, FORM):
        raise ValueError(wrong)
    known = expected(signature("multimodal_lab.config.schema.Config").parameters["study"])
    if refused := [*value_problems(known, found["study"], "study")] or [*problems(read(found["study"]))]:
        raise ValueError(str(refused[0]))
    options = len(found["study"]["tune"]["options"]) if found["study"].get("tune") else 0
    for cell in (*found["cells"], *found["tuning"]):
        if wrong := entry_unlike(cell, CELL):
            raise ValueError(f"a cell's {wrong}")
        name = f"{cell['arm']}-{cell['key']}"
        if not re.fullmatch(r"\w+-\w+", name):
            raise ValueError(f"a cell is called {name!r}, which is no cell's name")
        if cell["role"] not in get_args(Role):
            raise ValueError(
                f"the role of cell {name} is {cell['role']!r}; {expected_one_of(cell['role'], get_args(Role))}"
            )
    if not all(0 <= place < options for own in found["chosen"].values() for place in own.values()):
        raise ValueError("chosen: expected the place of an option for every arm and split")
