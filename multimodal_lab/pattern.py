"""A regular expression of a config, matched within a bounded time: it may come from anyone."""

from __future__ import annotations

from typing import Any

SECONDS = 1.0  # of CPU, for one name; what people write takes microseconds


class Pattern:
    """`text` as Python's `re` reads it. key: of the config, for messages; error: what is raised, in one sentence.

    That is where it is no regular expression, and where it goes through more ways to match a name than `SECONDS` allow.
    """

    def __init__(self, text: str, key: str, error: type[ValueError] = ValueError) -> None:
        import regex  # as `re`, but it may be given a time; transformers needs it, too

        self.text, self.key, self.error = text, key, error
        try:
            self._compiled = regex.compile(text)
        except (regex.error, OverflowError, RecursionError) as why:
            raise error(f"{key}: {text!r} is not a regular expression: {why}") from why

    @property
    def groups(self) -> list[str]:
        """The names of its groups, in order."""
        return list(self._compiled.groupindex)

    def fullmatch(self, name: str) -> Any:
        """The match of a whole name, None where there is none."""
        try:
            return self._compiled.fullmatch(name, timeout=SECONDS)
        except TimeoutError as why:
            raise self.error(
                f"{self.key}: {self.text!r} takes more than {SECONDS:g} s to match {name[:60]!r}; expected a pattern with one "
                "way to match, such as without a repetition within a repetition"
            ) from why
