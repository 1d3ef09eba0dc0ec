"""Remember what the start of a run has learnt of its data, so that the next start on the same data reads no sample."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from multimodal_lab.cache.store import CacheError, CacheStore, key
from multimodal_lab.text import counted


class StartCache(CacheStore):
    """Statistics, tokenizers, unreadable samples and checks of every run, in the user's cache; it may be removed at any time.

    Their keys hold the data's fingerprint, how values become inputs, the training samples, and the code that reads them. A
    cache that can't be read or written costs the next start its time, and no more.
    """

    def __init__(self) -> None:
        super().__init__(None)
        self._made: set[str] = set()  # entries of this start, which an earlier one has not left
        self._found: set[str] = set()

    @property
    def notes(self) -> list[str]:
        """What a run says of it."""
        found = counted(len(self._found), "result")
        return [f"start: {found} of an earlier start on these data read from {self.root}"] if self._found else []

    def get(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """The value kept under `facts`."""
        found = None
        with contextlib.suppress(CacheError):
            found = super().get(facts)
        if found is not None and (name := key(facts)) not in self._made:
            self._found.add(name)
        return found

    def put(self, facts: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Keep a value, where that can be."""
        with contextlib.suppress(CacheError):
            super().put(facts, found)
            self._made.add(key(facts))
