"""The samples that are searched: their vectors, and what is shown of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.predict import indexing
from multimodal_lab.predict.index import Index
from multimodal_lab.serve.showing import Showing


class Contents:
    """Samples by their number: the row of `embeddings`. Threads may share it; `showing` may be replaced meanwhile."""

    def __init__(self, embeddings: Embeddings, showing: Showing) -> None:
        self.embeddings, self.showing = embeddings, showing
        self._numbers = {name: i for i, name in enumerate(embeddings.ids)}
        self._indexes: dict[tuple[str, str | None], Index] = {}
        # streams that any sample has, and fused; not that of a subset of the streams
        self.spaces = [name for name in embeddings.vectors if "@" not in name and embeddings.present[name].any()]
        self.splits = sorted(set(embeddings.split.tolist()))

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def shown(self) -> list[str]:
        """The streams of which there are pictures."""
        return [name for name in self.showing.streams if name in self.spaces]

    def index(self, of: str, split: str | None) -> Index:
        """The items of a stream in a split, in all without; made when it is first asked for."""
        if (of, split) not in self._indexes:
            found = self.embeddings if split is None else self.embeddings.select(split)
            self._indexes[of, split] = indexing.of_embeddings(found, of)
        return self._indexes[of, split]

    def number(self, name: str) -> int:
        """The number of the sample that is called so."""
        return self._numbers[name]

    def pictured(self, number: int) -> list[str]:
        """The streams in which there is a picture of a sample."""
        return self._there(number, self.showing.streams)

    def played(self, number: int) -> list[str]:
        """The streams in which a sample can be played."""
        return self._there(number, self.showing.played)

    def media(self, number: int, stream: str) -> tuple[bytes, str] | None:
        """A WAV or a WebM of what a sample holds in a stream, and its content type; None where there is none."""
        if not 0 <= number < len(self) or stream not in self.played(number):
            return None
        return self.showing.media(number, stream)

    def picture(self, number: int, stream: str) -> bytes | None:
        """A JPEG of what a sample holds in a stream; None where there is none."""
        if not 0 <= number < len(self) or stream not in self.pictured(number):
            return None
        return self.showing.picture(number, stream)

    def _there(self, number: int, streams: list[str]) -> list[str]:
        """Those of `streams` that a sample has, where something is shown of it."""
        if not self.showing.has(number):
            return []
        return [name for name in streams if name in self.spaces and self.embeddings.present[name][number]]

    def labels(self, number: int) -> dict[str, Any]:
        """{label: class, classes or number} of one sample, those alone that it has."""
        e = self.embeddings
        found = {name: _label(x[number], e.classes.get(name, [])) for name, x in e.targets.items()}
        return {name: value for name, value in found.items() if value is not None}


def _label(value: Any, classes: list[str]) -> Any:
    """What one row of targets says; None where it is missing."""
    if np.ndim(value) == 0:
        if np.issubdtype(np.asarray(value).dtype, np.integer):
            return None if value < 0 else classes[value] if value < len(classes) else int(value)
        return float(value) if np.isfinite(value) else None
    if not classes or not np.isfinite(value).all():
        return None  # token ids, or numbers that nobody named
    return [name for name, held in zip(classes, value, strict=False) if held == 1]
