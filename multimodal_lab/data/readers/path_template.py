"""Templates of file names: `s2/{id}/{id}_{band}.tif`, whose groups tell what a file is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multimodal_lab.data.source import DataError
from multimodal_lab.text import nearest, some

GROUP = re.compile(r"\{([A-Za-z_]\w*)(?::([1-9]\d?))?\}")
BAND = "band"
LOOKED = 5_000  # names among which the nearest is looked for


@dataclass(frozen=True)
class Match:
    """One file: its path, the values of its groups, and its band, "" where the template has no {band}."""

    path: str
    groups: dict[str, str]
    band: str


class PathTemplate:
    """Names of files relative to a root, with groups in braces.

    `{name}` is a part of a folder's or file's name, the shortest that fits; `{name:8}` is 8 characters; a group that stands twice
    is the same both times; `{band}` is one of the names of `bands`; `*` is anything within a name. All else stands for itself.
    Raises `DataError`, naming the config's `key`, for a template that can't be read.
    """

    def __init__(self, template: str, bands: Sequence[str], key: str) -> None:
        self.template, self.key = template, key
        rest = GROUP.sub("", template)
        if "{" in rest or "}" in rest:
            raise DataError(f"{key}: {template!r} has a brace without its name, expected {{name}} or {{name:8}}")
        if template.startswith("/") or ".." in template.split("/"):
            raise DataError(f"{key}: {template!r} leaves the root, expected a path below it")
        self.groups = [name for name in dict.fromkeys(m[1] for m in GROUP.finditer(template)) if name != BAND]
        self.by_band = any(m[1] == BAND for m in GROUP.finditer(template))
        # longest first: B1 begins B11, and what follows a band may be anything
        self._names = {BAND: "|".join(re.escape(b) for b in sorted(bands, key=len, reverse=True))}
        self._regex = re.compile(self._pattern(self._names))
        self._any_band = re.compile(self._pattern({BAND: "[^/]+?"}))

    def _pattern(self, names: Mapping[str, str]) -> str:
        made, at, seen = "", 0, set[str]()
        for found in GROUP.finditer(self.template):
            made += _literal(self.template[at : found.start()])
            name, width = found[1], found[2]
            own = names.get(name) or (f"[^/]{{{width}}}" if width else "[^/]+?")
            made += f"(?P={name})" if name in seen else f"(?P<{name}>{own})"
            seen.add(name)
            at = found.end()
        return made + _literal(self.template[at:])

    def match(self, paths: Sequence[str]) -> list[Match]:
        """The files that the template means, in order; `DataError` where there is none, naming the nearest."""
        found = []
        for path in paths:
            if m := self._regex.fullmatch(path):
                values = m.groupdict()
                band = values.pop(BAND, "") or ""
                found.append(Match(path, values, band))
        if not found:
            raise DataError(f"{self.key}: {self.template!r} matches none of {len(paths)} files; {self._nearest(paths)}")
        return found

    def _nearest(self, paths: Sequence[str]) -> str:
        """What to say of the files that there are."""
        others = sorted({m[BAND] for p in paths[:LOOKED] if self.by_band and (m := self._any_band.fullmatch(p))})
        if others:
            return f"its files call bands {some(others)}; data.source.names says how they call each"
        return f"nearest: {', '.join(nearest(self.template, paths[:LOOKED]))}"

    def fill(self, values: Mapping[str, str]) -> str:
        """The template with values in its groups, for messages."""
        return GROUP.sub(lambda m: values.get(m[1], m[0]), self.template)


def _literal(text: str) -> str:
    return re.escape(text).replace(r"\*", "[^/]*?")
