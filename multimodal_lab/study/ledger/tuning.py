"""Select each arm's best option from the validation scores of its finished tuning cells."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.study import Study
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.runs.records import DATA
from multimodal_lab.study.design.plan import Chosen, StudyPlan
from multimodal_lab.study.launch.status import score as label_score
from multimodal_lab.study.ledger.ledger import Entry

LOSS = "val/total"
Places = dict[tuple[str, int], list[list[Entry]]]  # {(arm, split): for each option its runs, one a seed}


def chosen(study: Study, tried: Sequence[Entry]) -> Chosen:
    """The best option of every arm on every split, of equal ones the first; {} until every tuning cell is finished."""
    if not tried or any(e.state != "finished" for e in tried):
        return {}
    best: Chosen = {}
    for (arm, split), own in _by_place(study, tried).items():
        scores = [_mean(study, runs) for runs in own]
        best.setdefault(arm, {})[str(split)] = max(range(len(own)), key=lambda i: (scores[i], -i))
    return best


def score(study: Study, entry: Entry) -> float:
    """What an option is worth, larger is better; one that is no number is worth less than any.

    `StudyError` where its validation part was judged on no label of the study.
    """
    assert study.tune is not None
    if study.tune.score == "loss":
        found = [-float(entry.summary[LOSS])] if LOSS in entry.summary else []
    else:
        found = [s for label in study.labels if (s := label_score(entry, label, study.evaluator)) is not None]
    if not found:
        what = LOSS if study.tune.score == "loss" else f"score of {', '.join(study.labels)}"
        raise StudyError(f"{entry.folder}: nothing to compare options by: no {what} on its validation part")
    value = statistics.fmean(found)
    return value if math.isfinite(value) else -math.inf


def tuning_record(made: StudyPlan, tried: Sequence[Entry]) -> dict[str, Any] | None:
    """What was tried and chosen, as plain values; None where the study tunes nothing."""
    tune = made.study.tune
    if tune is None:
        return None
    arms: dict[str, dict[str, Any]] = {}
    for (arm, split), own in _by_place(made.study, tried).items():
        scores = [_mean(made.study, runs) if _done(made.study, runs) else None for runs in own]
        arms.setdefault(arm, {})[str(split)] = {
            "tried": sum(s is not None for s in scores), "scores": scores, "chosen": made.chosen.get(arm, {}).get(str(split)),
        }  # fmt: skip
    return {"options": tune.options, "score": tune.score, "seeds": tune.seeds, "set": tune.set, "arms": arms,
            "evaluator": made.study.evaluator or "probe",
            "like": {name: c.of for name, c in made.study.controls.items()}}  # fmt: skip


def problems(made: StudyPlan, tried: Sequence[Entry]) -> list[str]:
    """Why arms were not tuned alike, or not as they say, a sentence each: no comparison of them stands.

    `StudyError` where a record of what was tried can't be read.
    """
    if made.study.tune is None:
        return []
    places = _by_place(made.study, tried)
    arms = [*made.study.arms, *(a for a in made.retrained.values() if a not in made.study.arms)]
    every = [(arm, split) for arm in arms for split in made.study.splits]
    if lacking := [*_counts(made, places, every)]:
        return ["arms were not tuned alike: " + ", ".join(lacking)]
    found = []
    if chosen(made.study, tried) != made.chosen:
        found.append("the tuning cells now choose otherwise than the arms were trained; run the study again")
    return [*found, *_seen(made, tried)]


def _counts(made: StudyPlan, places: Places, every: Sequence[tuple[str, int]]) -> Iterator[str]:
    assert made.study.tune is not None
    whole = len(made.study.tune.options)
    for arm, split in every:
        done = sum(_done(made.study, runs) for runs in places.get((arm, split), ()))
        if done < whole:
            yield f"{arm} tried {done} of {whole} configurations on split {split}"


def _seen(made: StudyPlan, tried: Sequence[Entry]) -> Iterator[str]:
    """Splits on which the choice has seen samples that its cells are tested on: where tuning cells have a split of their own."""
    assert made.study.tune is not None
    if not made.study.tune.set:
        return
    folder = tried[0].folder.parent
    for split in made.study.splits:
        first = next(e.folder for e in tried if e.cell.split == split)
        tests = [
            folder / c.folder
            for c in made.cells
            if c.split == split
            and c.role in ("baseline", "fused", "reference", "method")
            and (folder / c.folder / DATA).exists()
        ][:1]
        for own in tests:
            parts, held = (_parts(f / DATA) for f in (first, own))
            if both := {*parts.get("train", ()), *parts.get("val", ())} & {*held.get("test", ())}:
                yield (f"tuning on split {split} has seen {len(both)} samples that its cells are tested on: study.tune.set "
                       "must leave the test part as it is")  # fmt: skip


def _parts(path: Path) -> dict[str, list[str]]:
    """{split: ids} of a run; `StudyError` where its record does not hold them."""
    try:
        found = read_json(path)
        parts: dict[str, list[str]] = dict(found["splits"])
        sound = all(isinstance(own, list) and all(isinstance(i, str) for i in own) for own in parts.values())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: can't be read ({error}); expected the ids of every split under splits") from None
    if not sound:
        raise StudyError(f"{path}: not as a run writes it; expected a list of ids for every split under splits")
    return parts


def _by_place(study: Study, tried: Sequence[Entry]) -> Places:
    assert study.tune is not None
    found: Places = {}
    for e in tried:
        runs = found.setdefault((e.cell.arm, e.cell.split), [[] for _ in study.tune.options])
        if e.cell.option in range(len(runs)):
            runs[e.cell.option or 0].append(e)
    return found


def _done(study: Study, runs: Sequence[Entry]) -> bool:
    """Whether an option was tried with every seed."""
    assert study.tune is not None
    return {e.cell.seed for e in runs if e.state == "finished"} == {*study.tune.seeds}


def _mean(study: Study, runs: Sequence[Entry]) -> float:
    return statistics.fmean(score(study, e) for e in sorted(runs, key=lambda e: e.cell.seed))
