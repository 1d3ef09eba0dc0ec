"""A `Problem`: one error in a config, as a sentence."""

from __future__ import annotations

from dataclasses import dataclass

from multimodal_lab.config import redact
from multimodal_lab.runs.aliases import VALUES, renamed_choice, renamed_key, renamed_value
from multimodal_lab.text import nearest
from multimodal_lab.text import show as show

MISSING = "???"


class Unknown:
    """A value not known here: an interpolation of another node, or one that only a running job can resolve."""

    def __repr__(self) -> str:
        return "an interpolation"


UNKNOWN = Unknown()


class ConfigError(ValueError):
    """A command line that can't run: one sentence for each thing wrong with it."""


class StudyError(RuntimeError):
    """A study's directory that can't be used: which, what was found, what to do."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a config: where, what was found, what was expected, the nearest valid choice."""

    key: str
    found: object
    expected: str
    near: str = ""

    def __str__(self) -> str:
        hint = f" (nearest: {self.near})" if self.near else ""
        found = redact.line(self.found) if isinstance(self.found, str) else self.found  # before it is cut short
        return f"{self.key}={show(found)}: {self.expected}{hint}"


def not_one_of(key: str, found: object, choices: list[str], before: str = "") -> Problem:
    """A value that is none of `choices`; the nearest is typed behind `before`, which is `key=` where not given."""
    name = renamed_choice(key.partition("@")[0], found) or nearest(found, choices)[0]
    near = f"{before or f'{key}='}{name}"
    return Problem(key, found, f"expected one of {', '.join(choices)}", near)


def unknown_key(key: str, value: object, choices: list[str], owner: str) -> Problem:
    """A key that its owner doesn't have: the nearest that it has, or what an old key is called today."""
    if (new := renamed_key(key)) is not None:
        today = renamed_value(new, value) or value
        changed = next((f": {what}" for top, what in VALUES.items() if new.startswith(top)), "")
        return Problem(key, value, f"this key is called {new} now{changed}", f"{new}={'…' if changed else show(today)}")
    near = nearest(key.rpartition(".")[2], choices)
    has = ", ".join(choices) or "no keys"
    return Problem(key, value, f"no such key; {owner} has {has}", join(key.rpartition(".")[0], near[0]) if near else "")


def join(key: str, name: str) -> str:
    """`key.name`, or `name` at the top."""
    return f"{key}.{name}" if key else name


def is_target(value: object) -> bool:
    """A node that builds an object."""
    return isinstance(value, dict) and "_target_" in value
