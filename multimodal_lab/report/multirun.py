"""The result table of a sweep: choices and scores of each job."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from multimodal_lab.files import write_text
from multimodal_lab.metric.direction import Scored, chance_key, shown
from multimodal_lab.report import choices
from multimodal_lab.report.summary import words
from multimodal_lab.runs.directory import CONFIG, ERROR, holder, last_error
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.runs.hashes import SUMMARY
from multimodal_lab.runs.records import JOB, read_job
from multimodal_lab.runs.summary import of_split
from multimodal_lab.text import printable

NOTHING = "stopped or killed"  # neither a summary.json nor an error.txt
REPEATED = ("seed", "fold")  # last words of keys that repeat a setting and are none themselves: data.source.fold
TEST = (
    "these are scores of the test split, which is read once: to choose between settings, sweep with eval_split=val, then read "
    "the test split of the chosen run by python -m multimodal_lab.evaluate run=DIR eval_split=test"
)


def collect(folders: Sequence[Path], scored: Sequence[Scored] = ()) -> pd.DataFrame:
    """One row a run: `run`, `status` (`done`, or why not), what was chosen, its `seed`, and its main scores.

    A run without a readable summary stays, as failed. Main scores: what evaluators show (`scored`), of pairs the first of
    it, such as R@1; chance, wall time. `attrs["chosen"]`: the columns of what was chosen; `attrs["test"]`: whether any score
    is of the test split.
    """
    found = [_summary(folder) for folder in folders]
    summaries = [one if isinstance(one, dict) else None for one in found]
    made = [_encodable(row) for row in choices.of(folders, summaries)]
    rows, test = [], False
    for folder, chosen, one in zip(folders, made, found, strict=True):
        summary = one if isinstance(one, dict) else {}
        split, scores = of_split(summary)
        main = {k: number(v) for e in scored for k, v in _main(scores, e)}
        test = test or (bool(main) and split == "test")
        main |= {k: number(v) for k, v in scores.items() if k.startswith(("chance/", "chance@"))}
        main = main if split == "test" else {f"{split}/{k}": v for k, v in main.items()}
        rest = {k: v for k, v in summary.items() if k == "cost/wall_s"}
        told = _encodable({"run": folder.name, "status": "done" if summary else one})
        rows.append({**told, **chosen, **_encodable(main), **rest})
    runs = pd.DataFrame(rows)
    runs.attrs["chosen"] = [*dict.fromkeys(k for row in made for k in row if k != "seed")]
    runs.attrs["test"] = test
    return runs


def table(folder: Path, scored: Sequence[Scored] = ()) -> RenderableType:
    """Collect every run below `folder` into `folder/sweep.csv`; return the terminal's tables: means ± sd over seeds.

    A row is a setting (all that was chosen but the seed) and a label, a column a stream; pairs of streams stand below, where
    settings are compared by test scores a sentence about that, and the jobs that failed, each with why. The CSV has all main
    scores of each run. scored: what the runs' evaluators state.
    """
    there = {p.parent for name in (CONFIG, JOB, ERROR, SUMMARY) for p in folder.glob(f"*/{name}")}
    folders = sorted(there, key=lambda p: (len(p.name), p.name))
    if not folders:
        return Text(f"no runs in {folder}")
    runs = collect(folders, scored)
    write_text(folder / "sweep.csv", runs.to_csv(index=False))
    groups = choices.columns(runs)
    title = f"{len(runs)} runs, all scores in {folder / 'sweep.csv'}; ± is over seeds"
    if any(str(c).startswith("val/") for c in runs.columns):
        title, runs = f"{title}, on the validation split", runs.rename(columns=lambda c: str(c).removeprefix("val/"))
    found = shown(scored, [str(c) for c in runs.columns])
    labels = [e for e in found if e.by == "label"] or [Scored("", by="label", beside_chance=True)]
    titles = [title, *(e.title or f"by {e.name}" for e in labels[1:])]
    drawn = [_labels(runs, groups, e, t) for e, t in zip(labels, titles, strict=True)]
    settings = [key for key in groups if key.rpartition(".")[2] not in REPEATED]
    told = [Text(TEST)] if settings and runs.attrs["test"] else []
    others = (_others(runs, groups, e) for e in found if e.by != "label")
    return Group(*drawn, *others, *told, *_failed(folder, runs, groups))


def _failed(folder: Path, runs: pd.DataFrame, groups: list[str]) -> Iterator[Text]:
    """A line for each job without results, and one for those that have not begun."""
    for _, row in runs[runs["status"] != "done"].iterrows():
        setting = " ".join(f"{k}={row[k]}" for k in [*groups, "seed"] if row[k] != "")
        yield Text(f"failed: {folder / row['run']}{f' ({setting})' if setting else ''}: {row['status']}")
    jobs = max(read_job(folder / name)["of"] for name in runs["run"])
    if jobs > len(runs):
        yield Text(f"{jobs - len(runs)} of {jobs} jobs have not begun")


def _parts(runs: pd.DataFrame, groups: list[str]) -> list[tuple[list[str], pd.DataFrame]]:
    """The runs of each set of choices, and how many they are, failed ones told."""
    parts = list(runs.groupby(groups, sort=False, dropna=False)) if groups else [((), runs)]
    failed = [int((part["status"] != "done").sum()) for _, part in parts]
    counts = [f"{len(part)}" + (f" ({n} failed)" if n else "") for (_, part), n in zip(parts, failed, strict=True)]
    return [([*map(str, key), count], part) for (key, part), count in zip(parts, counts, strict=True)]


def _labels(runs: pd.DataFrame, groups: list[str], e: Scored, title: str) -> Table:
    columns = [*map(str, runs.columns)]
    scores = [c.split("/") for c in columns if e.name and c.startswith(f"{e.name}/")]
    streams = sorted(dict.fromkeys(parts[1] for parts in scores), key="fused".__eq__)
    rows = dict.fromkeys((parts[2], parts[3]) for parts in scores)
    drawn = _table([*groups, "runs", "label"], [*(["chance"] if e.beside_chance else []), *streams], title)
    several = len({label for label, _ in rows}) < len(rows)
    first = dict(reversed(rows))  # chance is of that score alone
    for head, part in _parts(runs, groups):
        for label, word in rows or [("", "")]:
            by = chance_key(columns, e.name, label) if e.way(word) == "max" and first.get(label, word) == word else ""
            chance = [_spread(part, by)] if e.beside_chance else []
            cells = [_spread(part, f"{e.name}/{stream}/{label}/{word}") for stream in streams]
            drawn.add_row(*map(printable, (*head, f"{label} {word}" if several else label, *chance, *cells)))
    return drawn


def _others(runs: pd.DataFrame, groups: list[str], e: Scored) -> Table:
    """Scores of pairs of streams, without those of fused, or of streams alone: a column each."""
    columns = [c for c in map(str, runs.columns) if c.startswith(f"{e.name}/")]
    columns = [c for c in columns if e.by != "pair" or "fused" not in c]
    last = dict.fromkeys(c.rpartition("/")[2] for c in columns)
    one = len(last) == 1
    titles = [c.split("/")[1] if one else " ".join(c.split("/")[1:]) for c in columns]
    drawn = _table([*groups, "runs"], titles, f"{e.title or e.name}: {', '.join(last)}")
    for head, part in _parts(runs, groups):
        drawn.add_row(*map(printable, head), *(_spread(part, c) for c in columns))
    return drawn


def _table(left: list[str], right: list[str], title: str) -> Table:
    drawn = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in left:
        drawn.add_column(printable(column))
    for column in right:
        drawn.add_column(column, justify="right", no_wrap=True)
    return drawn


def _main(summary: Mapping[str, Any], e: Scored) -> Iterator[tuple[str, Any]]:
    """The main scores of one evaluator."""
    own = [*words(summary, e)]
    wanted = own[:1] if e.by == "pair" else own
    length = {"label": 4, "pair": 3, "name": 3}.get(str(e.by), 0)
    for key, value in summary.items():
        parts = key.split("/")
        if parts[0] == e.name and parts[-1] in wanted and len(parts) == length:
            yield key, value


def _encodable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose texts any table takes: what was typed, or a folder, may be of bytes that are no text."""
    return {printable(k): printable(v) if isinstance(v, str) else v for k, v in row.items()}


def number(value: object) -> float:
    """A value of a summary, which anyone may have written, as a number; NaN where it is none."""
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan


def _spread(part: pd.DataFrame, column: str) -> str:
    known = part[column].dropna() if column in part else part.iloc[:0, 0]
    if known.empty:
        return "–"
    sd = known.std() if len(known) > 1 else math.nan
    return f"{known.mean():.3f}" + ("" if math.isnan(sd) else f" ± {sd:.3f}")


def _summary(folder: Path) -> dict[str, Any] | str:
    """What a run has ended with; of one that has not, why."""
    if owner := holder(folder):
        return f"running: process {owner}"
    try:
        found = read_json(folder / SUMMARY)
        return found if isinstance(found, dict) and found else f"{SUMMARY} holds no scores"
    except FileNotFoundError:
        return last_error(folder) or NOTHING
    except (OSError, ValueError) as error:
        return f"{SUMMARY} can't be read ({error})"
