"""Keep the images that were decoded last: rows that share one, as questions about it do, decode it once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

MOST = 1 << 27  # bytes


class Recent:
    """Arrays by their names, the last used of them, `most` bytes at most; threads may share it, a pickled copy is empty."""

    def __init__(self, most: int = MOST) -> None:
        self.most, self.held = most, 0
        self.kept: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: tuple[str, str], make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of that name, made where it is not kept; it can't be written to."""
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key]
        made = make()
        made.flags.writeable = False
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
