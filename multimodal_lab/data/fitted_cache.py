"""Learn from the training split what each stream needs, and remember it: the next run on the same data reads no sample again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np

from multimodal_lab import progress
from multimodal_lab.data.kind import StreamPlan, StreamStatistics
from multimodal_lab.data.loading.unreadable import Bad, OnError, find
from multimodal_lab.data.source import DataError
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.files import json_hash


class FittedCache(Protocol):
    """A cache of plain JSON values, keyed by the plain JSON facts that they depend on."""

    def get(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """The value cached under these facts, if any."""
        ...

    def put(self, facts: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Cache a value."""
        ...


def learn(
    samples: SampleReader, train: np.ndarray, on_error: OnError, most: float, memory: FittedCache | None, mark: str
) -> Bad:
    """Find the rows that can't be read, then fill `samples.fitted` from the rest of `train`.

    With a memory, only what it doesn't know is read; what is learnt goes there. mark: the data's fingerprint.
    """
    if memory is None:
        bad = find(samples, on_error, most)
        fit(samples, bad.good(train))
        return bad
    same = {"data": mark, "choices": choices(samples), "ids": named(samples.names)}
    bad = _bad(samples, on_error, most, memory, same)
    rows = bad.good(train)
    facts = {
        name: {**same, "of": "statistics", "stream": nameless(plan), "train": named([samples.names[i] for i in rows])}
        for name, plan in samples.plans.items()
    }
    found = {name: memory.get(own) for name, own in facts.items()}
    for name, known in found.items():
        if known is not None:
            samples.fitted[name] = StreamStatistics(**known)
    unknown = [name for name, known in found.items() if known is None]
    restore(samples, [name for name in found if name not in unknown])
    fit(samples, rows, unknown)
    for name in unknown:
        memory.put(facts[name], asdict(samples.fitted[name]))
    return bad


def fit(samples: SampleReader, train: np.ndarray, names: Collection[str] | None = None) -> None:
    """Fill `samples.fitted` and `samples.tokens` from the rows `train`: scaling, components, statistics, tokenizers.

    Of the streams `names` only, where given. Every sample is read once, whatever its streams learn of it.
    """
    wanted = [name for name in samples.plans if names is None or name in names]
    learners = [samples.kinds[name].learner(samples, name, train) for name in wanted]
    for row in progress.track(train, "reading the training split", len(train)) if learners else ():
        raw = samples.raw(int(row))
        try:
            for one in learners:
                one.add(raw)
        except DataError as error:
            raise samples.named(int(row), error) from error
    for one in learners:
        one.finish()


def restore(samples: SampleReader, names: Collection[str] | None = None) -> None:
    """Make ready again what `samples.fitted` says was learnt, such as tokenizers; of the streams `names`, where given."""
    for name in samples.kinds if names is None else names:
        samples.kinds[name].restore(samples, name)


def choices(samples: SampleReader) -> dict[str, Any]:
    """How stored numbers become inputs: the scaling policy and its arguments, the resizing, the masking."""
    scaling = {"policy": type(samples.scaling).__name__, **vars(samples.scaling)}
    masking = {"background": samples.background, "nodata": samples.nodata}
    return {"scaling": scaling, "resize": vars(samples.resize), **masking}


def nameless(plan: StreamPlan) -> dict[str, Any]:
    """All of a plan but the name of its stream: two streams of one making are one."""
    return asdict(replace(plan, stored=replace(plan.stored, name="")))


def named(names: list[str]) -> str:
    """A hash of names in their order."""
    return json_hash(names)


def _bad(samples: SampleReader, on_error: OnError, most: float, memory: FittedCache, same: Mapping[str, Any]) -> Bad:
    if on_error == "raise":
        return Bad()
    plans = [nameless(plan) for plan in samples.plans.values()]
    facts = {**same, "of": "bad samples", "streams": plans, "max_bad": most}
    known = memory.get(facts)
    if known is not None:
        return Bad({int(row): str(why) for row, why in known.items()})
    bad = find(samples, on_error, most)
    if not bad.passing:
        memory.put(facts, {str(row): why for row, why in bad.why.items()})
    return bad
