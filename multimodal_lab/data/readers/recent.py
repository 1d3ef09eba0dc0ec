"""Recently decoded files are kept: rows that share one, as questions about an image do, decode it once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from multimodal_lab.data.readers.columns.medium import Decoded

MOST = 1 << 27  # bytes


class Recent:
    """Decoded files by their names, the last used, `most` bytes at most; threads may share it, a pickled copy is empty."""

    def __init__(self, most: int = MOST) -> None:
        self.most, self.held = most, 0
        self.kept: OrderedDict[Hashable, Decoded] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Decoded]) -> Decoded:
        """The file of that name, made where it is not kept; it can't be written to."""
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key]
        made = make()
        if made.values is not None:
            made.values.flags.writeable = False
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
