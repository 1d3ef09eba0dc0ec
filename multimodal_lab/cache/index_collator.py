"""Replaces the data's collator where features are cached: what needs no reading is not read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from multimodal_lab.cache.encodings import Encodings
from multimodal_lab.cache.texts import TextEncodings, TextRows
from multimodal_lab.data.loading.collate import Collator, Stacked, put_texts


class IndexCollator:
    """Replaces the data's `Collator`: streams with a table give row numbers (N,) int64, texts their token ids, and are not read.

    sources[stream] (N,): the rows whose stream each row takes for its own, where it was shuffled. whole: the collator before.
    """

    def __init__(self, tables: Mapping[str, Encodings], sources: Mapping[str, np.ndarray], whole: Collator) -> None:
        self.drawn = {
            name: TextRows(table, whole.kinds[name].empty(whole.streams[name], 1))
            for name, table in tables.items()
            if isinstance(table, TextEncodings)
        }
        self.present = {name: table.present.cpu() for name, table in tables.items() if name not in self.drawn}
        self.sources = {name: source for name, source in sources.items() if name in tables}
        self.kinds, self.texts, self.draw, self.ids = whole.kinds, whole.texts, whole.draw, whole.ids
        read = [name for name in whole.streams if name not in tables]
        if any(whole.kinds[name].spatial for name in read):  # images are blank outside the mask of all of them
            read = [name for name in whole.streams if name not in tables or whole.kinds[name].spatial]
        self.rest = whole.only(read) if read else None

    @property
    def kept(self) -> Stacked | None:
        """What `keep` has kept."""
        return None if self.rest is None else self.rest.kept

    def keep(self) -> None:
        """Keep the streams that are read in memory."""
        if self.rest is not None:
            self.rest.keep()

    def __call__(self, rows: np.ndarray, epoch: int | None) -> Stacked:
        """The given rows; see `Collator` for what is read and for the texts."""
        made = Stacked({}, {}, {}, None) if self.rest is None else self.rest(rows, epoch)
        for name, there in self.present.items():
            at = torch.from_numpy(self._source(name, rows))
            made.values[name], made.present[name] = at, there[at]
            made.valid.pop(name, None)
        for name, held in self.drawn.items():
            texts, draw = held.texts(self._source(name, rows)), self.draw(rows, epoch)
            put_texts(made, name, texts, draw, self.ids[rows], held.words, held.text_id)
        return made

    def _source(self, name: str, rows: np.ndarray) -> np.ndarray:
        return self.sources[name][rows] if name in self.sources else rows
