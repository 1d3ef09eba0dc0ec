"""Sounds with captions as AudioCaps and Clotho have them: a row a sound with all its captions, or a row a caption."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Each = Literal["audio", "caption"]


@dataclass
class Captioned:
    """A sound: its `id`, where its file lies, its official split, and its captions."""

    id: str
    path: str
    split: str
    captions: list[str] = field(default_factory=list)


def rows(found: Iterable[Captioned], each: Each) -> list[dict[str, Any]]:
    """Columns id, audio, caption and split; a sound without a caption has one row."""
    made = []
    for one in found:
        facts = {"audio": one.path, "split": one.split}
        if each == "audio":
            made.append({"id": one.id, **facts, "caption": one.captions or None})
        else:
            made += [{"id": f"{one.id}#{k}", **facts, "caption": text} for k, text in enumerate(one.captions or [None])]
    return made
