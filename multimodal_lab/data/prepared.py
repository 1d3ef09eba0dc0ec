"""A prepared data set: its streams, splits and targets, and its loaders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from multimodal_lab.data import record
from multimodal_lab.data.loading import loader
from multimodal_lab.data.loading.collate import Collator
from multimodal_lab.data.loading.unreadable import Bad
from multimodal_lab.data.loading.workers import Task, Workers
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split import linked
from multimodal_lab.data.split.hashing import permutation, stable_ids
from multimodal_lab.data.split.same_image import first_rows, item_rows
from multimodal_lab.data.split.sampling import Sampling
from multimodal_lab.data.split.shuffle import Shuffle
from multimodal_lab.data.split.split import SplitRows
from multimodal_lab.data.streams.labels import Target, counts, moments
from multimodal_lab.data.streams.sample import SampleReader
from multimodal_lab.types import Batch, Stream


class Prepared:
    """What `Data.prepare` gives.

    streams: {name: Stream} with size, vocab, length, mean and std filled in. target_streams: text to be produced, found
    in `batch.targets[name]` (N, L), and maps, (N, H, W); maps: {name: classes} of those, and map_numbers: {name: (mean, std)}
    of those without classes. splits: {split: row numbers}; "all", every row, is always there for `batches`.
    several: the labels of several 0/1 a sample.
    classes: {label: names}, empty for a number; numbers: {label: (mean, std)} of the training split, (P,) each, of numbers.
    targets: {label: (N, …) over all rows}. ids, groups: (N,) int64 over all rows. same: (N,) int64, the id of the first row
    that shows the same thing, or None. items[stream]: (N,) int64, the same of what a row holds in that stream, where it
    repeats; `items` {stream: column} says which rows do. stands_in: what the data are where they stand in for those of a folder
    that was not given, or "".
    counts: {split: {label: {class: how many}}}. samples: the table. tokens: {stream: Tokens}. fingerprint: of the data.
    notes: what was chosen where the config said `auto`, a sentence each. bad: the rows that can't be read. shuffle:
    re-pairs one stream. `numbers` of a trained run are given: {label: [mean, std]}, as are its `several`.
    sampling: the shares of an epoch of training.
    """

    def __init__(
        self,
        reader: SampleReader,
        *,
        splits: SplitRows,
        targets: dict[str, Target],
        groups: linked.By,
        seed: int,
        batch_size: int,
        workers: int,
        facts: dict[str, Any],
        bad: Bad | None = None,
        shuffle: Shuffle | None = None,
        items: Mapping[str, str] | None = None,
        numbers: Mapping[str, Any] | None = None,
        several: Collection[str] = (),
        sampling: Sampling | None = None,
    ) -> None:
        self.reader, self.splits, self.seed, self.batch_size, self.workers = reader, splits, seed, batch_size, workers
        self.facts, self.bad = facts, bad or Bad()
        targets = {label: replace(t, values=self.bad.blank(t.values)) for label, t in targets.items()}
        self.samples: pd.DataFrame = reader.table
        self.tokens = reader.tokens
        self.fingerprint = str(facts["fingerprint"])
        self.notes: list[str] = facts["notes"]
        self.stands_in: str = getattr(reader.source, "stands_in", "")
        done = {name: reader.kinds[name].stream(p, reader.fitted[name]) for name, p in reader.plans.items()}
        self.streams: dict[str, Stream] = {n: s for n, s in done.items() if not reader.plans[n].target}
        self.target_streams: dict[str, Stream] = {n: s for n, s in done.items() if reader.plans[n].target}
        maps = {n: s for n, s in self.target_streams.items() if reader.kinds[n].pixelwise}
        self.maps = {n: list(s.names) for n, s in maps.items()}
        self.map_numbers = {n: (torch.tensor(s.mean), torch.tensor(s.std)) for n, s in maps.items() if not s.names}
        self.targets = {label: target.values for label, target in targets.items()}
        self.classes = {label: target.classes for label, target in targets.items()}
        hot = {label for label, target in targets.items() if target.classes and target.values.ndim > 1}
        # of a label without a column here, the trained run alone knows it
        self.several = [label for label in targets if label in hot or label in several]
        self.numbers = {
            label: moments(t.values[splits.get("train", slice(None))]) for label, t in targets.items() if not t.classes
        }
        self.numbers |= {k: (_numbers(m), _numbers(s)) for k, (m, s) in (numbers or {}).items()}
        self.counts = {s: {label: counts(t, rows) for label, t in targets.items()} for s, rows in splits.items()}
        self.ids = stable_ids([str(i) for i in self.samples["id"]])
        first = first_rows(reader.source)
        self.same = None if first is None else self.ids[first]
        self.sampling = sampling
        if sampling:
            sampling.require(self.samples, splits["train"])
            self.notes.append(sampling.note(self.samples, splits["train"]))
        sources = {n: shuffle.sources(self.samples, self.ids, splits, n) for n in shuffle.streams} if shuffle else {}
        self.notes += [shuffle.note(own, n) for n, own in sources.items()] if shuffle else []
        bands = {n: shuffle.places(done[n]) for n in shuffle.streams} if shuffle else {}
        self.stack = Collator(reader, done, self.ids, seed, self.bad.why, sources, bands)
        home = {n: item_rows(reader.source, reader.plans[n].stored, (items or {}).get(n)) for n in self.streams}
        # a row that takes another's stream holds its item; one that mixes the two holds its own
        self.items = {n: self.ids[first[sources[n]] if n in sources else first] for n, first in home.items()
                      if first is not None and bands.get(n) is None}  # fmt: skip
        self.groups = np.unique(linked.names(self.samples, groups), return_inverse=True)[1].astype(np.int64)
        self._workers: Workers | None = None
        self.remember_content: Callable[[], None] = lambda: None
        self.read_all: Callable[..., None] = lambda **_: None  # `first_reading.read`

    def record(self) -> dict[str, Any]:
        """All that was chosen and learnt, in plain JSON types; `Data.prepare(frozen=…)` reads it back."""
        streams = self.streams | self.target_streams
        numbers = {label: [x.tolist() for x in own] for label, own in self.numbers.items()}
        more = {"classes": self.classes, "several": self.several, "numbers": numbers, "counts": self.counts}
        self.remember_content()  # the next start, that reads no sample, records the same
        more["content"] = self.reader.content.recorded(self.splits)
        return record.record(self.reader, streams, self.splits, self.bad.why, **self.facts, **more)

    def content(self, stream: str, rows: np.ndarray) -> np.ndarray:
        """(n,) uint64 digests of what `rows` hold in a stream, see `Content`; rows that have not been read are."""
        known: np.ndarray = self.reader.content.digests[stream]
        unread = [row for row in rows[known[rows] == 0].tolist() if row not in self.bad.why]
        for row in unread:
            self.reader.raw(row)
        if unread:
            self.remember_content()
        return np.asarray(known[rows])

    def rows(self, split: str) -> np.ndarray:
        """Row numbers of a split, ascending; an unknown one is a `DataError`."""
        if split == "all":
            return np.arange(len(self.samples))
        if split not in self.splits:
            raise DataError(f"no split {split!r}; there are {', '.join([*self.splits, 'all'])}")
        return self.splits[split]

    def steps(self, split: str, *, batch_size: int | None = None, world: int = 1, drop_last: bool = False) -> int:
        """How many global batches one pass makes; with `drop_last`, none at all or uneven shares are a `DataError`."""
        size, count = batch_size or self.batch_size, len(self.rows(split))
        if drop_last and size % world:
            raise DataError(
                f"data.batch_size {size} can't be shared evenly by {world} processes; take a multiple of {world}"
            )
        if drop_last and count < size:
            cure = f"at most {count}: data.batch_size={count}" if count > 1 else "give that split more (data.split)"
            raise DataError(
                f"data.batch_size {size} is more than the {count} sample{'s' * (count > 1)} of {split}; {cure}"
            )
        return loader.steps(count, size, drop_last)

    def batches(
        self,
        split: str,
        *,
        epoch: int = 0,
        batch_size: int | None = None,
        shuffle: bool = False,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """One pass over a split for one rank, from global batch `start` on.

        batch_size counts over all ranks; each takes every world-th row of each global batch, and a rank left without
        rows in an uneven last batch skips it. shuffle: the order of (seed, epoch), and captions drawn by (seed, epoch,
        id); without it rows stand in table order, the first caption is taken, and `others` holds the rest. The batches are
        equal for any number of workers: threads where samples lie ready in memory or in a packed store, else processes.
        """
        size = batch_size or self.batch_size
        self.steps(split, batch_size=size, world=world, drop_last=drop_last)
        rows = self.rows(split)
        if shuffle and self.sampling:
            rows = self.sampling.order(self.samples, rows, self.ids, self.seed, epoch)
        elif shuffle:
            rows = rows[permutation(self.ids[rows], self.seed, epoch)]
        mine = loader.shards(rows, size, drop_last, start, rank, world)
        tasks: list[Task] = [(part, epoch if shuffle else None) for part in mine]
        if not self.workers:
            return (self.batch(*task) for task in tasks)
        if self.stack.kept is not None or self.reader.keeps_stored or getattr(self.reader.source, "threads", False):
            return loader.threaded(self.batch, tasks, self.workers, self.reader.called)
        return self._helped().run(tasks)

    def restack(self, stack: Collator) -> None:
        """Make batches by another collator from now on; processes that hold the one before end."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None
        self.stack = stack

    def _helped(self) -> Workers:
        """Processes that are free: those of the pass before, where it is over."""
        if self._workers is None or self._workers.busy or not self._workers.alive:
            self._workers = Workers(_Fetch(self), self.reader.called, self.workers, loader.TIMEOUT)
        return self._workers

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_workers": None, "remember_content": None, "read_all": None}

    def batch(self, rows: np.ndarray, epoch: int | None = None) -> Batch:
        """The given rows as one batch; `epoch` draws among several captions, None takes the first, the rest are `others`.

        Rows that can't be read are missing, or stood in for where there is an epoch, see `Bad`.
        """
        rows = rows if epoch is None else self.bad.training(rows)
        made = self.stack(rows, epoch)
        targets = {label: torch.from_numpy(values[rows]) for label, values in self.targets.items()}
        targets |= {name: made.values[name] for name in self.target_streams}
        mask = None if made.mask is None else made.mask[:, None].float()
        return Batch(
            inputs={name: made.values[name] for name in self.streams},
            targets=targets,
            present={name: made.present[name] for name in self.streams},
            ids=torch.from_numpy(self.ids[rows]),
            groups=torch.from_numpy(self.groups[rows]),
            mask=mask,
            same=None if self.same is None else torch.from_numpy(self.same[rows]),
            items={name: torch.from_numpy(own[rows]) for name, own in self.items.items()},
            others={name: x for name, x in made.others.items() if name in self.streams},
            text_ids={name: x for name, x in made.text_ids.items() if name in self.streams},
            valid=made.valid,
        )

    def texts(self, rows: np.ndarray) -> dict[str, list[list[str]]]:
        """{stream: the texts that each row holds}, of those to be produced too, see `Collator.texts`."""
        return self.stack.texts(rows)


def _numbers(recorded: list[float | None]) -> torch.Tensor:
    """As a record has them: null is NaN, of what was nowhere measured."""
    return torch.tensor([float("nan") if x is None else float(x) for x in recorded])


class _Fetch:
    """What a worker process needs to make batches."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def __call__(self, rows: np.ndarray, epoch: int | None, watch: Callable[[int], None]) -> Batch:
        self.prepared.reader.watch = watch
        return self.prepared.batch(rows, epoch)
