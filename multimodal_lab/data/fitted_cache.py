"""Learn from the training split what each stream needs, and remember it: the next run on the same data reads no sample again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from typing import Any, Literal, Protocol

import numpy as np

from multimodal_lab import progress
from multimodal_lab.bounds import Count
from multimodal_lab.data.content import packed, unpacked
from multimodal_lab.data.kind import StreamPlan, StreamStatistics
from multimodal_lab.data.loading.unreadable import Bad, OnError, find
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import SplitRows
from multimodal_lab.data.streams import band_checks, learnt_notes, whole_rows
from multimodal_lab.data.streams.own_scaling import OwnScaling
from multimodal_lab.data.streams.preset import Preset
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.data.streams.scaling import Scaling
from multimodal_lab.device.trim import trim
from multimodal_lab.files import json_hash

StatisticsFrom = Literal["train"] | Count | Preset


class FittedCache(Protocol):
    """A cache of plain JSON values, keyed by the plain JSON facts that they depend on."""

    def get(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """The value cached under these facts, if any."""
        ...

    def put(self, facts: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Cache a value."""
        ...


def unreadable(samples: SampleReader, on_error: OnError, most: float, memory: FittedCache | None, mark: str) -> Bad:
    """The rows that can't be read, see `find`; with a memory, what it knows. mark: the data's fingerprint."""
    trim()  # of what the split was made from
    return find(samples, on_error, most) if memory is None else _bad(samples, on_error, most, memory, mark)


def learn(
    samples: SampleReader,
    rows: np.ndarray,
    memory: FittedCache | None,
    mark: str,
    statistics: StatisticsFrom = "train",
) -> None:
    """Fill `samples.fitted` from `rows`, the readable ones of the training split.

    With a memory, only what it doesn't know is read; what is learnt goes there. mark: the data's fingerprint. statistics:
    what mean, deviation and scaling are learnt from, see `Data`.
    """
    if isinstance(statistics, Preset):
        statistics.require(getattr(samples.scaling, "choice", type(samples.scaling).__name__))
    some = _evenly(rows, statistics)
    learns = {name: kind.learns_statistics for name, kind in samples.kinds.items()}
    unknown = [*samples.plans]
    facts: dict[str, dict[str, Any]] = {}
    if memory is not None:
        taught = [named([samples.names[i] for i in own]) for own in (rows, some)]
        facts = {
            name: {**same(samples, mark), "of": "statistics", "stream": nameless(plan), "train": taught[learns[name]]}
            for name, plan in samples.plans.items()
        }
        unknown = _remembered(samples, memory, facts)
    if len(some) == len(rows):
        fit(samples, rows, unknown)
    else:  # a vocabulary is learnt from all texts, which no other stream is read for
        fit(samples, some, [name for name in unknown if learns[name]])
        if rest := [name for name in unknown if not learns[name]]:
            fit(samples.only(rest), rows)
    if memory is not None:
        for name in unknown:
            memory.put(facts[name], asdict(samples.fitted[name]))
    if isinstance(statistics, Preset):
        for name in (name for name, does in learns.items() if does):
            statistics.apply(name, samples.plans[name], samples.fitted[name])


def known_good(samples: SampleReader, memory: FittedCache | None, mark: str) -> bool:
    """Whether an earlier start has read every sample of these data for these streams, and found each as it should be."""
    return memory is not None and memory.get(_verified(samples, mark)) is not None


def remember_good(samples: SampleReader, memory: FittedCache | None, mark: str) -> None:
    """Remember that every sample has been read."""
    if memory is not None:
        memory.put(_verified(samples, mark), {"samples": len(samples.names)})


def restore_content(samples: SampleReader, memory: FittedCache | None, mark: str) -> None:
    """Take the digests of rows that an earlier start has read, and remember those that this one has."""
    if memory is None:
        return
    for name, digests in samples.content.digests.items():
        facts = {**same(samples, mark), "of": "content", "stream": nameless(samples.plans[name])}
        known = memory.get(facts)
        before = np.zeros_like(digests) if known is None else unpacked(known["digests"])
        new = (before == 0) & (digests > 0)
        digests[digests == 0] = before[digests == 0]
        if new.any():
            memory.put(facts, {"digests": packed(digests)})


def kind_notes(samples: SampleReader, splits: SplitRows, bad: Bad, memory: FittedCache | None, mark: str) -> list[str]:
    """`learnt_notes.of_kinds`; texts are looked at once for data, splits and what was learnt of them."""

    def remembered(name: str, rows: Mapping[str, np.ndarray], look: Callable[[], list[str]]) -> list[str]:
        if memory is None or samples.kinds[name].stored != "column":
            return look()
        told = {split: named([samples.names[i] for i in own]) for split, own in rows.items()}
        learnt = {"stream": nameless(samples.plans[name]), "learnt": json_hash(asdict(samples.fitted[name]))}
        facts = {**same(samples, mark), "of": "notes", "name": name, **learnt, "rows": told}
        if (known := memory.get(facts)) is None:
            known = {"notes": look()}
            memory.put(facts, known)
        return [str(said) for said in known["notes"]]

    return learnt_notes.of_kinds(samples, splits, bad, remembered)


def _verified(samples: SampleReader, mark: str) -> dict[str, Any]:
    plans = [nameless(plan) for plan in samples.plans.values()]
    return {**same(samples, mark), "of": "checked samples", "streams": plans}


def same(samples: SampleReader, mark: str) -> dict[str, Any]:
    """What all that is remembered of these data depends on."""
    gone = {name: packed(np.flatnonzero(away)) for name, away in samples.gone.items()}
    away = {"gone": json_hash(gone)} if gone else {}
    return {"data": mark, "choices": choices(samples), "ids": named(samples.names), **away}


def _evenly(rows: np.ndarray, statistics: StatisticsFrom) -> np.ndarray:
    """The rows, or so many of them, evenly spaced from the first to the last."""
    count = statistics.samples if isinstance(statistics, Preset) else statistics
    if isinstance(count, str) or count >= len(rows):
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


def note(samples: SampleReader, train: int, statistics: StatisticsFrom) -> list[str]:
    """What a run says of its bands, and of statistics that not all of its `train` samples taught."""
    said = band_checks.notes(samples)
    names = ", ".join(name for name, kind in samples.kinds.items() if kind.learns_statistics)
    if isinstance(statistics, Preset):
        return [
            *said,
            f"data.statistics: mean and deviation of {names} are those of {statistics.name}, not of the training split",
        ]
    if isinstance(statistics, str) or statistics >= train:
        return said
    return [*said, f"data.statistics: {names} are scaled by {statistics} of {train} training samples, evenly spaced"]


def _remembered(samples: SampleReader, memory: FittedCache, facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Put in place what is known under `facts`, one a stream; the names of the others."""
    found = {name: memory.get(own) for name, own in facts.items()}
    for name, known in found.items():
        if known is not None:
            samples.fitted[name] = StreamStatistics(**known)
    restore(samples, [name for name, known in found.items() if known is not None])
    return [name for name, known in found.items() if known is None]


def fit(samples: SampleReader, train: np.ndarray, names: Collection[str] | None = None) -> None:
    """Fill `samples.fitted` and `samples.tokens` from the rows `train`: scaling, components, statistics, tokenizers.

    Of the streams `names` only, where given. Every sample is read once, whatever its streams learn of it.
    """
    wanted = [name for name in samples.plans if names is None or name in names]
    learners = [samples.kinds[name].learner(samples, name, train) for name in wanted]
    seen = whole_rows.raws(samples, train) if learners else ()
    for row, raw in progress.track(seen, "reading the training split", len(train)):
        try:
            for one in learners:
                one.add(raw)
        except DataError as error:
            raise samples.named(row, error) from error
    for one in learners:
        one.finish()


def restore(samples: SampleReader, names: Collection[str] | None = None) -> None:
    """Make ready again what `samples.fitted` says was learnt, such as tokenizers; of the streams `names`, where given."""
    for name in samples.kinds if names is None else names:
        samples.kinds[name].restore(samples, name)


def choices(samples: SampleReader) -> dict[str, Any]:
    """How stored numbers become inputs: the scaling policy and its arguments, the resizing, the masking."""
    scaling = described(samples.scaling)
    masking = {"background": samples.background, "nodata": samples.nodata}
    return {"scaling": scaling, "resize": samples.resize.facts(), **masking}


def described(scaling: Scaling | OwnScaling) -> dict[str, Any]:
    """A scaling policy and its arguments."""
    own = scaling.policies if isinstance(scaling, OwnScaling) else None
    facts = vars(scaling) if own is None else {source: described(policy) for source, policy in own.items()}
    return {"policy": type(scaling).__name__, **facts}


def nameless(plan: StreamPlan) -> dict[str, Any]:
    """All of a plan but the name of its stream: two streams of one making are one."""
    return asdict(replace(plan, stored=replace(plan.stored, name="")))


def named(names: list[str]) -> str:
    """A hash of names in their order."""
    return json_hash(names)


def _bad(samples: SampleReader, on_error: OnError, most: float, memory: FittedCache, mark: str) -> Bad:
    if on_error == "raise":
        return Bad()
    plans = [nameless(plan) for plan in samples.plans.values()]
    facts = {**same(samples, mark), "of": "bad samples", "streams": plans, "max_bad": most}
    known = memory.get(facts)
    if known is not None:
        return Bad({int(row): str(why) for row, why in known.items()})
    bad = find(samples, on_error, most)
    if not bad.passing:
        memory.put(facts, {str(row): why for row, why in bad.why.items()})
    return bad
