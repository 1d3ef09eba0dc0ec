"""The results of a study as plain JSON (`study.json`), byte-identical for the same cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from multimodal_lab.runs import hashes
from multimodal_lab.stats.crossed import Crossed
from multimodal_lab.stats.score import ACCURACY
from multimodal_lab.stats.verdict import Difference
from multimodal_lab.study.analysis.acquire import acquire
from multimodal_lab.study.analysis.best_of_fewer import OverBest, beside, over_best, recorded
from multimodal_lab.study.analysis.by_class import by_class, by_group
from multimodal_lab.study.analysis.calibration import calibration
from multimodal_lab.study.analysis.judge import Answer, Judged, problems
from multimodal_lab.study.analysis.leak_gap import leak_gap
from multimodal_lab.study.analysis.methods import lead_of_methods
from multimodal_lab.study.analysis.modalities import modalities
from multimodal_lab.study.analysis.overlap import alike
from multimodal_lab.study.analysis.sentence import Lead, Seen, Unit, lead
from multimodal_lab.study.analysis.shapley import retrained, shares
from multimodal_lab.study.analysis.where import only_fusion, unknown_columns, where
from multimodal_lab.study.audit.record import warnings
from multimodal_lab.study.ledger import ledger, metric, tuning
from multimodal_lab.study.ledger.outcomes import Outcomes, Scores
from multimodal_lab.study.ledger.scoring import RECORDED

FILE = "study.json"


def record(found: Outcomes, answers: Sequence[Answer]) -> dict[str, Any]:
    """The whole of `study.json`; what is not finite is null."""
    study, seen = found.plan.study, modalities(found)
    best = (
        {}
        if study.compares == "methods"
        else over_best(answers, seen, found.test_per_train if found.finished else None)
    )
    made: dict[str, Any] = {
        "study": found.folder.name,
        "command": " ".join(["python -m multimodal_lab.run", *_folder_of(found), *found.plan.typed]),
        "question": asdict(study),
        **_made_of(found),
        "cells": {
            "total": len(found.entries),
            "finished": len(found.finished),
            "failed": [{"cell": e.cell.folder, "why": e.why} for e in found.unfinished if e.state == "failed"],
            "unfinished": [e.cell.folder for e in found.unfinished if e.state != "failed"],
        },
        "problems": problems(found),
        "tuning": tuning.tuning_record(found.plan, found.tried),
        "warnings": [
            *found.plan.warnings,
            *found.warnings,
            *_others(found),
            *warnings(found.audit, found.data),
            *(said for a in answers for said in a.beside),
            *(said for a in answers if a.scores for said in a.scores.by.left_out),
            *unknown_columns(found, answers),
        ],
        "labels": {a.label: _label(found, a, seen, best.get(a.label)) for a in answers},
        "subsets": {a.label: told for a in answers if (told := shares(found, a.label))} or None,
        "retrained": {a.label: told for a in answers if (told := retrained(found, a.label))} or None,
        "overlap": alike(found),
        "audit": _audit(found),
    }
    plain = _plain(made)
    assert isinstance(plain, dict)
    return plain


def _folder_of(found: Outcomes) -> list[str]:
    """The flag that adds the study's own config folder, where it was derived and lies beside its cells."""
    own = found.folder / "conf"
    return [f"--config-dir={own}"] if (own / "study").is_dir() else []


def _audit(found: Outcomes) -> dict[str, Any] | None:
    gap = leak_gap(found)
    if found.audit is None and not gap:
        return None
    known = found.audit or {"findings": []}
    return {**{k: v for k, v in known.items() if k != "of"}, "leak_gap": gap}


def _made_of(found: Outcomes) -> dict[str, Any]:
    """What the cells ran with, all that differ among them, and the first one's source and data."""
    first = found.finished[0].summary if found.finished else {}
    own = {
        hashes.OF_CONFIG,
        hashes.OF_SOURCE,
        hashes.OF_PREDICTIONS,
        hashes.OF_DATA,
        "provenance/seed",
        "provenance/code",
    }
    versions: dict[str, list[Any]] = {}
    for k, v in ((k, v) for e in found.finished for k, v in e.summary.items() if k.startswith("provenance/")):
        if k not in own and v not in versions.setdefault(k, []):
            versions[k].append(v)
    told = {
        k.removeprefix("provenance/"): held[0] if len(held) == 1 else " and ".join(sorted(map(str, held)))
        for k, held in versions.items()
    }
    return {"versions": told, "source": first.get(hashes.OF_SOURCE), "data": first.get(hashes.OF_DATA),
            "git": first.get("provenance/code")}  # fmt: skip


def _others(found: Outcomes) -> list[str]:
    if not (old := ledger.others(found.folder, found.plan)):
        return []
    return [f"{len(old)} directories are no cells of this study as it is now and not counted, such as {old[0]}"]


def _label(found: Outcomes, answer: Answer, seen: Seen, best: OverBest | None) -> dict[str, Any]:
    head, scores = answer.headline, answer.scores
    first = found.finished[0].summary
    chance = metric.chance(first, found.evaluator, answer.label)
    if scores is not None and scores.by.score.name not in RECORDED:
        chance = scores.by.constant
    score = scores.by.score if scores is not None else ACCURACY
    title = scores.by.title if scores is not None else ""
    unit = Unit(score, None if chance is None else score.sign * chance, title)
    methods = found.plan.study.compares == "methods"
    told = lead_of_methods(answer, unit) if methods else beside(lead(answer, seen, unit), best, unit, answer)
    said = _lead(told)
    if scores is None or head is None:
        return {
            "answer": said, "where": [], "only_fusion": None, "acquire": [],
            "best_of_fewer": None, "classes": [],
            "verdict": {"kind": "invalid", "arm": None, "baseline": None, "sentence": answer.why},
            "metric": None, "chance": None, "score": None, "n": 0, "groups": 0, "left_out": [], "seeds": [], "splits": [],
            "arms": {}, "comparisons": [], "calibration": None, "by_class": {}, "by_group": {"most": [], "count": 0},
        }  # fmt: skip
    classes = sorted(set(scores.truth.tolist()))
    by = scores.by
    return {
        "answer": said,
        "where": [] if methods else where(found, answer, told),
        "only_fusion": None if methods else only_fusion(found, answer, told),
        "acquire": [] if methods else acquire(found, answer, told),
        "verdict": {"kind": head.verdict.kind, "arm": head.of.arm, "baseline": head.of.baseline,
                    "sentence": head.verdict.sentence},
        "without": _without(answer),
        "best_of_fewer": recorded(best),
        "classes": classes if len(classes) <= max(2, len(scores.ids) // 2) else [],
        "metric": by.title, "chance": chance,
        "score": {"name": by.score.name, "unit": by.score.unit, "higher_is_better": by.score.higher_is_better,
                  "margin": by.margin, "why": by.why},
        "n": len(scores.ids), "groups": len(np.unique(scores.groups)), "left_out": scores.left_out,
        "seeds": scores.seeds, "splits": scores.splits,
        "arms": {arm: _arm(found, scores, arm, answer.means[arm]) for arm in scores.score},
        "comparisons": [_comparison(j) for j in answer.judged],
        "calibration": calibration(found, scores),
        "by_class": by_class(scores, classes),
        "by_group": by_group(scores, head.of),
    }  # fmt: skip


def _lead(told: Lead) -> dict[str, Any]:
    return {
        "sentence": told.sentence, "words": told.words,
        "directions": [
            {"over": d.over, "added": list(d.added), "arm": d.judged.of.arm, "kind": d.judged.verdict.kind, "clause": d.clause,
             "sentence": d.judged.verdict.sentence, "gain": _difference(d.judged.gain, d.judged.of.gain)}
            for d in told.directions
        ],
    }  # fmt: skip


def _without(answer: Answer) -> dict[str, Any] | None:
    """The collapsed runs and the verdict without their seeds."""
    if not answer.collapsed:
        return None
    own = answer.without
    verdict = None if own is None else {"kind": own.verdict.kind, "arm": own.of.arm, "baseline": own.of.baseline,
                                        "sentence": own.verdict.sentence}  # fmt: skip
    return {"runs": [asdict(one) for one in answer.collapsed], "verdict": verdict}


def _arm(found: Outcomes, scores: Scores, arm: str, mean: Crossed) -> dict[str, Any]:
    sign = scores.by.score.sign  # a loss is told as it is
    low, high = sorted((sign * mean.low, sign * mean.high))
    return {
        "role": found.plan.study.role(arm), "stream": scores.stream[arm], "mean": sign * mean.mean, "low": low, "high": high,
        "runs": (sign * np.nanmean(scores.score[arm], axis=2)).tolist(),
    }  # fmt: skip


def _comparison(judged: Judged) -> dict[str, Any]:
    c = judged.of
    return {
        "arm": c.arm, "baseline": c.baseline, "better": c.better, "verdict": asdict(judged.verdict),
        "gain": {**_difference(judged.gain, c.gain), "se": c.gain.se, "df": c.gain.df},
        "equivalence": {**asdict(judged.equivalence), "shown": judged.equivalence.shown},
        "detectable": c.detectable, "need": c.need.sentence, "by_seed": c.pairs.by_seed.tolist(),
        "bootstrap": asdict(c.bootstrap), "sign_flip": {**asdict(c.flips), "of": "groups"},
        "wilcoxon": {**asdict(c.ranks), "of": "seeds"}, "effect": {**asdict(c.effect), "name": "Hedges g_av",
                                                          "of": "runs only, not samples"},
        "wins": list(c.wins), "notes": c.notes,
        "controls": [
            {"arm": g.arm, "name": g.name, "gain": _difference(k.gain, g.gain), "lead": _difference(k.lead, g.lead)}
            for g, k in zip(c.controls, judged.controls, strict=True)
        ],
    }  # fmt: skip


def _difference(told: Difference, raw: Crossed) -> dict[str, float]:
    return {
        "mean": told.mean,
        "low": told.low,
        "high": told.high,
        "p": told.p,
        "p_raw": raw.p,
        "p_above": told.one_sided,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
