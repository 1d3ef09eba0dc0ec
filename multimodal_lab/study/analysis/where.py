"""Where does it add? Every class and subgroup of a label, and the samples on which only an arm of several modalities is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from multimodal_lab.runs.guarded_arrays import read_parquet
from multimodal_lab.stats.subgroups import FEWEST, LEVEL, Subgroup, subgroups
from multimodal_lab.study.analysis.judge import Answer
from multimodal_lab.study.analysis.overlap import EMBEDDINGS
from multimodal_lab.study.analysis.sentence import Direction, Lead
from multimodal_lab.study.ledger.outcomes import Outcomes, Scores
from multimodal_lab.text import some

Told = dict[str, Any]
MOST = 100  # subgroups of one column
SHOWN = 24  # samples of a gallery
RIGHT = 0.5  # of the seeds: right in more of them, or in fewer


def where(found: Outcomes, answer: Answer, told: Lead) -> list[Told]:
    """A table for every direction and column: `study.by`, by default the classes of the label. [] of what has no classes."""
    if answer.scores is None or not told.directions:
        return []
    columns = {name: _column(found, answer.scores, name) for name in found.plan.study.by or [answer.label]}
    return [
        _table(found, answer.scores, d, name, values)
        for d in told.directions
        for name, values in columns.items()
        if values is not None and 1 < len({*values.tolist()} - {None}) <= min(MOST, len(values) // 2)
    ]


def _table(found: Outcomes, scores: Scores, d: Direction, column: str, values: np.ndarray) -> Told:
    arm, over = d.judged.of.arm, d.judged.of.baseline
    sign = scores.by.score.sign
    first, both = (sign * scores.each[name] for name in (over, arm))
    rows = subgroups(first, both, scores.groups, values, found.test_per_train)
    return {
        "column": column, "over": over, "arm": arm, "added": list(d.added), "level": LEVEL,
        "sentence": _sentence(d, column, rows),
        "rows": [{"name": s.name, "n": s.n, "groups": s.groups, "found": s.found, "q": s.q, "p": s.gain.p,
                  "gain": {"mean": s.gain.mean, "low": s.gain.low, "high": s.gain.high}} for s in rows],
    }  # fmt: skip


def _sentence(d: Direction, column: str, rows: Sequence[Subgroup]) -> str:
    """What was found, with the verdict of the whole beside it where that is no gain."""
    tested = [s for s in rows if s.q is not None]
    parts = [_found(tested, word) for word in ("gains", "loses")]
    said = "; ".join(p for p in parts if p) or f"none of {len(tested)} is found to gain or to lose"
    left = f"; {len(rows) - len(tested)} could not be tested" if len(tested) < len(rows) else ""
    if not tested:
        said, left = f"none could be tested, as each of {len(rows)} has fewer than {FEWEST} groups", ""
    whole = "" if d.judged.verdict.kind == "adds" else f" (on the whole: {d.judged.verdict.kind} over {d.over})"
    return f"{' and '.join(d.added)} added to {d.over}, by {column}: {said}{left}{whole}"


def _found(rows: Sequence[Subgroup], word: str) -> str:
    own = sorted((s for s in rows if s.found == word), key=lambda s: -abs(s.gain.mean))
    names = some([s.name for s in own])
    return f"{len(own)} of {len(rows)} {'gain' if word == 'gains' else 'lose'} ({names})" if own else ""


def _column(found: Outcomes, scores: Scores, name: str) -> np.ndarray | None:
    """The value (N,) of a column for every sample, None where unknown; None where no finished cell keeps that column."""
    if name == scores.label:
        return scores.truth.astype(object)
    known: dict[str, str] = {}
    for split in scores.splits:
        for entry in (e for e in found.finished if e.cell.split == split):
            if own := _stored(entry.folder / EMBEDDINGS, name):
                known |= own
                break
    return np.array([known.get(i) for i in scores.ids.tolist()], dtype=object) if known else None


def _stored(folder: Any, name: str) -> dict[str, str]:
    """{id: value} of a label that stands beside the embeddings of a run."""
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = read_parquet(path, ["id", f"label.{name}"])
        except (OSError, ValueError, KeyError, pa.ArrowException):
            continue
        if f"label.{name}" not in table.column_names:
            continue
        values = table[f"label.{name}"].to_pylist()
        return {i: str(v) for i, v in zip(table["id"].to_pylist(), values, strict=True) if isinstance(v, str | int)}
    return {}


def only_fusion(found: Outcomes, answer: Answer, told: Lead) -> Told | None:
    """The samples that the first direction's arm tells in most seeds and no single modality does, most often first.

    by_chance: how many samples each control of the arm is alone in telling: what luck of the seeds gives. None where scores are
    not of right and wrong answers.
    """
    scores = answer.scores
    if scores is None or not told.directions or not right_or_wrong(scores):
        return None
    d = told.directions[0]
    arm, study = d.judged.of.arm, found.plan.study
    share = {a: np.nanmean(s, axis=(0, 1)) for a, s in scores.each.items()}
    singles = [b for b in study.baselines if b in share]
    alone = {
        a: _alone(share, a, singles)
        for a in (arm, *(n for n, c in study.controls.items() if c.of == arm and n in share))
    }
    ahead = share[arm] - np.max([share[s] for s in singles], axis=0)
    order = np.argsort(-ahead, kind="stable")
    chosen = [int(i) for i in order[alone[arm][order]][:SHOWN]]
    return {
        "arm": arm, "singles": singles, "count": int(alone[arm].sum()), "n": len(scores.ids),
        "by_chance": {a: int(rows.sum()) for a, rows in alone.items() if a != arm},
        "samples": [
            {"id": str(scores.ids[i]), "truth": str(scores.truth[i]), "right": {a: float(share[a][i]) for a in (*singles, arm)}}
            for i in chosen
        ],
    }  # fmt: skip


def _alone(share: dict[str, np.ndarray], arm: str, singles: Sequence[str]) -> np.ndarray:
    rows: np.ndarray = (share[arm] > RIGHT) & (np.max([share[s] for s in singles], axis=0) < RIGHT)
    return rows


def right_or_wrong(scores: Scores) -> bool:
    """Whether each sample shows a right or a wrong answer, as of accuracy and of balanced accuracy."""
    return all(bool(np.isin(s[~np.isnan(s)], (0.0, 1.0)).all()) for s in scores.each.values())


def unknown_columns(found: Outcomes, answers: Sequence[Answer]) -> Iterator[str]:
    """Names of `study.by` that no cell keeps, a sentence each."""
    scores = next((a.scores for a in answers if a.scores is not None), None)
    if scores is None:
        return
    for name in found.plan.study.by:
        if _column(found, scores, name) is None:
            yield f"study.by: no finished cell keeps the column {name} beside its embeddings, so that nothing is told by it"
