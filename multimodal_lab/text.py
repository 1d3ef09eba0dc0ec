"""Text helpers: formatting of values, nearest names, words of a command line, regular expressions of a config."""

from __future__ import annotations

import codecs
import difflib
import io
import os
import re
import sys
import unicodedata
from collections.abc import Container, Iterable, Sequence, Sized
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
# What stands for the signs of tables and sentences on a terminal that has no such letters.
ASCII = {
    "·": "|",
    "→": "->",
    "±": "+-",
    "–": "-",
    "—": "-",
    "…": "...",
    "×": "x",
    "≥": ">=",
    "≤": "<=",
    "µ": "u",
    "’": "'",
}
UNSEEN = {"Zs", "Zl", "Zp", "Cc", "Cf"}  # kinds of signs that leave no ink
SECONDS = 1.0  # of CPU, for one name; what people write takes microseconds
MANY = 16  # names: more of them are counted, not listed
SHOWN = 5  # names, of a list that is cut


# Signs that a terminal obeys or that reorder what is read: names of files, streams and classes may hold any.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object, one_line: bool = False) -> str:
    """A text with its control characters escaped, as `\\x1b`; with `one_line` ends of lines and tabs, too."""
    found = _CONTROL.sub(lambda m: m[0].encode("unicode_escape").decode(), str(text))
    return found.replace("\n", "\\n").replace("\t", "\\t") if one_line else found


def half_character(text: str) -> str:
    """The sentence on a text that no encoding has: it holds half of a surrogate pair, as of a cut emoji; "" for any other."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = ascii(text[max(0, error.start - 20) : error.end + 20])
        return f"{found} holds half of a surrogate pair, which is no character; expected a whole one, or none"
    return ""


def show(value: object) -> str:
    """A value as it would be typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        text = "{" + ", ".join(f"{k}: {show(v)}" for k, v in value.items()) + "}"
    elif isinstance(value, list):
        text = "[" + ", ".join(show(v) for v in value) + "]"
    else:
        text = printable(value, one_line=True)
    return text if len(text) <= 80 else text[:77] + "…"


def and_more(found: Sized, shown: int, what: str = "") -> str:
    """What follows a list that is cut after its first `shown`: `and 3 more`; "" where that is all of it. what: they are."""
    left = len(found) - shown
    return f"and {left} more{what and f' {what}'}" if left > 0 else ""


def some(names: Sequence[object], shown: int = SHOWN) -> str:
    """The first few names, and how many more there are: `a, b and 3 more`."""
    more = and_more(names, shown)
    return ", ".join(map(str, names[:shown])) + (f" {more}" if more else "")


def spanned(names: Sequence[str], what: str) -> str:
    """Names in an order that has a meaning, as bands have: all of a few; of many the first, the last, and how many."""
    return (
        ", ".join(names) if len(names) <= MANY else f"{', '.join(names[:SHOWN])}, … {names[-1]} ({len(names)} {what})"
    )


def counted(count: int, noun: str) -> str:
    """`1 band`, `3 bands`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def join_labels(names: Iterable[str]) -> str:
    """Several labels as one text, joined by `+`; a `+` or `\\` in a name has a `\\` before it, for `split_labels`."""
    return "+".join(re.sub(r"([\\+])", r"\\\1", name) for name in names)


def split_labels(text: str) -> list[str]:
    """The labels that `join_labels` joined."""
    parts = re.findall(r"(?:\\.|[^\\+])+", text, re.DOTALL)
    return [re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts]


def nearest(word: object, choices: Iterable[str], n: int = 1) -> list[str]:
    """The `n` most similar of `choices`, best first; never empty unless `choices` is."""
    return difflib.get_close_matches(str(word), list(choices), n, 0)


def meant(word: str, choices: Iterable[str]) -> str:
    """The most similar of `choices` where `word` may be a typo of it, else ""."""
    return next(iter(difflib.get_close_matches(word, list(choices), 1)), "")


def beside(path: Path) -> str:
    """The file or folder whose name a missing path may be a typo of, as `; nearest: PATH`; "" where there is none."""
    try:
        there = [p.name for p in path.parent.iterdir() if p.name != path.name]
    except OSError:
        return ""
    return f"; nearest: {path.parent / near}" if (near := meant(path.name, there)) else ""


def expected_one_of(found: object, choices: Iterable[str]) -> str:
    """The sentence that follows a name which is none of `choices`: what there is, and the nearest; three of many."""
    names = list(choices)
    if not names:
        return "there is none"
    many = len(names) > MANY
    listed = f"{len(names)} names" if many else ", ".join(names)
    return f"expected one of {listed}; nearest: {', '.join(nearest(found, names, 3 if many else 1))}"


def install_command(extra: str) -> str:
    """The command that installs an extra of this package, in a checkout of it or beside an installed one."""
    checkout = (Path(__file__).parents[1] / "pyproject.toml").is_file()
    return f"pip install -e '.[{extra}]'" if checkout else f"pip install 'multimodal_lab[{extra}]'"


def key_values(words: Iterable[str], keys: Container[str] | None = None) -> tuple[dict[str, str], list[str]]:
    """{key: value} of the words KEY=VALUE, where given of `keys` alone, and all other words as they were.

    `~` at the beginning of a value is the home directory: behind = no shell expands it.
    """
    values: dict[str, str] = {}
    rest: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and (keys is None or key in keys):
            values[key] = os.path.expanduser(value)
        else:
            rest.append(word)
    return values, rest


class Pattern:
    """A regular expression of a config, as Python's `re` reads it, in a bounded time: it may come from anyone.

    key: of the config, for messages. error: raised, in one sentence, where `text` is no regular expression, and where it goes
    through more ways to match a name than `SECONDS` allow.
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


def is_blank(text: str) -> bool:
    """Whether nothing of a text is seen: none at all, or spaces, controls and marks without a width, such as U+200B."""
    return not any(c.isalnum() or unicodedata.category(c) not in UNSEEN for c in text)


def distinct(values: Iterable[T]) -> list[T]:
    """Each value once, in order; by type, too: 1 is not true."""
    return list({repr(value): value for value in values}.values())


def plain_output() -> None:
    """Let stdout and stderr take any text: the nearest signs stand for what an encoding lacks; `LC_ALL=C` is ASCII."""
    codecs.register_error("nearest_signs", _nearest_signs)
    locale = next((os.environ[k] for k in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(k)), "")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            ascii_only = locale in ("C", "POSIX") and "PYTHONIOENCODING" not in os.environ
            stream.reconfigure(encoding="ascii" if ascii_only else None, errors="nearest_signs")


def _nearest_signs(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler of `plain_output`: letters lose their marks, the rest is a question mark."""
    assert isinstance(error, UnicodeEncodeError)
    signs = []
    for sign in error.object[error.start : error.end]:
        bare = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
        signs.append(ASCII.get(sign) or bare or "?")
    return "".join(signs), error.end
