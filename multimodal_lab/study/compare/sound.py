"""Refuse data that no study can be made of, in one sentence, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from multimodal_lab.config.problem import StudyError
from multimodal_lab.data.complete import there
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.source import Raw
from multimodal_lab.data.split import linked
from multimodal_lab.data.streams.sample import SampleReader

MOST = 20_000  # samples looked at, evenly spaced
FEWEST, FEWEST_GROUPS = 10, 4  # samples, groups: below, no held-out part says anything


def require_samples(table: pd.DataFrame) -> None:
    """At least `FEWEST` samples."""
    if len(table) < FEWEST:
        raise StudyError(
            f"study=compare: the data hold {len(table)} sample{'s' * (len(table) != 1)}; a study learns from some and is judged "
            f"on others: expected at least {FEWEST}"
        )


def require_groups(groups: np.ndarray, by: linked.By) -> None:
    """At least `FEWEST_GROUPS`, so that two of either part differ."""
    if (found := len(np.unique(groups))) < FEWEST_GROUPS:
        values = (
            linked.counted(found, by) if isinstance(by, list) else f"{found} value{'s' * (found != 1)} of {by or 'id'}"
        )
        raise StudyError(
            f"study=compare: the {len(groups)} samples have {values}, and the samples of one are held out together: "
            f"expected at least {FEWEST_GROUPS}, or another column in data.split.by"
        )


class Seen:
    """Which samples have been read, and which of their streams are there: {stream: (N,) int8}, -1 where nobody knows.

    A `SampleReader` tells it, so that what the statistics were learnt from is not read again.
    """

    def __init__(self) -> None:
        self.there: dict[str, np.ndarray] = {}

    def __call__(self, samples: SampleReader, row: int, raw: Raw) -> None:
        """Take in a sample."""
        for name, plan in samples.plans.items():
            if name not in self.there:
                self.there[name] = np.full(len(samples.names), -1, dtype=np.int8)
            if plan.longer != "cut":  # what is left of it may be a gap throughout
                self.there[name][row] = there(samples, raw, name)

    def known(self, streams: Iterable[str], rows: int) -> np.ndarray:
        """(N,) bool: all of `streams` are known."""
        unknown = np.full(rows, -1, dtype=np.int8)
        return np.asarray(np.all([self.there.get(name, unknown) >= 0 for name in streams], 0))


def require_streams(data: Prepared, labels: Sequence[str], seen: Seen) -> None:
    """Every stream varies, and every class has some samples with every stream. seen: what was read before."""
    every = np.arange(len(data.samples))
    looked = every if len(every) <= MOST else np.unique(np.linspace(0, len(every) - 1, MOST).astype(int))
    known = seen.known(data.streams, len(every))
    present = {name: seen.there.get(name, np.zeros(len(every))) > 0 for name in data.streams}
    first: dict[str, np.ndarray] = {}
    varies: set[str] = set()
    for rows in _batches([looked[~known[looked]], looked[known[looked]]], data.batch_size):
        if known[rows[0]] and len(varies) == len(data.streams):
            break
        made = data.batch(rows)
        for name, own in made.present.items():
            present[name][rows] = own.numpy()
            values = made.inputs[name][own].numpy()
            if len(values) and name not in varies:
                same = first.setdefault(name, values[0])
                varies |= {name} if (values != same).any() else set()
    for name in data.streams:
        if not present[name].any():
            raise StudyError(f"modality.{name}: no sample has it; take it out: ~modality.{name}")
        if name not in varies:
            raise StudyError(
                f"modality.{name}: the same in all {int(present[name].sum())} samples, so that it can tell nothing; take "
                "another stream or other bands"
            )
        for label in labels:
            _require_present(data, name, label, present[name][looked], data.targets[label][looked])


def _batches(parts: Sequence[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The rows of one part after another, none across two."""
    return (part[start : start + size] for part in parts for start in range(0, len(part), size))


def _require_present(data: Prepared, stream: str, label: str, present: np.ndarray, values: np.ndarray) -> None:
    for place, called in enumerate(data.classes[label]):
        own = values == place
        if own.any() and not present[own].any():
            raise StudyError(
                f"modality.{stream}: none of the {int(own.sum())} samples of {label} {called!r} has it, so that its absence "
                f"would tell the class; take {label} off study.labels, or this class out of the data"
            )
