"""Where a run's numbers go: always `metrics.jsonl` and the terminal, and any tracker the config names."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from multimodal_lab.files import as_json


class Tracker(Protocol):
    """A place that follows a run: W&B, TensorBoard."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row of numbers at an optimizer step."""
        ...

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """The final scores and figures."""
        ...


class Wandb:
    """W&B, offline unless asked: files land in the run's own `wandb/`. One x-axis: the optimizer step.

    A resumed run keeps its W&B id. Steps repeated after a kill are sent again, with the same values at the same place. A
    cell of a study is in the study's group, and its job type is its arm.
    """

    def __init__(
        self,
        *,
        folder: Path,
        name: str,
        config: dict[str, Any],
        mode: Literal["offline", "online", "disabled"] = "offline",
        project: str = "multimodal_lab",
        entity: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
    ) -> None:
        study, arm = (
            (folder.resolve().parent.name, folder.name.rsplit("-s", 1)[0]) if config.get("study") else (None, None)
        )
        self._wandb, self._run = start_wandb(
            folder, mode, project=project, entity=entity, group=group or study, job_type=arm, tags=tags or None,
            name=name, config=config,
        )  # fmt: skip
        self._run.define_metric("optimizer_step")
        self._run.define_metric("*", step_metric="optimizer_step")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row."""
        self._run.log({"optimizer_step": step, **values})

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """The final scores as W&B's summary, the PNG figures as images."""
        self._run.summary.update(dict(summary))
        images = {f"figures/{p.stem}": self._wandb.Image(str(p)) for p in figures if p.suffix == ".png"}
        if images:
            self._run.log(images)
        self._run.finish(exit_code=0)


def start_wandb(folder: Path, mode: Literal["offline", "online", "disabled"], **facts: Any) -> tuple[Any, Any]:
    """The module `wandb` and a run of it in `folder`, whose id is kept there; facts: as `wandb.init` takes them."""
    import wandb

    own = folder / "wandb" / "id.txt"
    if not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(secrets.token_hex(8))
    resume: Literal["allow"] | None = "allow" if mode == "online" else None
    settings = wandb.Settings(silent=True, x_disable_stats=True, x_disable_meta=True)  # no argv, no environment
    run = wandb.init(id=own.read_text(), resume=resume, dir=str(folder), mode=mode, settings=settings, **facts)
    return wandb, run


class TensorBoard:
    """TensorBoard event files in the run's own `tensorboard/`."""

    def __init__(self, *, folder: Path, name: str, config: dict[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))  # type: ignore[no-untyped-call]
        self._writer.add_text(name, f"```\n{as_json(config, indent=1, default=str)}\n```")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One point in every curve."""
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """The final scores as scalars of their own."""
        for key, value in summary.items():
            if isinstance(value, (int, float)):
                self._writer.add_scalar(f"final/{key}", value)
        self._writer.close()


class Log:
    """One run's log: rows to `metrics.jsonl` and the trackers, progress with ETA to the terminal (plain lines elsewhere)."""

    def __init__(self, folder: Path, trackers: Iterable[Tracker] = (), main: bool = True) -> None:
        self.path = folder / "metrics.jsonl"
        self.trackers = list(trackers) if main else []
        self.main = main
        self.console = Console(stderr=False, soft_wrap=True, quiet=not main)
        self._bar: Progress | None = None
        self._said = 0.0

    def position(self) -> int:
        """Bytes of `metrics.jsonl`: what a checkpoint must remember."""
        return self.path.stat().st_size if self.main and self.path.is_file() else 0

    def rewind(self, position: int) -> None:
        """Cut `metrics.jsonl` back to `position`, so that a resumed run has each row once."""
        if self.main and self.path.is_file():
            if (found := self.path.stat().st_size) < position:
                self.say(f"{self.path}: {position - found} bytes of rows are missing from before the checkpoint")
            os.truncate(self.path, min(position, found))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row of numbers at an optimizer step."""
        if not self.main:
            return
        with self.path.open("a") as f:
            f.write(as_json({"step": step, **values}) + "\n")
        for tracker in self.trackers:
            tracker.scalars(step, values)

    def say(self, text: str) -> None:
        """One line to the terminal."""
        self.console.print(text, highlight=False, markup=False)

    def start(self, step: int, total: int) -> None:
        """Begin the progress display."""
        if self.main and sys.stdout.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._bar.start()
            self._bar.add_task("training", total=total, completed=step)
        self._began, self._first, self._total = time.monotonic(), step, total

    def progress(self, step: int, text: str) -> None:
        """Advance; without a terminal a plain line with the ETA, every five seconds at most and at the end."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=step, description=text)
            return
        now = time.monotonic()
        if now - self._said >= 5 or step == self._total:
            self._said = now
            eta = (now - self._began) / max(1, step - self._first) * (self._total - step)
            self.say(f"step {step}/{self._total} · {text} · ETA {eta:.0f} s")

    def stop(self) -> None:
        """End the progress display."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def finish(self, summary: Mapping[str, Any], figures: Iterable[Path]) -> None:
        """Give the trackers the final scores and figures, and close them."""
        paths = list(figures)
        for tracker in self.trackers:
            tracker.finish(summary, paths)
