"""Predictions of all finished cells as arrays (seeds × splits × samples), aligned over arms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab.config.problem import StudyError
from multimodal_lab.runs import hashes
from multimodal_lab.study.audit import record as audit_record
from multimodal_lab.study.design import plan
from multimodal_lab.study.design.plan import StudyPlan
from multimodal_lab.study.ledger import ledger, metric, same_samples, tuning
from multimodal_lab.study.ledger.ledger import TOGETHER, Entry
from multimodal_lab.study.ledger.predictions import Outcome, not_so, read, same_as
from multimodal_lab.study.ledger.scoring import Scoring, require_scores, scoring, values
from multimodal_lab.text import some


@dataclass(frozen=True)
class Scores:
    """One label of some arms on the samples that all of them were judged on in every seed of a split.

    score[arm] (S, R, N) float, NaN where the sample is not in the split's test part; seeds (S,), splits (R,) and ids
    (N,) name the axes; groups (N,) int64; truth (N,) class names; stream[arm]: what was read. left_out: how many of a
    split's samples were judged in some arm or seed but not in all (a missing modality), by split. More of a score is better,
    and its mean over samples is that of the run, by `by` (see `scoring`); each[arm] (S, R, N) is what a sample shows by itself,
    in the score's own direction, such as 1 or 0 for a right or wrong answer. same_as[arm] (S,): the place
    of the first seed with the same predictions on every split, its own where there is none before.
    """

    label: str
    by: Scoring
    score: dict[str, np.ndarray]
    each: dict[str, np.ndarray]
    stream: dict[str, str]
    seeds: list[int]
    splits: list[int]
    ids: np.ndarray
    groups: np.ndarray
    truth: np.ndarray
    left_out: list[int]
    same_as: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Outcomes:
    """The current content of a study's directory. entries: every cell that is compared; tried: every one that tuned them.

    invalid: why nothing in it may be compared. warnings: what to know of its cells. audit: what `audit.record.load` gives.
    """

    folder: Path
    plan: StudyPlan
    entries: list[Entry]
    tried: list[Entry] = field(default_factory=list)
    evaluator: str = ""
    invalid: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    audit: dict[str, Any] | None = None
    _read: dict[tuple[str, str, str], Outcome | None] = field(default_factory=dict, repr=False)
    _by: dict[str, Scoring] = field(default_factory=dict, repr=False)

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
        return next((e.summary.get(hashes.OF_DATA) for e in self.finished), None)

    def cells(self, arm: str, scores: Scores) -> list[Entry]:
        """The finished cells of an arm whose seeds and splits were scored."""
        own = (e for e in self.finished if e.cell.arm == arm)
        return [e for e in own if e.cell.seed in scores.seeds and e.cell.split in scores.splits]

    def streams(self, arm: str, label: str) -> list[str]:
        """What the evaluator read the label from, or which heads told it; what speaks for the arm is last."""
        own = [e.summary for e in self.finished if e.cell.arm == arm]
        ends = f"/{label}/n"
        found = {k.split("/")[1] for s in own for k in s if k.startswith(f"{self.evaluator}/") and k.endswith(ends)}
        return sorted(found, key=lambda name: (name in TOGETHER, "@" not in name, name))

    def speaks(self, arm: str, label: str) -> str:
        """The stream that speaks for an arm: `fused`, else `late`, else its only one or head; `""` where none was judged."""
        return (self.streams(arm, label) or [""])[-1]

    def judged(self, label: str) -> dict[str, Outcome | None]:
        """{folder of each finished cell: what speaks for its arm}. `StudyError` as in `predictions.read`."""
        own = {arm: self.speaks(arm, label) for arm in {e.cell.arm for e in self.finished}}
        return {e.cell.folder: self.outcome(e, label, own[e.cell.arm]) for e in self.finished}

    def outcome(self, entry: Entry, label: str, stream: str) -> Outcome | None:
        """What one finished cell predicted of one label from one stream; None where it was not judged."""
        key = (entry.cell.folder, label, stream)
        if key not in self._read:
            self._read[key] = read(entry, self.evaluator, label, stream)
        return self._read[key]

    def scoring(self, label: str) -> Scoring:
        """By what a label is scored. `StudyError` where `study.score` doesn't fit it."""
        if label not in self._by:
            judged = self.judged(label)
            first: dict[int, Outcome] = {}
            for e in self.finished:
                if e.cell.role != "leak" and (o := judged[e.cell.folder]) is not None:
                    first.setdefault(e.cell.split, o)
            name = next(
                (m for e in self.finished if (m := metric.metric(e.summary, self.evaluator, label)) != "score"), ""
            )
            self._by[label] = scoring(self.plan.study, label, metric.KINDS.get(name, "classes"), [*first.values()])
        return self._by[label]

    def scores(self, label: str, arms: Sequence[str] | None = None, streams: dict[str, str] | None = None) -> Scores:
        """Scores of a label, of every arm and control that has any finished cell.

        streams[arm]: what to read; `fused` by default, else `late`, else the arm's only stream. Seeds and splits are those
        that all of these arms have finished: a comparison is of pairs. `StudyError` where there are none, where the arms have
        no sample of a split in common, and where a score is no number.
        """
        wanted = list(arms or self.plan.study.overrides())
        there = [a for a in wanted if any(e.cell.arm == a for e in self.finished)]
        chosen = {a: (streams or {}).get(a) or self.speaks(a, label) for a in there}
        found, by = {}, self.scoring(label)
        for e in self.finished:
            if e.cell.arm in chosen and (o := self.outcome(e, label, chosen[e.cell.arm])) is not None:
                require_scores(o, by)
                found[e.cell.arm, e.cell.seed, e.cell.split] = o
        arms = [a for a in there if any(key[0] == a for key in found)]
        pairs = [(s, r) for s in self.plan.study.seeds for r in self.plan.study.splits]
        whole = [p for p in pairs if arms and all((a, *p) in found for a in arms)]
        seeds, splits = _rectangle(whole, self.plan.study.splits)
        if not seeds:
            raise StudyError(
                f"{self.folder}: {label}: no seed has been finished by all of {', '.join(there) or 'no arm'}"
            )
        return _aligned(f"{self.folder}: {label}", label, by, found, arms, {a: chosen[a] for a in arms}, seeds, splits)


def load(folder: Path, evaluator: str | None = None) -> Outcomes:
    """The study in `folder`, by an evaluator, else by the one that judges its cells.

    `invalid` tells of mixed source, data or samples; weak designs stand in `plan.warnings`.
    `StudyError` where there is no plan, or a file of a finished cell is not as a run writes it.
    """
    made = plan.load(folder)
    tried = ledger.entries(folder, made.tuning)
    entries = ledger.entries(folder, made.cells)
    judged = hashes.judge(next((e.summary for e in entries if e.state == "finished"), {}))
    evaluator = evaluator or made.study.evaluator or judged
    found = Outcomes(folder, made, entries, tried, evaluator, audit=audit_record.load(folder))
    for entry in found.finished:
        wrong = [k for k in ("data/test", "data/train") if not _count(entry.summary.get(k))]
        if wrong:
            told = ", ".join(f"{k} is {entry.summary[k]}" if k in entry.summary else f"no {k}" for k in wrong)
            raise not_so(entry.folder / hashes.SUMMARY, f"{told}; expected whole numbers from 1")
    found.invalid += [*ledger.mixed([*tried, *found.entries]), *_samples(found), *tuning.problems(made, tried)]
    found.warnings += [*ledger.versions([*tried, *found.entries]), *_unjudged(found)]
    return found


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _samples(found: Outcomes) -> Iterator[str]:
    """Why cells of a split can't be compared, by the samples they were tested on; random splits have their own."""
    done = [e for e in found.finished if e.cell.role != "leak"]
    yield from same_samples.counts(done)
    for label in found.plan.study.labels:
        judged = found.judged(label)
        for split in found.plan.study.splits:
            own = [(e, o) for e in done if e.cell.split == split and (o := judged[e.cell.folder]) is not None]
            yield from same_samples.differences(split, label, own, found.evaluator)


def _unjudged(found: Outcomes) -> Iterator[str]:
    """Finished cells whose evaluator said nothing of a label that it judged elsewhere: their seed or split is left out."""
    for label in found.plan.study.labels:
        judged = found.judged(label)
        for split in found.plan.study.splits:
            own = [e for e in found.finished if e.cell.split == split and e.cell.role != "leak"]
            without = [e for e in own if judged[e.cell.folder] is None]
            arms = {e.cell.arm for e in own if judged[e.cell.folder] is not None}
            if own and not arms and any(o is not None for o in judged.values()):
                yield f"{label}: split {split} was judged by no arm and is left out"
            elif lost := [e.folder.name for e in without if e.cell.arm in arms]:
                yield f"{label}: no sample was judged in {some(lost, 3)}; seeds that lack a cell are left out"


def _rectangle(whole: Sequence[tuple[int, int]], order: Sequence[int]) -> tuple[list[int], list[int]]:
    """The seeds that have every split that any seed has."""
    splits = [r for r in order if any(p[1] == r for p in whole)]
    seeds = [s for s in dict.fromkeys(p[0] for p in whole) if all((s, r) in whole for r in splits)]
    return seeds, splits if seeds else []


def _aligned(
    where: str,
    label: str,
    by: Scoring,
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
        if not len(common[-1]):
            raise StudyError(f"{where}: no sample of split {r} was judged in every cell of {', '.join(arms)}")
    ids = np.unique(np.concatenate(common))
    groups, truth = np.zeros(len(ids), np.int64), np.empty(len(ids), dtype=object)
    score, each = ({a: np.full((len(seeds), len(splits), len(ids)), np.nan) for a in arms} for _ in range(2))
    for (arm, seed, split), outcome in found.items():
        if arm in score and seed in seeds and split in splits:
            i, j = seeds.index(seed), splits.index(split)
            _, mine, theirs = np.intersect1d(common[j], outcome.ids, assume_unique=True, return_indices=True)
            places = np.searchsorted(ids, common[j][mine])
            shared = outcome.rows(theirs)
            score[arm][i, j, places], each[arm][i, j, places] = values(by, shared)
            groups[places], truth[places] = shared.groups, shared.truth
    same = {a: same_as([[found[a, s, r] for r in splits] for s in seeds]) for a in arms}
    return Scores(label, by, score, each, stream, seeds, splits, ids, groups, truth, left_out, same)
