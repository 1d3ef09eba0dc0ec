"""Groups that occur in two splits: by column, by another spelling, or by sample names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from multimodal_lab.data.audit import individuals
from multimodal_lab.data.audit.column_names import is_class, is_how, is_identity, may_be_identity, same_meaning
from multimodal_lab.data.audit.finding import Finding, listed, number
from multimodal_lab.data.audit.individuals import Held
from multimodal_lab.data.audit.membership import Crossing, Parts, codes, crossing
from multimodal_lab.data.audit.regroup import cure
from multimodal_lab.data.audit.spelling import key, series, stem

FEW_IN_SERIES = 6  # values of one name but for a last number, in the median


def leaks(
    table: pd.DataFrame, parts: Parts, columns: Sequence[str], labels: Mapping[str, np.ndarray]
) -> Iterator[Finding]:
    """Individuals in two parts: of the column that the split goes by, and of each of `columns` that tells individuals.

    A column does by its name (`subject`), or by its rows: many values with few rows each that share a label (see `individuals`),
    which is a warning, unless its name may say so too (`ring`, `ID`, `oiseau`). Void where the test part is among them. Spellings
    and numbered names of one individual are a warning. labels[name] (N,): classes, -1 where missing.
    """
    named = [*parts.by, *filter(is_identity, columns)]
    known = [parts.groups]
    torn: list[tuple[str, Crossing, bool, Held | None]] = []
    for column in dict.fromkeys([*named, *_may_tell(table, columns, named)]):
        values = codes(table[column])
        own = {n: v for n, v in labels.items() if not same_meaning(n, column)}
        sure, may, few = column in named, may_be_identity(column), individuals.few_rows(values, parts)
        if not (sure or may or few):
            continue
        found = crossing(values, parts)
        if not found:
            yield from _spellings(column, table[column], parts, own, sure)
            continue
        why = None if sure else _shared(table[column], values, parts, own, known)
        if sure or why or (may and few):
            known.append(values)
            torn.append((column, found, found.tested and (sure or (may and why is not None)), why))
    voiding = [column for column, _, void, _ in torn if void]
    for column, found, void, why in torn:
        yield _leak(column, table[column], found, void, why, voiding)


def _may_tell(table: pd.DataFrame, columns: Sequence[str], named: Sequence[str]) -> list[str]:
    """The columns whose rows are to tell, those of most values first."""
    left = [c for c in columns if c not in named and not is_how(c) and not individuals.caption(table[c])]
    left = [c for c in left if may_be_identity(c) or not is_class(c)]
    return sorted(left, key=lambda c: (not may_be_identity(c), -table[c].nunique()))


def _shared(
    column: pd.Series, values: np.ndarray, parts: Parts, labels: Mapping[str, np.ndarray], known: Sequence[np.ndarray]
) -> Held | None:
    if not may_be_identity(str(column.name)) and individuals.measured(column, values, labels):
        return None
    return individuals.held(values, parts, labels, known)


def _leak(
    column: str, values: pd.Series, found: Crossing, void: bool, why: Held | None, voiding: Sequence[str]
) -> Finding:
    """voiding: all columns that void this split, so that one list of them mends it."""
    parts = found.parts
    shared = list(dict.fromkeys(values.iloc[found.held].astype(str)))
    home = dict(zip(values.iloc[found.held].astype(str), zip(found.first, found.held)))
    said = tuple(f"{v} ({parts.names[parts.home[a]]}, {parts.names[parts.home[b]]})" for v, (a, b) in home.items())
    total = values[parts.home >= 0].nunique()
    grouped = "the split was made to leak" if column in parts.by else cure(parts, *voiding, column)
    there = f"{len(shared):,} of {total:,} values of {column} are in two parts: {listed(said)}"
    told = f"; its values have few rows each, which share their {_held(why)}, as those of individuals" if why else ""
    sentence = f"{there}{told}; {found.counted} are not new; {grouped}"
    return Finding("group leak", column, sentence, void, len(shared), said[:20])


def _held(why: Held) -> str:
    return f"{why.label} ({why.pairs:.0%} of pairs, of any two rows {why.by_chance:.0%})"


def _spellings(
    column: str, values: pd.Series, parts: Parts, labels: Mapping[str, np.ndarray], sure: bool
) -> Iterator[Finding]:
    """Values in two parts that are one but for the spelling, or but for a last number where their rows share a label."""
    texts = values.astype(object).map(str, na_action="ignore")
    spelled = _each(texts, key)
    loose = crossing(codes(spelled), parts)
    if loose and (sure or _shared(values, codes(spelled), parts, labels, [parts.groups])):
        pairs = _pairs(values, loose)
        there = f"{column}: {number(len(pairs), 'value')} in two parts, but for the spelling"
        yield Finding("group leak", column, f"{there}: {listed(pairs)}; write them alike", False, len(pairs), pairs)
    elif found := _numbered(texts, parts, labels):
        pairs = _pairs(values, found)
        there = f"{column}: {number(len(pairs), 'value')} in two parts, but for a last number: {listed(pairs)}"
        yield Finding("group leak", column, f"{there}; are they of one?", False, len(pairs), pairs)


def _numbered(texts: pd.Series, parts: Parts, labels: Mapping[str, np.ndarray]) -> Crossing | None:
    """Rows of one name but for a last number (owl012_1, owl012_2), where a few names share it, and a label with it."""
    own = codes(texts)
    stems = codes(_each(texts, series))
    found = crossing(stems, parts)
    other = own[found.held] != own[found.first]
    found = Crossing(found.held[other], found.first[other], parts)
    if not found or not individuals.few_rows(stems, parts):
        return None
    each = pd.Series(own[own >= 0]).groupby(stems[own >= 0]).nunique()
    if each[each > 1].median() > FEW_IN_SERIES or individuals.held(stems, parts, labels, [own]) is None:
        return None
    return found


def _each(texts: pd.Series, what: Callable[[str], str]) -> pd.Series:
    """What is made of each text; what is missing stays so."""
    return texts.map({text: what(text) for text in texts.dropna().unique()})


def _pairs(values: pd.Series, found: Crossing) -> tuple[str, ...]:
    pairs = zip(values.iloc[found.held].astype(str), values.iloc[found.first].astype(str))
    return tuple(dict.fromkeys(f"{a!r} and {b!r}" for a, b in pairs))


def alike(parts: Parts, labels: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """Sample names in two parts that differ only as views, copies or spellings of one thing do, or in a last number; a warning.

    In a last number: where the few samples of one name share a label, see `individuals`.
    """
    names = pd.Series([str(i) for i in parts.ids], dtype=object)
    found = crossing(codes(_each(names, stem)), parts)
    if not (found := _apart(found)):
        numbered = _numbered(names, parts, labels)
        found = _apart(numbered) if numbered else found
    if found:
        pairs = found.pairs("and")
        sentence = (
            f"{found.counted} are named like a sample of an earlier part: {listed(pairs)}; are they of one thing?"
        )
        yield Finding("id", "id", sentence, False, len(found.held), pairs)


def _apart(found: Crossing) -> Crossing:
    """Without those of one group, which are reported there."""
    parts = found.parts
    apart = parts.groups[found.held] != parts.groups[found.first]
    return Crossing(found.held[apart], found.first[apart], parts)
