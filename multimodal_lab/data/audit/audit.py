"""Run every audit check on a prepared data set and collect the findings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from multimodal_lab.data.audit import captions, confound, copies, coverage, grid, groups, neighbours, pixels, vocabulary
from multimodal_lab.data.audit.column_names import classes
from multimodal_lab.data.audit.finding import Finding
from multimodal_lab.data.audit.membership import Parts, parts
from multimodal_lab.data.audit.view import View, view
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.source import DataError, content_columns
from multimodal_lab.data.split import linked
from multimodal_lab.data.split.auto import BOOKKEEPING
from multimodal_lab.data.split.split import SplitRows
from multimodal_lab.data.streams import band_checks


@dataclass(frozen=True)
class Audit:
    """What was found, what voids first. samples, streams, splits: what was looked at."""

    findings: list[Finding]
    samples: int
    streams: list[str]
    splits: list[str]

    @property
    def void(self) -> list[Finding]:
        """The findings for which no comparison stands."""
        return [f for f in self.findings if f.void]

    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        facts = {"samples": self.samples, "streams": self.streams, "splits": self.splits}
        return {"findings": [f.record() for f in self.findings], **facts}


def audit(
    data: Prepared,
    splits: Mapping[str, SplitRows] | None = None,
    labels: Collection[str] | None = None,
    fitted: str = "train",
) -> Audit:
    """Look at every sample once and at every split: see the modules of this package for what is looked for.

    splits: {name: rows of its parts}, such as the repeated splits of a study (`repeats`); None: the data's own. What is
    found in several is reported once, at its worst, with the names of the splits.
    labels: those that are judged; None: all. The data's other labels are columns like others. fitted: see `coverage.classes`.
    Deterministic: the same data and splits give the same findings. Beyond the reading of the data it takes some 30 ms a
    core for each held-out sample, image stream and split.
    """
    asked = dict(splits) if splits is not None else {"": data.splits}
    seen = view(data)
    found = [(name, f) for name, rows in asked.items() for f in _of(data, seen, rows, labels, fitted)]
    merged = _merged(found, len(asked))
    ranked = sorted(merged, key=lambda f: not f.void)
    return Audit(ranked, len(data.samples), list(data.streams), [n for n in asked if n])


def repeats(factory: Data, data: Prepared, seeds: Sequence[int]) -> dict[str, SplitRows]:
    """The splits that other seeds of `data.split.seed` give: {"split 3": rows}, as `factory.prepare` would make them.

    factory: the `Data` that `data` was prepared by. A seed that the data can't be split by is a `DataError`.
    """
    made = copy(factory.split)
    made.by, made.stratify, made.column = (data.facts["split"][k] for k in ("by", "stratify", "column"))
    found = {}
    for seed in seeds:
        made.seed = seed
        try:
            found[f"split {seed}"] = made.assign(data.samples)
        except DataError as error:
            raise DataError(f"data.split.seed={seed}: {error}") from error
    return found


def _of(data: Prepared, seen: View, rows: SplitRows, judged: Collection[str] | None, fitted: str) -> Iterator[Finding]:
    by = linked.within(data.facts["split"]["by"], data.samples)
    own = parts(rows, data.samples, data.groups, by, data.bad.why)
    yield from coverage.empty(own)
    if len(own.rows("train")) and len(own.rows("test")):
        yield from _full(data, seen, own, judged, fitted)


def _full(data: Prepared, seen: View, own: Parts, judged: Collection[str] | None, fitted: str) -> Iterator[Finding]:
    table, labels = data.samples, {n: v for n, v in _labels(data).items() if judged is None or n in judged}
    fields = [p.stored.field for p in data.reader.plans.values() if p.stored.field]
    skip = {*BOOKKEEPING, *fields, *content_columns(data.reader.source)}
    columns = [c for c in classes(table, skip) if c not in labels]
    if data.facts.get("hold") == "samples":
        yield _random()
    leaks = [*groups.leaks(table, own, columns if judged is not None else [*columns, *_labels(data)], _labels(data))]
    yield from leaks
    yield from groups.alike(own, _labels(data))
    yield from pixels.shared(data, own)
    yield from neighbours.neighbours(table, own)
    yield from copies.exact(seen, own, labels)
    yield from copies.contradictions(seen, own, labels)
    yield from coverage.classes(own, labels, data.classes, fitted)
    several = {
        n: v for n, v in data.targets.items() if v.ndim > 1 and data.classes[n] and (judged is None or n in judged)
    }
    yield from coverage.several(own, several, data.classes)
    yield from coverage.modalities(seen, own)
    told = [*skip, *(f.where for f in leaks)]
    yield from confound.confounds(own, labels, confound.candidates(table, seen, own, told))
    yield from copies.near(seen, own, labels)
    yield from captions.named(seen, own, labels, data.classes)
    yield from coverage.blanks(seen, own)
    yield from coverage.groups(own)
    for label in (*labels, *several):
        yield from vocabulary.spellings(label, vocabulary.counted(table, label))
    yield from grid.findings(table)
    yield from (f for f in band_checks.findings(data.reader) if f.kind in ("same bands", "band order"))


def _labels(data: Prepared) -> dict[str, np.ndarray]:
    """Labels of one class a sample; several labels a sample and numbers aren't looked at."""
    return {n: v for n, v in data.targets.items() if data.classes[n] and v.ndim == 1}


def _random() -> Finding:
    sentence = "data.split.group_policy=samples deals samples of one group over the parts: it serves the leak gap alone"
    return Finding("random split", "data.split.group_policy", sentence, True)


def _merged(found: list[tuple[str, Finding]], splits: int) -> list[Finding]:
    """One finding of each kind and place, that of the most samples, with the splits that have it where others don't."""
    same: dict[tuple[str, str, bool], list[tuple[str, Finding]]] = {}
    for name, finding in found:
        same.setdefault((finding.kind, finding.where, finding.void), []).append((name, finding))
    made = []
    for own in same.values():
        worst = max((f for _, f in own), key=lambda f: f.count)
        where = [name for name, _ in own]
        said = f" (in {', '.join(where)})" if splits > len(where) else ""
        made.append(replace(worst, sentence=worst.sentence + said))
    return made
