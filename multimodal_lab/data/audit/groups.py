"""Groups that occur in two splits: by column, by another spelling, or by sample names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from multimodal_lab.data.audit.column_names import is_identity, plain, stem
from multimodal_lab.data.audit.finding import Finding, listed, number
from multimodal_lab.data.audit.membership import Crossing, Parts, codes, crossing


def leaks(table: pd.DataFrame, parts: Parts, columns: Sequence[str]) -> Iterator[Finding]:
    """Individuals in two parts: of the column that the split goes by, and of each of `columns` whose name says who.

    Void where the test part is among them. Spellings that differ only in case, spaces or punctuation are a warning.
    """
    for column in dict.fromkeys([*([parts.by] if parts.by else []), *filter(is_identity, columns)]):
        values = table[column]
        found = crossing(codes(values), parts)
        if found:
            yield _leak(column, values, found)
            continue
        spelled = values.where(values.notna(), None).map(lambda v: None if v is None else plain(str(v)))
        loose = crossing(codes(spelled), parts)
        if loose:
            pairs = _spelled(values, loose)
            there = f"{column}: {number(len(pairs), 'value')} in two parts, but for the spelling"
            sentence = f"{there}: {listed(pairs)}; write them alike"
            yield Finding("group leak", column, sentence, False, len(pairs), pairs)


def _leak(column: str, values: pd.Series, found: Crossing) -> Finding:
    parts = found.parts
    shared = list(dict.fromkeys(values.iloc[found.held].astype(str)))
    home = dict(zip(values.iloc[found.held].astype(str), zip(found.first, found.held)))
    said = tuple(f"{v} ({parts.names[parts.home[a]]}, {parts.names[parts.home[b]]})" for v, (a, b) in home.items())
    total = values[parts.home >= 0].nunique()
    grouped = "the split was made to leak" if column == parts.by else f"data.split.by={column} keeps each in one part"
    there = f"{len(shared):,} of {total:,} values of {column} are in two parts: {listed(said)}"
    sentence = f"{there}; {found.counted} are not new; {grouped}"
    return Finding("group leak", column, sentence, found.tested, len(shared), said[:20])


def _spelled(values: pd.Series, found: Crossing) -> tuple[str, ...]:
    pairs = zip(values.iloc[found.held].astype(str), values.iloc[found.first].astype(str))
    return tuple(dict.fromkeys(f"{a!r} and {b!r}" for a, b in pairs))


def alike(parts: Parts) -> Iterator[Finding]:
    """Sample names in two parts that differ only as views, copies or spellings of one thing do; a warning."""
    made = np.empty(len(parts.ids), dtype=object)
    made[:] = [stem(str(i)) for i in parts.ids]
    values = np.asarray(pd.factorize(made)[0], dtype=np.int64)
    found = crossing(values, parts)
    apart = parts.groups[found.held] != parts.groups[found.first]  # of one group it is reported there
    found = Crossing(found.held[apart], found.first[apart], parts)
    if found:
        pairs = found.pairs("and")
        sentence = (
            f"{found.counted} are named like a sample of an earlier part: {listed(pairs)}; are they of one thing?"
        )
        yield Finding("id", "id", sentence, False, len(found.held), pairs)
