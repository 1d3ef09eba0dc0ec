"""Collate samples into tensors: read one by one, or all held in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.data import kinds
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.hashing import keys
from multimodal_lab.data.streams import whole_rows
from multimodal_lab.data.streams.sample import Sample, SampleReader
from multimodal_lab.hashing import stable_id, text_id
from multimodal_lab.progress import Bar
from multimodal_lab.types import Stream

T = TypeVar("T")


@dataclass
class Stacked:
    """values (N, …) as each kind has them, 0 where missing; present (N,) bool; texts to draw from; mask (N, S, S) bool.

    others (N, K, …): the texts after the first, where none is drawn. text_ids, valid (N, T) bool: see `Batch`.
    """

    values: dict[str, Tensor]
    present: dict[str, Tensor]
    texts: dict[str, list[list[str]]]
    mask: Tensor | None
    others: dict[str, Tensor] = field(default_factory=dict)
    text_ids: dict[str, Tensor] = field(default_factory=dict)
    valid: dict[str, Tensor] = field(default_factory=dict)

    def take(self, name: str, other: Stacked, bands: list[int] | None, spatial: bool) -> None:
        """Have the stream `name` of another, or these bands of it: then it is there where both are.

        The mask of an image is then of either: an augmentation blanks what is outside it, and must not cut the other's pixels.
        """
        if spatial:  # no mask is one of everything
            self.mask = None if self.mask is None or other.mask is None else self.mask | other.mask
        if bands is not None:
            both = self.present[name] & other.present[name]
            if name in self.valid:
                self.valid[name] = self.valid[name] & other.valid[name]
                both &= self.valid[name].any(1)
            mixed = self.values[name].clone()
            mixed[:, bands] = other.values[name][:, bands]
            self.values[name] = torch.where(both.view(-1, *[1] * (mixed.ndim - 1)), mixed, mixed.new_zeros(()))
            self.present[name] = both
            return
        for what in ("values", "present", "texts", "valid"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if name in theirs:
                mine[name] = theirs[name]


class Collator:
    """Makes `Stacked` of any rows; after `keep` from memory, else from the source. `absent` rows miss every stream.

    sources[stream] (N,): the rows whose stream each row takes for its own, where it was shuffled; bands[stream]: places of
    those that it takes, None for all.
    """

    def __init__(
        self,
        reader: SampleReader,
        streams: dict[str, Stream],
        ids: np.ndarray,
        seed: int,
        absent: Collection[int] = (),
        sources: dict[str, np.ndarray] | None = None,
        bands: dict[str, list[int] | None] | None = None,
    ) -> None:
        self.reader, self.streams, self.ids, self.seed, self.absent = reader, streams, ids, seed, absent
        self.sources, self.bands = sources or {}, bands or {}
        self.kinds = {name: kinds.of(s) for name, s in streams.items()}
        self.kept: Stacked | None = None

    def __call__(self, rows: np.ndarray, epoch: int | None) -> Stacked:
        """The given rows; of several texts, the one drawn by hash of (seed, epoch, id), all of them without epoch."""
        made = self._read(rows) if self.kept is None else _picked(self.kept, rows)
        for name, source in self.sources.items():
            other = self._read(source[rows]) if self.kept is None else _picked(self.kept, source[rows])
            made.take(name, other, self.bands.get(name), self.kinds[name].spatial)
        for name, texts in made.texts.items():
            put_texts(made, name, texts, self.draw(rows, epoch), self.ids[rows], partial(self.words, name), text_id)
        return made

    def draw(self, rows: np.ndarray, epoch: int | None) -> np.ndarray | None:
        """(N,) uint64 by which each row's text is drawn; None without epoch."""
        return None if epoch is None else keys(self.ids[rows], self.seed, epoch, stable_id("caption"))

    def texts(self, rows: np.ndarray) -> dict[str, list[list[str]]]:
        """{stream: the texts that each row holds, all of them as stored}; no other stream is read."""
        return {name: self._texts(name, rows) for name, kind in self.kinds.items() if kind.drawn_each_epoch}

    def _texts(self, name: str, rows: np.ndarray) -> list[list[str]]:
        rows = self.sources[name][rows] if name in self.sources else rows
        if self.kept is not None:
            return [self.kept.texts[name][int(row)] for row in rows]
        reader = self.reader.only([name])
        return [[] if row in self.absent else reader.sample(int(row)).texts[name] for row in rows]

    def only(self, names: Collection[str]) -> Collator:
        """The same for some of the streams: the others are not read."""

        def own(held: Mapping[str, T]) -> dict[str, T]:
            return {name: x for name, x in held.items() if name in names}

        made = Collator(self.reader.only(names), own(self.streams), self.ids, self.seed, self.absent, own(self.sources),
                        own(self.bands))  # fmt: skip
        if (kept := self.kept) is not None:
            made.kept = Stacked(own(kept.values), own(kept.present), own(kept.texts), kept.mask, valid=own(kept.valid))
        return made

    def keep(self) -> None:
        """Preprocess every sample once, keep the results in memory and drop the stored arrays; but see `keeps_stored`."""
        with Bar("decoding", len(self.ids)) as bar:
            if self.reader.keeps_stored:
                for row in range(len(self.ids)):
                    if row not in self.absent:
                        self.reader.raw(row)
                    bar.update(row + 1)
                return
            self.kept = self._read(np.arange(len(self.ids)), bar)

    def _read(self, rows: np.ndarray, bar: Bar | None = None) -> Stacked:
        """The rows from the source; with a bar, which they are shown in, each is read for the last time."""
        drawn = [name for name, kind in self.kinds.items() if kind.drawn_each_epoch]
        values = {n: self.kinds[n].empty(s, len(rows)) for n, s in self.streams.items() if n not in drawn}
        present = {n: torch.zeros(len(rows), dtype=torch.bool) for n in values}
        steps = {n: self.streams[n].steps for n in values}
        valid = {n: torch.zeros(len(rows), t, dtype=torch.bool) for n, t in steps.items() if t is not None}
        made = Stacked(values, present, {n: [] for n in drawn}, None, valid=valid)
        done = self._read_whole(made, rows, bar)
        self.reader.expect([int(row) for i, row in enumerate(rows) if not done[i] and row not in self.absent])
        for i, row in enumerate(rows):
            if done[i]:
                continue
            if row in self.absent:
                for texts in made.texts.values():
                    texts.append([])
                continue
            _put(made, i, self._padded(self.reader.sample(int(row))), len(rows))
            if bar is not None:
                self.reader.drop(int(row))
                bar.update(i + 1)
        if made.mask is not None and self.absent:
            made.mask[torch.from_numpy(np.isin(rows, list(self.absent)))] = False
        return made

    def _padded(self, item: Sample) -> Sample:
        """The same with every recording as long as its stream: what is added holds the bands' means, and is not valid."""
        for name, real in item.valid.items():
            x, more = item.inputs[name], (self.streams[name].steps or 0) - len(real)
            if x is not None and more > 0:
                mean = np.asarray(self.streams[name].mean, dtype=np.float32).reshape(-1, *[1] * (x.ndim - 1))
                item.inputs[name] = np.concatenate([x, np.broadcast_to(mean, (len(x), more, *x.shape[2:]))], 1)
                item.valid[name] = np.concatenate([real, np.zeros(more, dtype=bool)])
        return item

    def _read_whole(self, made: Stacked, rows: np.ndarray, bar: Bar | None) -> np.ndarray:
        """(N,) bool: the rows that were read many at a time, where that can be; the others wait to be read one by one."""
        done = np.zeros(len(rows), dtype=bool)
        if self.absent or self.reader.cache or not whole_rows.possible(self.reader):
            return done
        for first in range(0, len(rows), whole_rows.ROWS):
            part = slice(first, first + whole_rows.ROWS)
            found = whole_rows.finished(self.reader, rows[part])
            if found is None:
                continue
            for name, x in found.items():
                made.values[name][part] = torch.from_numpy(x)
                made.present[name][part] = True
            done[part] = True
            if bar is not None:
                bar.update(min(part.stop, len(rows)))
        return done

    def words(self, name: str, texts: Sequence[str | None]) -> Tensor:
        """Texts as a network sees them, (N, L); None is a missing one."""
        out = self.kinds[name].empty(self.streams[name], len(texts))
        for i, text in enumerate(texts):
            if text:
                _fill(out, i, self.kinds[name].encode(self.reader, name, text), name)
        return out


def put_texts(
    made: Stacked,
    name: str,
    texts: Sequence[Sequence[T]],
    draw: np.ndarray | None,
    ids: np.ndarray,
    words: Callable[[Sequence[T | None]], Tensor],
    named: Callable[[T], int],
) -> None:
    """Give `made` a stream of texts, of each row the one drawn; without a draw the first, and the rest as `others`.

    texts (N,): what each row holds, if anything; ids (N,): its own; words: what a network sees of texts; named: the id of one.
    """
    every = [[t[k] if k < len(t) else None for t in texts] for k in range(max([1, *map(len, texts)]))]
    taken = every if draw is None else [[t[int(k % len(t))] if t else None for t, k in zip(texts, draw)]]
    made.values[name], *later = map(words, taken)
    made.present[name] = torch.tensor([bool(t) for t in texts])
    if later:
        made.others[name] = torch.stack(later, 1)
    told = [[own if t is None else named(t) for t, own in zip(column, ids.tolist())] for column in taken]
    made.text_ids[name] = torch.tensor(told, dtype=torch.int64).T.contiguous()


def _put(made: Stacked, i: int, item: Sample, count: int) -> None:
    for name, x in item.inputs.items():
        if x is not None:
            _fill(made.values[name], i, x, name)
            made.present[name][i] = True
        if name in item.valid:  # one whose every measured step was cut is missing
            _fill(made.valid[name], i, item.valid[name], name)
            made.present[name][i] = bool(item.valid[name].any())
    for name, texts in item.texts.items():
        made.texts[name].append(texts)
    if item.mask is not None:
        if made.mask is None:
            made.mask = torch.ones(count, *item.mask.shape, dtype=torch.bool)  # of all that is there
        made.mask[i] = torch.from_numpy(item.mask)


def _fill(out: Tensor, i: int, x: np.ndarray, name: str) -> None:
    if x.shape != out.shape[1:]:  # assigning would repeat a smaller one
        raise DataError(
            f"stream {name}: its kind finished a sample to {x.shape}, but a batch holds {tuple(out.shape[1:])}"
        )
    out.numpy()[i] = x  # half of the time that torch takes for a row


def _picked(kept: Stacked, rows: np.ndarray) -> Stacked:
    at = torch.from_numpy(rows)
    values = {n: x[at] for n, x in kept.values.items()}
    present = {n: x[at] for n, x in kept.present.items()}
    texts = {n: [x[int(r)] for r in rows] for n, x in kept.texts.items()}
    valid = {n: x[at] for n, x in kept.valid.items()}
    return Stacked(values, present, texts, None if kept.mask is None else kept.mask[at], valid=valid)
