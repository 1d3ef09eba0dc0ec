"""What every finished cell predicted, as arrays that comparisons take: seeds x splits x samples, the same for all arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from multimodal_lab import digest
from multimodal_lab.problem import StudyError
from multimodal_lab.study import audit, ledger, plan, trials
from multimodal_lab.study.ledger import TOGETHER, Entry
from multimodal_lab.study.plan import Plan

WORDS = ("id", "truth", "predicted")
NUMBERS = ("group", "probability", "score")


@dataclass(frozen=True)
class Outcome:
    """One cell, one label, one stream: per held-out sample, in the order of ids.

    ids (n,) str; groups (n,) int64, as `Batch.groups`; truth, predicted (n,) str; score (n,) and probability (n,) as in
    `evaluate.predictions.Predicted`.
    """

    arm: str
    seed: int
    split: int
    label: str
    stream: str
    ids: np.ndarray
    groups: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray
    score: np.ndarray


@dataclass(frozen=True)
class Scores:
    """One label of some arms on the samples that all of them were judged on in every seed of a split.

    score[arm] (S, R, N) float, NaN where the sample is not in the split's test part; seeds (S,), splits (R,) and ids
    (N,) name the axes; groups (N,) int64; truth (N,) class names; stream[arm]: what was read. left_out: how many of a
    split's samples were judged in some arm or seed but not in all (a missing modality), by split.
    """

    label: str
    score: dict[str, np.ndarray]
    stream: dict[str, str]
    seeds: list[int]
    splits: list[int]
    ids: np.ndarray
    groups: np.ndarray
    truth: np.ndarray
    left_out: list[int]


@dataclass
class Outcomes:
    """A study's directory as it stands. entries: every cell that is compared; tried: every one that tuned them.

    invalid: why nothing in it may be compared. audit: what `audit.load` gives.
    """

    folder: Path
    plan: Plan
    entries: list[Entry]
    tried: list[Entry] = field(default_factory=list)
    evaluator: str = "probe"
    invalid: list[str] = field(default_factory=list)
    audit: dict[str, Any] | None = None
    _read: dict[tuple[str, str, str], Outcome | None] = field(default_factory=dict, repr=False)

    @cached_property
    def finished(self) -> list[Entry]:
        """The cells that count."""
        return [e for e in self.entries if e.state == "finished"]

    @property
    def unfinished(self) -> list[Entry]:
        """The cells that are still to be trained, failed ones among them."""
        return [e for e in self.entries if e.state != "finished"]

    @property
    def test_per_train(self) -> float:
        """Test samples per training sample, of the first finished cell: what a corrected test over splits needs."""
        summary = self.finished[0].summary
        return float(summary["data/test"] / summary["data/train"])

    @property
    def data(self) -> str | None:
        """The fingerprint of the data that the cells were trained on, of the first finished one."""
        return next((e.summary.get(digest.OF_DATA) for e in self.finished), None)

    def streams(self, arm: str, label: str) -> list[str]:
        """What the evaluator read the label from, in the finished cells of an arm; what speaks for the arm is last."""
        own = [e.summary for e in self.finished if e.cell.arm == arm]
        ends = f"/{label}/n"
        found = {k.split("/")[1] for s in own for k in s if k.startswith(f"{self.evaluator}/") and k.endswith(ends)}
        return sorted(found, key=lambda name: (name in TOGETHER, name))

    def outcome(self, entry: Entry, label: str, stream: str) -> Outcome | None:
        """What one finished cell predicted of one label from one stream; None where it was not judged."""
        key = (entry.cell.folder, label, stream)
        if key not in self._read:
            self._read[key] = _read(entry, self.evaluator, label, stream)
        return self._read[key]

    def scores(self, label: str, arms: Sequence[str] | None = None, streams: dict[str, str] | None = None) -> Scores:
        """Scores of a label, of every arm and control that has any finished cell.

        streams[arm]: what to read; `fused` by default, else `late`, else the arm's only stream. Seeds and splits are those
        that all of these arms have finished: a comparison is of pairs. `StudyError` where there are none.
        """
        wanted = list(arms or self.plan.study.overrides())
        there = [a for a in wanted if any(e.cell.arm == a for e in self.finished)]
        chosen = {a: (streams or {}).get(a) or (self.streams(a, label) or [""])[-1] for a in there}
        found = {
            (e.cell.arm, e.cell.seed, e.cell.split): o
            for e in self.finished
            if e.cell.arm in chosen and (o := self.outcome(e, label, chosen[e.cell.arm])) is not None
        }
        arms = [a for a in there if any(key[0] == a for key in found)]
        pairs = [(s, r) for s in self.plan.study.seeds for r in self.plan.study.splits]
        whole = [p for p in pairs if arms and all((a, *p) in found for a in arms)]
        seeds, splits = _rectangle(whole, self.plan.study.splits)
        if not seeds:
            raise StudyError(
                f"{self.folder}: {label}: no seed has been finished by all of {', '.join(there) or 'no arm'}"
            )
        return _aligned(label, found, arms, {a: chosen[a] for a in arms}, seeds, splits)


def load(folder: Path, evaluator: str = "probe") -> Outcomes:
    """The study in `folder`. `invalid` tells of mixed source or data; weak designs stand in `plan.warnings`."""
    made = plan.load(folder)
    found, tried = ledger.entries(folder, made.cells), ledger.entries(folder, made.tuning)
    for entry in found:
        if entry.state == "finished" and not {"data/test", "data/train"} <= entry.summary.keys():
            raise StudyError(f"{entry.folder / digest.SUMMARY}: not as a run writes it (no data/test, data/train)")
    invalid = [*ledger.mixed([*tried, *found]), *_unequal(found), *trials.problems(made, tried)]
    return Outcomes(folder, made, found, tried, evaluator, invalid, audit.load(folder))


def _unequal(found: Sequence[Entry]) -> list[str]:
    """Splits on which arms had other numbers of samples: no study plans that, but a directory may hold it."""
    said = []
    done = [e for e in found if e.state == "finished" and e.cell.role != "leak"]
    for split in dict.fromkeys(e.cell.split for e in done):
        parts: dict[tuple[int, int], str] = {}
        for e in done:
            if e.cell.split == split:
                parts.setdefault((int(e.summary["data/train"]), int(e.summary["data/test"])), e.folder.name)
        if len(parts) > 1:
            told = ", ".join(f"{train} and {test} in {name}" for (train, test), name in parts.items())
            said.append(f"arms were not trained and tested on the same samples of split {split}: {told}")
    return said


def _read(entry: Entry, evaluator: str, label: str, stream: str) -> Outcome | None:
    path = entry.folder / digest.PREDICTIONS
    try:
        table: Any = _table(path, entry.summary[digest.OF_PREDICTIONS])
    except (pa.ArrowException, OSError) as error:
        raise StudyError(f"{path}: can't be read ({str(error).splitlines()[0]})") from None
    if lacking := {*WORDS, *NUMBERS, "evaluator", "label", "stream"} - set(table.column_names):
        raise StudyError(f"{path}: not as a run writes it (no column {', '.join(sorted(lacking))})")
    for column, value in (("evaluator", evaluator), ("label", label), ("stream", stream)):
        table = table.filter(pc.equal(table[column], value))
    if not len(table):
        return None
    table = table.sort_by("id")
    words = {k: np.asarray(table[k].cast(pa.string()).to_numpy(zero_copy_only=False)).astype(str) for k in WORDS}
    numbers = {k: np.asarray(table[k].to_numpy()) for k in NUMBERS}
    return Outcome(
        entry.cell.arm, entry.cell.seed, entry.cell.split, label, stream, words["id"], numbers["group"],
        words["truth"], words["predicted"], numbers["probability"], numbers["score"],
    )  # fmt: skip


@lru_cache(maxsize=512)
def _table(path: Path, seal: str) -> Any:
    """A cell's predictions; `seal` is of their content, so that another file of this name is another table."""
    return pq.read_table(path)


def _rectangle(whole: Sequence[tuple[int, int]], order: Sequence[int]) -> tuple[list[int], list[int]]:
    """The seeds that have every split that any seed has."""
    splits = [r for r in order if any(p[1] == r for p in whole)]
    seeds = [s for s in dict.fromkeys(p[0] for p in whole) if all((s, r) in whole for r in splits)]
    return seeds, splits if seeds else []


def _aligned(
    label: str,
    found: dict[tuple[str, int, int], Outcome],
    arms: list[str],
    stream: dict[str, str],
    seeds: list[int],
    splits: list[int],
) -> Scores:
    common: list[np.ndarray] = []
    left_out: list[int] = []
    for r in splits:
        own = [found[a, s, r].ids for a in arms for s in seeds]
        counts = np.unique(np.concatenate(own), return_counts=True)
        common.append(counts[0][counts[1] == len(own)])
        left_out.append(int((counts[1] < len(own)).sum()))
    ids = np.unique(np.concatenate(common))
    groups, truth = np.zeros(len(ids), np.int64), np.empty(len(ids), dtype=object)
    score = {a: np.full((len(seeds), len(splits), len(ids)), np.nan) for a in arms}
    for (arm, seed, split), outcome in found.items():
        if arm in score and seed in seeds and split in splits:
            i, j = seeds.index(seed), splits.index(split)
            _, mine, theirs = np.intersect1d(common[j], outcome.ids, assume_unique=True, return_indices=True)
            places = np.searchsorted(ids, common[j][mine])
            score[arm][i, j, places] = outcome.score[theirs]
            groups[places], truth[places] = outcome.groups[theirs], outcome.truth[theirs]
    return Scores(label, score, stream, seeds, splits, ids, groups, truth, left_out)
