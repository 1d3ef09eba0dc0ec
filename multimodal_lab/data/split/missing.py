"""Take entries of training samples away at random, to measure what missing modalities cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from multimodal_lab.bounds import Natural, Share
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.hashing import keys, stable_ids
from multimodal_lab.data.split.split import SplitRows
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.hashing import stable_id
from multimodal_lab.text import expected_one_of

MARK = stable_id("missing at random")


@dataclass(frozen=True)
class MissingAtRandom:
    """Each entry of a stream is taken away with the chance `rate`, whatever the sample is: completely at random (Rubin 1976).

    rate: of every stream, or {stream: its own}, 0 where it is not named. splits: whose entries are taken; held-out samples
    stay whole, so that all that is compared is judged on the same ones. What is taken is a function of the sample's id, the
    stream and `seed` alone: the same entries for every model. To all that follows such an entry was never there: it teaches no
    statistic and no vocabulary, and is not read. A sample may lose all that it has.
    """

    rate: Share | dict[str, Share]
    splits: list[str] = field(default_factory=lambda: ["train"])
    seed: Natural = 0

    def gone(self, streams: Sequence[str], ids: np.ndarray, splits: SplitRows) -> dict[str, np.ndarray]:
        """{stream: (N,) bool, True where its entry is taken away}, of those that lose some; ids (N,) int64.

        `DataError` for a stream or a split that is not there.
        """
        rates = self.rate if isinstance(self.rate, dict) else dict.fromkeys(streams, self.rate)
        for key, named, there in (("rate", [*rates], list(streams)), ("splits", self.splits, list(splits))):
            if wrong := [name for name in named if name not in there]:
                raise DataError(f"data.missing_at_random.{key}: {wrong[0]}, {expected_one_of(wrong[0], there)}")
        rows = np.concatenate([splits[name] for name in self.splits] or [np.arange(0)])
        found = {}
        for name, rate in rates.items():
            away = np.zeros(len(ids), dtype=bool)
            away[rows] = keys(ids[rows], self.seed, MARK, stable_id(name)) / 2.0**64 < rate
            if away.any():
                found[name] = away
        return found

    def note(self, gone: dict[str, np.ndarray], streams: Sequence[str], splits: SplitRows) -> str:
        """The sentence that a run prints."""
        count = sum(len(splits[name]) for name in self.splits)
        each = ", ".join(f"{name} of {int(away.sum())}" for name, away in gone.items()) or "nothing"
        none = int(np.logical_and.reduce(list(gone.values())).sum()) if len(gone) == len(streams) else 0
        rest = f"; {none} have no stream left" if none else ""
        of = f"of the {count} samples of {', '.join(self.splits)}"
        return f"missing at random: {of} {each} is taken away (seed {self.seed}){rest}"


def take_away(
    missing: MissingAtRandom | None, samples: SampleReader, streams: Sequence[str], splits: SplitRows
) -> list[str]:
    """Let the reader know which entries of `streams` are taken away; what there is to tell of it."""
    if missing is None or not splits:
        return []
    samples.gone = missing.gone(streams, stable_ids(samples.names), splits)
    return [missing.note(samples.gone, streams, splits)]
