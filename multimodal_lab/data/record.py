"""The data record of a run (`data.json`): written with it, restored to preprocess new files identically."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from multimodal_lab.data.fitted_cache import choices
from multimodal_lab.data.fitted_cache import restore as restore_tokens
from multimodal_lab.data.kind import StreamPlan, StreamStatistics
from multimodal_lab.data.learnt_form import require_learnt
from multimodal_lab.data.source import DataError, Source
from multimodal_lab.data.split.split import SplitRows
from multimodal_lab.data.streams import scaling, taken_frames
from multimodal_lab.data.streams.own_scaling import OwnScaling, of_stream
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.text import show
from multimodal_lab.types import Stream

RESIZING = {"rule": "resize", "fit": "resize_mode"}  # a `Resize`'s own names, where keys of `data` have others
BEFORE = {"nodata": "any"}  # choices that runs of earlier versions did not have
CHOICES = {policy.__name__: policy.choice for policy in vars(scaling).values() if hasattr(policy, "choice")}


def record(
    samples: SampleReader,
    streams: Mapping[str, Stream],
    splits: SplitRows,
    why: Mapping[int, str],
    **facts: Any,
) -> dict[str, Any]:
    """In plain JSON types: facts, choices, splits as lists of ids, what each stream learnt, and why rows are bad.

    streams: the finished ones, targets too. why: {row that can't be read: the reason}.
    """
    names = samples.names
    return {
        **facts,
        "choices": choices(samples),
        "bad": {names[row]: reason for row, reason in why.items()},
        "splits": {split: [names[i] for i in rows] for split, rows in splits.items()},
        "streams": {name: _stream(samples, name, streams[name]) for name in samples.plans},
    }


def choice(record: Mapping[str, Any], key: str) -> Any:
    """What the run of a record chose for `key` of `choices`."""
    return record["choices"][key] if key not in BEFORE else record["choices"].get(key, BEFORE[key])


def _stream(samples: SampleReader, name: str, done: Stream) -> dict[str, Any]:
    plan = samples.plans[name]
    taken = taken_frames.of_stream(samples.source, plan)
    return {
        "kind": done.kind,
        "target": plan.target,
        "stored": [[b.name, b.nm, b.unit] for b in plan.stored.bands],
        "bands": [[b.name, b.nm, b.unit] for b in done.bands],
        "length": done.length,
        "resize": plan.resize,
        "normalise": plan.normalise,
        **({"frames": taken} if taken else {}),
        **asdict(samples.fitted[name]),
    }


def restore(frozen: dict[str, Any], samples: SampleReader, fingerprint: str) -> SplitRows:
    """Restore in `samples` what a trained run fitted; return its splits if the data are the same, else none.

    Raises `DataError` where a stream is new to the run, its bands differ, or scaling, resizing or masking differ.
    """
    for key, now in choices(samples).items():
        then = choice(frozen, key)
        if key == "scaling" and OwnScaling.__name__ in (now["policy"], then["policy"]):
            _require_policies(samples, frozen, now, then)
        elif now != then:
            raise DataError("; ".join(_differences(key, now, then)))
    for name, plan in samples.plans.items():
        if name not in frozen["streams"]:
            raise DataError(f"modality: the run has no stream {name!r}; it has {', '.join(frozen['streams'])}")
        facts = frozen["streams"][name]
        bands = [b.name for b in plan.stored.bands]
        trained = [b[0] for b in facts["stored"]]
        if bands != trained:
            raise DataError(
                f"modality.{name}: takes bands {', '.join(bands)}, but the run was trained on {', '.join(trained)}"
            )
        _require_steps(name, plan, facts.get("steps"))
        if (now := plan.resize) != (then := facts.get("resize", {})):
            here, was = (show(own) if own else "data.size" for own in (now, then))
            raise DataError(f"modality.{name}: resized by {here} here, but the run was trained with {was}")
        _require_frames(name, samples.source, plan, facts.get("frames", {}))
        known = {
            k: facts[k] for k in StreamStatistics.__dataclass_fields__ if k in facts
        }  # an earlier version had fewer
        require_learnt(name, facts, samples.policies[name])
        samples.fitted[name] = StreamStatistics(**known)
    restore_tokens(samples)
    if frozen["fingerprint"] != fingerprint:
        return {}
    places = {str(name): i for i, name in enumerate(samples.table["id"])}
    return {split: np.array([places[i] for i in ids], dtype=np.int64) for split, ids in frozen["splits"].items()}


def _require_policies(samples: SampleReader, frozen: Mapping[str, Any], now: Any, then: Any) -> None:
    """`DataError` where a stream of sources with policies of their own is not scaled as in the run, whatever they are called."""
    for name in (n for n, kind in samples.kinds.items() if kind.has_bands and n in frozen["streams"]):
        here = of_stream(now, name, {"field": samples.plans[name].stored.field})
        was = of_stream(then, name, frozen["modality"].get(name, {}))
        if here != was:
            raise DataError(
                f"data.scaling: stream {name} is scaled by {show(here)} here, but the run was trained with {show(was)}"
            )


def _require_steps(name: str, plan: StreamPlan, trained: int | None) -> None:
    """`DataError` where a stream has another time axis than the run's."""
    if plan.timed != (trained is not None) or plan.stored.steps not in (None, trained):
        here, then = (plan.stored.steps or "null" if plan.timed else "not given"), trained or "no time axis"
        raise DataError(f"modality.{name}.steps is {here} here, but the run was trained with {then}")


def _require_frames(name: str, source: Source, plan: StreamPlan, trained: Mapping[str, Any]) -> None:
    """`DataError` where a store holds other frames of videos than the run was trained with; of videos the config says which."""
    here, then = taken_frames.difference(taken_frames.of_stream(source, plan), trained)
    if here and taken_frames.of_store(source, plan):
        raise DataError(
            f"stream {name}: the store holds the frames of {here}, but the run was trained with {then}; pack the videos with "
            "those, or give the videos themselves"
        )


def _differences(key: str, now: Any, then: Any) -> Iterator[str]:
    """A sentence for each way in which a choice is not the run's, with the words that make it so."""
    if not isinstance(now, dict):
        yield _sentence(f"data.{key}", now, then)
    elif key == "resize":
        both = ((k, now.get(k, 1.0), then.get(k, 1.0)) for k in {**then, **now})
        yield from (_sentence(f"data.{RESIZING.get(k, k)}", here, was) for k, here, was in both if here != was)
    elif now["policy"] == then["policy"]:
        yield from (_sentence(f"data.{key}.{k}", now[k], then.get(k)) for k in now if now[k] != then.get(k))
    else:
        here, was = (CHOICES.get(of["policy"], of["policy"]) for of in (now, then))
        more = " ".join(f"data.{key}.{k}={show(v)}" for k, v in then.items() if k != "policy")
        yield _sentence(f"data/{key}", here, was, more)


def _sentence(key: str, now: Any, then: Any, more: str = "") -> str:
    typed = f"{key}={show(then)} {more}".strip()
    return f"{key} is {show(now)} here, but the run was trained with {show(then)}; add {typed}"
