"""The served model: a predictor that many threads may ask, one at a time, and how long each waited and was computed for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from multimodal_lab.predict import load
from multimodal_lab.predict.files import Files, sources_in
from multimodal_lab.predict.predictor import Predictor
from multimodal_lab.predict.prompt_memory import PromptMemory
from multimodal_lab.predict.trained import kinds_of
from multimodal_lab.predict.unread import unread
from multimodal_lab.serve.limits import Limits
from multimodal_lab.serve.question import FILE, is_pictured
from multimodal_lab.serve.uploads import Wanted

LIMITS = "multimodal_lab.data.readers.limits.Limits"
COLOURS = {"R", "G", "B"}


@dataclass
class Turn:
    """One use of the model. waited, computed: milliseconds."""

    waited: float = 0.0
    computed: float = 0.0

    def told(self) -> dict[str, float]:
        """Rounded, for an answer."""
        return {"waited": round(self.waited, 1), "computed": round(self.computed, 1)}


class Model:
    """The predictor of a run directory, and the facts of it that questions are read by."""

    def __init__(self, folder: Path, device: str, limits: Limits) -> None:
        self.predictor: Predictor = load(folder, device)
        self.predictor.prompts = PromptMemory()
        self.node = self.predictor.source_node
        # the limits are of its own files; what is uploaded is of strangers
        limited = [node for node in sources_in(self.node) if "limits" in node]
        for node in limited:
            node["limits"] |= {"pixels": limits.pixels, "bytes": limits.decoded}
        if not limited:  # a store
            self.node["limits"] = {"_target_": LIMITS, "pixels": limits.pixels, "bytes": limits.decoded}
        self.limits = limits
        self.streams = self.predictor.expected
        self.kinds = kinds_of(self.predictor.record)
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Alone with the predictor: its modes, its random state and its data are of one pass."""
        turn, asked = Turn(), time.perf_counter()
        with self._lock:
            began = time.perf_counter()
            turn.waited = 1000 * (began - asked)
            try:
                yield turn
            finally:
                turn.computed = 1000 * (time.perf_counter() - began)

    @property
    def checkpoint(self) -> str:
        """The checkpoint that answers, as it is called in its run."""
        return self.predictor.checkpoint.name

    @cached_property
    def prompted(self) -> list[str]:
        """The streams of words that classes may be named in, where there is another stream to be told about."""
        texts = [name for name, one in self.streams.items() if one.is_text]
        return texts if len(texts) < len(self.streams) else []

    @cached_property
    def labels(self) -> dict[str, str]:
        """{head: the label that it tells}; maps, which are told of scenes, are left out."""
        heads = self.predictor.system.heads
        return {
            n: label for n, label in self.predictor.system.labels.items() if not getattr(heads[n], "per_pixel", False)
        }

    @cached_property
    def wanted(self) -> dict[str, Wanted]:
        """{stream: what its pictures are read as}, with `file` where one file holds all bands of a sample."""
        reader = Files(self.node, Path()).reader
        whole = getattr(reader, "beside", None) == ()
        alpha = str(self.node.get("alpha") or "refuse")
        made = {}
        for name, one in self.streams.items():
            if is_pictured(one):
                colour = {band.name for band in one.bands} <= COLOURS
                made[name] = Wanted(whole and reader.__name__ != "Images", colour, alpha)
        if whole and (len(self.streams) > 1 or not all(one.colour for one in made.values())):
            made[FILE] = Wanted(True, False, alpha)
        return made

    def lost(self, name: str, text: str) -> list[str]:
        """What the model does not see of a text: words beyond its context, and words that it never learnt, in sentences."""
        return unread(self.predictor.tokens.get(name), name, [text])
