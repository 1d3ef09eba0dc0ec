"""Examine a data set whatever is wrong with it: the stored samples one by one, then what a run would make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multimodal_lab.data.audit import baseline, damage, grid, vocabulary
from multimodal_lab.data.audit.audit import audit
from multimodal_lab.data.audit.finding import RANK, Finding
from multimodal_lab.data.audit.subset import Subset
from multimodal_lab.data.audit.survey import Survey, survey
from multimodal_lab.data.audit.tables import streams_table
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.bands import plan
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.data.streams.source_bands import asked_bands

QUICK = 64  # samples that statistics are learnt from here: none is trained on them


def refused(error: DataError) -> Finding:
    """What a run says of the data, as a finding."""
    return Finding("refused", "run", f"a run refuses these data: {error}", False, severity="error")


@dataclass
class Examination:
    """findings, the worst first. samples: of the set; looked: at so many. streams, splits, patterns: see `record`."""

    samples: int
    looked: int
    findings: list[Finding] = field(default_factory=list)
    streams: dict[str, Any] = field(default_factory=dict)
    patterns: dict[str, int] = field(default_factory=dict)
    splits: dict[str, Any] = field(default_factory=dict)

    @property
    def worst(self) -> str:
        """`error`, `warning`, `info` or, without a finding, `fine`."""
        return min((f.level for f in self.findings), key=RANK.index, default="fine")

    def record(self) -> dict[str, Any]:
        """In plain JSON types."""
        facts = {"samples": self.samples, "looked_at": self.looked, "worst": self.worst}
        tables = {"streams": self.streams, "patterns": self.patterns, "splits": self.splits}
        return {**facts, "findings": [f.record() for f in self.findings], **tables}


def examine(factory: Data, modality: Mapping[str, Mapping[str, Any]], limit: int | None) -> Examination:
    """Read the samples (`limit` of them, evenly spaced; None: all) as stored and as a run would, and tell what is found.

    factory: opened so that a file that can't be read is told when it is its turn (`data.on_error=skip`). modality: as for
    `Data.prepare`. The data are read twice. `DataError` where there is nothing to look at.
    """
    source, count = factory.source, len(factory.source.samples)
    if not count:
        raise DataError("data.source: it holds no samples")
    rows = np.arange(count) if limit is None or limit >= count else np.linspace(0, count - 1, limit).round().astype(int)
    plans = {n: plan(n, dict(own), asked_bands(source, n, own)) for n, own in modality.items()}
    reader = SampleReader(source, plans, factory.scaling, factory.resize, factory.background, factory.nodata, False)
    reader.units = {}
    seen = survey(reader, rows)
    made = Examination(count, len(rows), [*damage.findings(reader, seen)], streams_table(reader, seen), seen.patterns())
    made.findings += [*vocabulary.files(source.samples), *grid.findings(source.samples)]
    made.findings += baseline.of_names(source.samples)
    good = seen.good([name for name in reader.plans if damage.resized(reader, name)])
    kept = _sound(reader, seen, modality)
    if len(good) and kept:
        factory.source = source if len(good) == count else Subset(source, good)
        _as_a_run(factory, kept, made)
        factory.source = source
    made.findings.sort(key=lambda f: RANK.index(f.level))
    return made


def _sound(reader: SampleReader, seen: Survey, modality: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The modality without the bands that have one value throughout, and what no network would normalise by."""
    kept = {}
    for name, facts in modality.items():
        own = {k: v for k, v in facts.items() if k != "normalise"}
        ranges = seen.streams[name].ranges.facts()
        if reader.kinds[name].has_bands:
            bands = dict.fromkeys(b.name for b in reader.plans[name].stored.bands)
            pairs = zip(bands, ranges.get("low", ()), ranges.get("high", ()))
            left = [b for b, low, high in pairs if low is not None and low < high]
            own = own if len(left) == len(bands) else {**own, "bands": left}
            own.pop("pca", None)  # its components are no bands
        if own.get("bands", True):
            kept[name] = own
    return kept


def _as_a_run(factory: Data, modality: dict[str, Any], made: Examination) -> None:
    """The audit of the data as a run would prepare them; where it refuses them, that, and what else can be told."""
    factory.hold_to_units, factory.on_error, factory.verify, factory.fingerprint = False, "raise", "none", "quick"
    factory.statistics = factory.statistics if not isinstance(factory.statistics, str | int) else QUICK
    data = _prepared(factory, modality, made)
    if data is None:
        _of_table(factory, made)
        return
    for part, rows in data.splits.items():
        counts = {"samples": len(rows), "groups": len(np.unique(data.groups[rows]))}
        made.splits[part] = {**counts, "labels": data.counts[part]}
    told = {(f.kind, f.where) for f in made.findings}
    try:
        made.findings += [f for f in audit(data).findings if (f.kind, f.where) not in told]
    except DataError as error:  # of a sample that can be read, but not be brought to size
        made.findings.append(refused(error))


def _prepared(factory: Data, modality: dict[str, Any], made: Examination) -> Prepared | None:
    """What `prepare` gives: what it refuses is told, and left aside to see what else there is; None where it gives nothing."""
    for relax in (_nothing, _statistics, _classes):
        relax(factory)
        try:
            return factory.prepare(modality, 0)
        except DataError as error:
            if relax is not _classes and (told := refused(error)) not in made.findings:  # which nobody asked for
                made.findings.append(told)
    return None


def _of_table(factory: Data, made: Examination) -> None:
    """The labels of all samples, which can't be split."""
    table, labels = factory.source.samples, factory.labels if isinstance(factory.labels, list) else []
    counts = {label: vocabulary.counted(table, label) for label in labels}
    made.splits["all"] = {"samples": len(table), "groups": len(table), "labels": counts}
    for label, own in counts.items():
        made.findings += vocabulary.spellings(label, own)


def _nothing(factory: Data) -> None:
    """As it is configured."""


def _statistics(factory: Data) -> None:
    factory.statistics = QUICK


def _classes(factory: Data) -> None:
    factory.split.min_class_policy = "train"
