"""Representation overlap and information decomposition of a study's modalities."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab import files
from multimodal_lab.config.problem import StudyError
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import kind, labelled
from multimodal_lab.stats import joint
from multimodal_lab.stats.exchange import thinned, too_few
from multimodal_lab.stats.overlap import overlap
from multimodal_lab.stats.pid import PER_CELL, codes, resampled_estimate
from multimodal_lab.stats.resample import Resampled
from multimodal_lab.study.analysis import shared_space
from multimodal_lab.study.ledger.ledger import Entry
from multimodal_lab.study.ledger.outcomes import Outcomes

EMBEDDINGS = "embeddings"
LIMIT = 500  # samples of a measure, whose cost grows with their square
PERMUTATIONS = 99
APART = "modality gap and alignment are not reported: no arm of this seed has streams that were trained into one space"
UNTAUGHT = (
    "what each alone and both tell of a label is not divided: it is learnt from embeddings of training samples, "
    "and there are none (embed.splits)"
)
CLASSES = 16  # of a label whose information is divided
COARSE = 8  # codes of a space, about, at most
NAMES = {
    "linear_cka": "linear CKA (debiased)", "kernel_cka": "kernel CKA (debiased)", "rsa": "RSA (Mantel)",
    "cca": "CCA (held out)", "svcca": "SVCCA (held out)", "pwcca": "PWCCA (held out)", "mutual_knn": "mutual k-NN",
    "uniformity": "uniformity", "modality_gap": "modality gap", "alignment": "alignment",
}  # fmt: skip
PARTS = {"redundant": "redundant", "unique1": "unique {0}", "unique2": "unique {1}", "synergy": "synergistic"}


def alike(found: Outcomes) -> dict[str, Any] | None:
    """Every measure between the baselines' own embeddings of the held-out samples, from before any fusion.

    Of the first seed on the first split that all of them have finished: one pair of models, whose interval is that of the
    samples. Beside them the modality gap and alignment in the fused arms of that seed and split that have one space for
    two streams. notes: what is not told, and why. None with fewer than two baselines, or where their embeddings have been
    removed.
    """
    cells = _cells(found)
    if len(cells) < 2:
        return None
    spaces = {arm: _load(e.folder / EMBEDDINGS) for arm, e in cells.items()}
    told, information, notes = _spreads(spaces), {}, []
    for a, b in combinations(spaces, 2):
        x, y = _paired(spaces[a], spaces[b])
        if not _enough(x.groups):
            continue
        told += [_measure([a, b], name, one) for name, one in _measures(x, y).items()]
        notes += [f"{a} and {b}: {said}" for said in [too_few(len(np.unique(x.groups)))] if said]
        if len(spaces) == 2 and all((e.split == "train").any() for e in spaces.values()):
            information = _information(found, (a, b), (spaces[a], spaces[b]), x, y)
        elif len(spaces) == 2:
            notes.append(UNTAUGHT)
    first = next(iter(cells.values())).cell
    near = _one_space(found, first.seed, first.split)
    notes += [] if near else [APART]
    return {
        "measures": told + near,
        "information": information,
        "notes": notes,
        "seed": first.seed,
        "split": first.split,
    }


def _spreads(spaces: dict[str, Embeddings]) -> list[dict[str, Any]]:
    told = []
    for arm, e in spaces.items():
        own = _there(e.select("test"))
        if _enough(own.groups):
            rows = thinned(own.groups, LIMIT)
            told.append(_measure([arm], "uniformity", joint.spread(_space(own)[rows], own.groups[rows])))
    return told


def _one_space(found: Outcomes, seed: int, split: int) -> list[dict[str, Any]]:
    told = []
    for entry in found.finished:
        cell = entry.cell
        if cell.arm not in found.plan.study.fused or (cell.seed, cell.split) != (seed, split):
            continue
        if not (names := shared_space.joined(entry.folder)) or not any((entry.folder / EMBEDDINGS).glob("*.parquet")):
            continue
        test = _load(entry.folder / EMBEDDINGS).select("test")
        for a, b, both in shared_space.pairs(test, names):
            own = test.rows(both)
            rows = thinned(own.groups, LIMIT)
            if not _enough(groups := own.groups[rows]):
                continue
            x, y = (own.projected[name][rows].astype(np.float64) for name in (a, b))
            near = joint.together(x, y, groups, permutations=PERMUTATIONS)
            told += [_measure([a, b], name, one, f" in {cell.arm}") for name, one in near.items()]
    return told


def _enough(groups: np.ndarray) -> bool:
    """Whether there are the four groups that a measure needs."""
    return len(np.unique(groups)) >= 4


def _cells(found: Outcomes) -> dict[str, Entry]:
    study = found.plan.study
    done = {(e.cell.arm, e.cell.seed, e.cell.split): e for e in found.finished}
    for split in study.splits:
        for seed in study.seeds:
            own = {b: done[b, seed, split] for b in study.baselines if (b, seed, split) in done}
            if len(own) == len(study.baselines) and all(
                any((e.folder / EMBEDDINGS).glob("*.parquet")) for e in own.values()
            ):
                return own
    return {}


def _load(folder: Path) -> Embeddings:
    try:
        return files.retried(lambda: Embeddings.load(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        if files.read_failure(error):
            raise
        said = str(error).splitlines()[0]
        raise StudyError(f"{folder}: not as a run writes it ({said}); remove it, and no overlap is told") from None


def _paired(a: Embeddings, b: Embeddings) -> tuple[Embeddings, Embeddings]:
    """The held-out samples that both have, in one order."""
    a, b = (_there(e) for e in (a.select("test"), b.select("test")))
    _, mine, theirs = np.intersect1d(np.asarray(a.ids), np.asarray(b.ids), return_indices=True)
    return a.rows(mine), b.rows(theirs)


def _there(e: Embeddings) -> Embeddings:
    return e.rows(next(iter(e.present.values())))


def _space(e: Embeddings) -> np.ndarray:
    return next(iter(e.vectors.values())).astype(np.float64)


def _measures(x: Embeddings, y: Embeddings) -> dict[str, Resampled]:
    return overlap(_space(x), _space(y), x.groups, limit=LIMIT, permutations=PERMUTATIONS)


def _measure(between: list[str], name: str, one: Resampled, where: str = "") -> dict[str, Any]:
    return {"between": between, "name": NAMES.get(name, name) + where, **_told(one)}


def _told(one: Resampled) -> dict[str, Any]:
    return {"value": one.value, "low": one.low, "high": one.high, "null": one.null, "p": one.p, "n": one.n}


def _information(
    found: Outcomes, names: tuple[str, str], spaces: tuple[Embeddings, Embeddings], x: Embeddings, y: Embeddings
) -> dict[str, Any]:
    """{label: {part: bits}} of the labels with few classes."""
    trains = [_there(e.select("train")) for e in spaces]
    told = {}
    for label in found.plan.study.labels:
        target = x.targets.get(label)
        if target is None or kind(target) != "classes" or len(x.classes.get(label, ())) > CLASSES:
            continue
        known = labelled(target)
        if len(np.unique(target[known])) < 2 or len(np.unique(x.groups[known])) < 4:
            continue
        # the finest codes whose parts still have an interval, two clusters within what is said of the label at least
        per_pair = PER_CELL * (len(np.unique(target[known])) - 1)
        count = int((len(np.unique(x.groups[known])) / per_pair) ** 0.5)
        first, second = (_codes(e, own, label, count)[known] for e, own in zip(trains, (x, y), strict=True))
        parts = resampled_estimate(first, second, target[known], x.groups[known])
        told[label] = {PARTS[name].format(*names): _told(one) for name, one in parts.items()}
    return told


def _codes(train: Embeddings, test: Embeddings, label: str, most: int = COARSE) -> np.ndarray:
    """(N,) what a linear reading says of the label, and within that a cluster: plain clusters go by what varies most."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    y = train.targets[label]
    known = labelled(y)
    reader = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)).fit(
        _space(train)[known], y[known]
    )
    said: np.ndarray = reader.predict(_space(test)).astype(np.int64)
    classes = len(np.unique(y[known]))
    count = max(1, min(COARSE // classes, max(2, most // classes)))
    return said if count == 1 else said * count + codes(_space(train), _space(test), count)
