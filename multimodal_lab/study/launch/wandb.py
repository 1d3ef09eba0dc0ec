"""Upload a study's verdicts, arms and comparisons to W&B, in the group of its cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from multimodal_lab.log.background import Background
from multimodal_lab.log.wandb import start_wandb

Rows = Iterator[list[Any]]
ANSWERS = ("label", "answer", "verdicts")
VERDICTS = ("label", "verdict", "arm", "baseline", "gain", "low", "high", "p", "why")
ARMS = ("label", "arm", "role", "stream", "mean", "low", "high", "runs")
COMPARISONS = ("label", "arm", "baseline", "verdict", "gain", "low", "high", "p", "equivalent", "detectable")
CONTROLS = ("label", "arm", "control", "gain", "gain p", "lead", "lead p")


def send(folder: Path, made: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """Send what `study.json` holds; chosen: the `log.wandb` that the study's command was given."""
    told = {k: v for k, v in chosen.items() if not k.startswith("_")}
    Background("wandb", partial(Board, folder=folder, made=made, **told)).finish(made, [])


class Board:
    """The run that ends a study. mode, project, entity, group, tags: as in `log.wandb.Wandb`."""

    def __init__(
        self,
        *,
        folder: Path,
        made: Mapping[str, Any],
        mode: Any = "offline",
        project: str = "multimodal_lab",
        entity: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
    ) -> None:
        self._wandb, self._run = start_wandb(
            folder, mode, project=project, entity=entity, group=group or folder.name, job_type="study", tags=tags or None,
            name=f"{folder.name} verdict", config={"study": made["question"]},
        )  # fmt: skip

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """A study has no steps."""

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """Log the tables; `<label>/answer`, `<label>/verdict`, `<label>/gain` and `<label>/p` are the run's summary."""
        parts = {"answers": (ANSWERS, _answers), "verdicts": (VERDICTS, _verdicts), "arms": (ARMS, _arms),
                 "comparisons": (COMPARISONS, _comparisons), "controls": (CONTROLS, _controls)}  # fmt: skip
        tables = {k: self._wandb.Table(list(names), [*rows(summary)]) for k, (names, rows) in parts.items()}
        self._run.log({f"study/{name}": table for name, table in tables.items()})
        for label, answer, words in _answers(summary):
            self._run.summary.update({f"{label}/answer": answer, f"{label}/verdicts": words})
        for label, verdict, _, _, gain, _, _, p, _ in _verdicts(summary):
            self._run.summary.update({f"{label}/verdict": verdict, f"{label}/gain": gain, f"{label}/p": p})
        self._run.finish(exit_code=0)


def _answers(made: Mapping[str, Any]) -> Rows:
    for label, own in made["labels"].items():
        yield [label, own["answer"]["sentence"], own["answer"]["words"]]


def _verdicts(made: Mapping[str, Any]) -> Rows:
    for label, own in made["labels"].items():
        told = own["verdict"]
        pair = (told["arm"], told["baseline"])
        gain: dict[str, Any] = next((c["gain"] for c in own["comparisons"] if (c["arm"], c["baseline"]) == pair), {})
        numbers = [gain.get(k) for k in ("mean", "low", "high", "p")]
        yield [label, told["kind"], told["arm"], told["baseline"], *numbers, told["sentence"]]


def _arms(made: Mapping[str, Any]) -> Rows:
    for label, own in made["labels"].items():
        for arm, a in own["arms"].items():
            yield [label, arm, a["role"], a["stream"], a["mean"], a["low"], a["high"], sum(map(len, a["runs"]))]


def _comparisons(made: Mapping[str, Any]) -> Rows:
    for label, own in made["labels"].items():
        for c in own["comparisons"]:
            numbers = [c["gain"][k] for k in ("mean", "low", "high", "p")]
            told = [c["arm"], c["baseline"], c["verdict"]["kind"], *numbers]
            yield [label, *told, c["equivalence"]["shown"], c["detectable"]]


def _controls(made: Mapping[str, Any]) -> Rows:
    for label, own in made["labels"].items():
        for c in (c for c in own["comparisons"] if c["better"]):
            for k in c["controls"]:
                yield [label, c["arm"], k["arm"], *(k[what][key] for what in ("gain", "lead") for key in ("mean", "p"))]
