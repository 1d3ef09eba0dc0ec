"""What a run says of what its training split taught, where that changes what is done and no config says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from multimodal_lab.data.kind import NodataRule, StreamPlan, StreamStatistics
from multimodal_lab.data.loading.unreadable import Bad
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.data.split.split import SplitRows
from multimodal_lab.data.streams import normalise
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.types import Stream

Remembered = Callable[[str, Mapping[str, np.ndarray], Callable[[], list[str]]], list[str]]


def of_nodata(learnt: Mapping[str, StreamStatistics], rule: NodataRule) -> list[str]:
    """What a run says of the pixels and steps that its training samples lack, once for streams that lack the same."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for name, fitted in learnt.items():
        if fitted.missing:
            timed = fitted.steps is not None
            found.setdefault((timed, *fitted.missing.values()), []).append(name)
    said: list[str] = []
    for (timed, of, some, share, none), names in found.items():
        what = "values" if rule == "all" else "steps" if timed else "pixels"
        images = f"training {'recordings' if timed else 'images'} of {', '.join(names)}"
        parts = [f"{share:.1%} of the {what} of {some} of {of} {images} were not measured"] if some else []
        parts += [f"{none} of {of} {images} have no value at all and are missing"] if none else []
        said.append(f"nodata: {'; '.join(parts)}: they are left out of statistics, augmentation and pictures")
    return said


def of_normalise(plans: Mapping[str, StreamPlan]) -> list[str]:
    """What a run says of streams that are normalised by other statistics than the training split's."""
    return [said for plan in plans.values() if (said := normalise.note(plan))]


def of_ranges(learnt: Mapping[str, StreamStatistics]) -> list[str]:
    """What a run says of streams whose range augmentations take for 1."""
    found: dict[float, list[str]] = {}
    for name, fitted in learnt.items():
        found.setdefault(fitted.unit, []).append(name)
    return [
        f"augmentation: brightness, noise and the like are relative to a range of 0 to {unit:.3g} in {', '.join(names)}"
        for unit, names in found.items()
        if unit != 1
    ]


def of_kinds(samples: SampleReader, splits: SplitRows, bad: Bad, remembered: Remembered) -> list[str]:
    """What each kind has to tell of its stream, such as how many texts are cut.

    remembered(name, rows, look): what an earlier start has told of those rows, else what looking at them tells.
    """
    rows = {split: bad.good(own) for split, own in (splits or {"all": np.arange(len(samples.table))}).items()}
    found = []
    for name, kind in samples.kinds.items():
        read = partial(_alone, samples, samples.plans[name].stored)
        found += remembered(name, rows, partial(kind.notes, samples, name, read, rows))
    return found


def _alone(samples: SampleReader, stream: Stream, row: int) -> Raw:
    try:
        return samples.source.read(row, [stream])
    except DataError as error:
        raise samples.named(row, error) from error
