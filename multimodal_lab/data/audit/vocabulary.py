"""Label names that may be one name misspelt, and names of files that look like copies."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

import pandas as pd

from multimodal_lab.data.audit.finding import Finding, listed, number
from multimodal_lab.data.audit.spelling import key

ALIKE = 0.84  # difflib's ratio: one letter of six
RARE, SURE = 2, 10  # samples of a name at most, and how many times more the name has that it is like
LEAST = 5  # letters, below which names differ by one letter and mean other things
MOST = 2000  # names: more are no vocabulary
_COPY = re.compile(
    r"(?:[\s_.-]+(?:copy|kopie|copie|duplicate)(?:[\s_.-]*\d+)?|\s*\(\d+\)|~|\.(?:bak|tmp|part|old|crdownload))$", re.I
)
_HIDDEN = re.compile(r"^(?:\._|\.)")


def spellings(label: str, counts: Mapping[str, int]) -> Iterator[Finding]:
    """Names that are spellings of one name, and rare ones that differ from a frequent one by a letter. counts: of each name."""
    if not 1 < len(counts) <= MOST:
        return
    by_key: dict[str, list[str]] = {}
    for name in counts:
        by_key.setdefault(key(name), []).append(name)
    several = [sorted(own, key=lambda n: counts[n]) for own in by_key.values() if len(own) > 1]
    pairs = [(own[0], own[-1]) for own in several]
    told = {rare for rare, _ in pairs}
    for name, count in counts.items():
        if count > RARE or len(name) < LEAST or name in told:
            continue
        near = difflib.get_close_matches(name, [o for o, n in counts.items() if n >= SURE * count], 1, ALIKE)
        if near and not _numbers_differ(name, near[0]):
            pairs.append((name, near[0]))
    if pairs:
        said = tuple(f"{a!r} ({counts[a]:,}), of which {b!r} has {counts[b]:,}" for a, b in pairs)
        sentence = f"{number(len(pairs), 'name')} of {label} may be misspelt: {listed(said)}; correct the name where it is stored"
        yield Finding("label spelling", label, sentence, False, len(pairs), said, label)


def counted(table: pd.DataFrame, label: str) -> dict[str, int]:
    """How many rows have each name of a column of names, or of lists of names; none of numbers."""
    if label not in table or pd.api.types.is_float_dtype(table[label]) or pd.api.types.is_integer_dtype(table[label]):
        return {}
    values = table[label].explode().dropna().map(str)
    return {str(k): int(v) for k, v in values.value_counts().items()}


def files(table: pd.DataFrame) -> Iterator[Finding]:
    """Names that say copy, backup or part of a download, hidden files, and names with signs that no terminal shows."""
    if "path" not in table:
        return
    paths = [str(p) for p in table["path"] if isinstance(p, str)]
    odd = tuple(p for p in paths if _odd(p.rsplit("/", 1)[-1]))
    if odd:
        what = f"{number(len(odd), 'file')} named like a copy or a leftover: {listed(odd)}"
        sentence = f"{what}; see whether they belong to the set"
        yield Finding("file name", "path", sentence, False, len(odd), odd[:20])


def _odd(name: str) -> bool:
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name[-300:])
    return bool(_COPY.search(stem) or _COPY.search(name[-300:]) or _HIDDEN.match(name)) or not name.isprintable()


def _numbers_differ(a: str, b: str) -> bool:
    return re.findall(r"\d+", a) != re.findall(r"\d+", b)
