"""What was made last is kept: rows that share a file, as questions about an image do, decode and resize it once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

MOST = 1 << 27  # bytes


class Held(Protocol):
    """What knows how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes."""
        ...


T = TypeVar("T", bound=Held)


class Recent(Generic[T]):
    """Values by their names, the last used, `most` bytes at most; threads may share it, a pickled copy is empty."""

    def __init__(self, most: int = MOST) -> None:
        self.most, self.held = most, 0
        self.kept: OrderedDict[Hashable, T] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of that name, made where it is not kept."""
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key]
        made = make()
        with self.lock:
            if made.nbytes <= self.most and key not in self.kept:
                self.kept[key] = made
                self.held += made.nbytes
            while self.held > self.most:
                self.held -= self.kept.popitem(last=False)[1].nbytes
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {"most": self.most}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
