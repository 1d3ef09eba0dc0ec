"""The words of samples as the explorer page carries them: cleaned, and as long as the page has room for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from multimodal_lab.evaluate.texts import shortened
from multimodal_lab.report.study.page import clean

LIMIT = 8_000_000  # letters of the page that words may take
MOST = 5  # texts of a sample
_LENGTHS = (300, 150, 80, 40)  # letters of a text
log = logging.getLogger(__name__)


def captions(words: Mapping[str, Sequence[Sequence[str]]], limit: int = LIMIT) -> list[dict[str, Any]]:
    """[{name: stream, texts: of each of the N samples, more: how many texts of it are left out}], as long as the limit allows.

    Control characters, and those that turn or hide text, are left out. Nothing but a warning where even the shortest take
    more.
    """
    for longest in _LENGTHS:
        cut = {
            name: [[shortened(clean(text), longest) for text in own[:MOST]] for own in texts]
            for name, texts in words.items()
        }
        if sum(len(text) for texts in cut.values() for own in texts for text in own) <= limit:
            return [
                {"name": clean(name), "texts": cut[name], "more": [max(0, len(own) - MOST) for own in texts]}
                for name, texts in words.items()
            ]
    log.warning("explorer: without words, which would take more than %d million letters", limit // 10**6)
    return []
