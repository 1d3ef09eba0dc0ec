"""What is held out as one: the samples that share a value of a column, or hang together by the values of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from multimodal_lab.data.source import DataError

By = str | list[str] | None  # a column, several, or none: each sample by itself
AUTO = "auto"  # what `Data` settles from the sample table
GIANT = 0.5  # share of the samples: a group of more leaves little to hold out, or little to learn from


def plain(by: By) -> By:
    """A list of one column as that column; `DataError` for a list of none, of one twice, or with `auto` in it."""
    if not isinstance(by, list):
        return by
    if not by or len({*by}) < len(by) or AUTO in by:
        found = "names no column" if not by else "names auto beside columns" if AUTO in by else "names a column twice"
        raise DataError(f"data.split.by=[{','.join(by)}]: {found}; expected a column, or several as [site,individual]")
    return by[0] if len(by) == 1 else by


def columns(by: By) -> tuple[str, ...]:
    """The columns of `data.split.by`."""
    return () if by is None else (by,) if isinstance(by, str) else tuple(by)


def within(by: By, table: pd.DataFrame) -> By:
    """Those of its columns that a table has: files that a trained run is shown need not have them."""
    return plain([c for c in columns(by) if c in table] or None)


def typed(named: Sequence[str]) -> str:
    """Columns as they are typed: `data.split.by=[site,individual]`."""
    return f"data.split.by={named[0] if len(named) == 1 else '[' + ','.join(named) + ']'}"


def unit(by: By, one: str = "sample") -> str:
    """What a group is called: by its column, `group by site + individual`, or `one` where each sample is its own."""
    named = columns(by)
    return f"group by {' + '.join(named)}" if len(named) > 1 else named[0] if named else one


def counted(count: int, by: By, one: str = "sample") -> str:
    """`1 individual`, `12 individuals`, `12 groups by site + individual`."""
    if len(columns(by)) > 1:
        return f"{count:,} {unit(by).replace('group', 'groups', count != 1)}"
    return f"{count:,} {unit(by, one)}{'s' * (count != 1)}"


def names(samples: pd.DataFrame, by: By) -> np.ndarray:
    """(N,) str: the group of each row. A row without a value is a group by itself, called by its id.

    One column: its value. Several: rows that share a value of any of them are of one group, and so are those that each
    of these shares one with, and so on: the connected components of the graph of rows and values, called by the first
    id, by alphabet, of their rows. A row without a value in one column is linked by the others alone; a cell that holds several
    values links by each. Crops that lie in no block (`attrs["overlapping"]`) are linked by nothing.
    """
    named, ids = columns(by), as_text(samples["id"])
    if not named or (len(named) == 1 and not _several(samples[named[0]])):
        return ids if not named else np.where(known(samples[named[0]]), as_text(samples[named[0]]), ids)
    apart = samples.attrs.get("overlapping")
    placed = samples[apart].notna().to_numpy() if apart in named else np.ones(len(samples), dtype=bool)
    rows, values, most = [], [], 0
    for column in named:
        own, codes = _links(samples[column].where(placed, None))
        rows.append(own)
        values.append(codes + most)
        most += int(codes.max(initial=-1)) + 1
    home = first_rows(len(samples), np.concatenate(rows), np.concatenate(values))
    order = np.argsort(ids, kind="stable")
    place, which = np.unique(home[order], return_index=True)
    called = np.empty(len(samples), dtype=object)
    called[place] = ids[order[which]]
    return np.asarray(called[home])


def known(column: pd.Series) -> np.ndarray:
    """(N,) bool: whether a row has a value there; an empty text is none."""
    return np.asarray(column.notna().to_numpy() & ~column.astype(object).isin([""]).to_numpy())


def first_rows(count: int, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(count,) of each row the first row that it hangs together with, over any number of shared values.

    rows, values (K,): row `rows[k]` holds the value `values[k]`, an integer from 0.
    """
    home = np.arange(count)
    if len(np.unique(rows)) == len(rows):  # of one value at most: a group each
        home[rows] = count + values
    else:
        from scipy.sparse import coo_array  # a third of a second
        from scipy.sparse.csgraph import connected_components

        size = count + int(values.max(initial=-1)) + 1
        graph = coo_array((np.ones(len(rows), dtype=bool), (rows, values + count)), shape=(size, size))
        home = connected_components(graph, directed=False)[1][:count]
    _, first, inverse = np.unique(home, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], dtype=np.int64)


def largest(groups: np.ndarray) -> float:
    """The share of the samples that the largest group holds."""
    return float(np.unique(groups, return_counts=True)[1].max() / len(groups)) if len(groups) else 0.0


def told(samples: pd.DataFrame, by: By) -> list[str]:
    """What a run says of groups by several columns: how many, and how large; a warning of one that swallows the rest."""
    if len(columns(by)) < 2:
        return []
    found = names(samples, by)
    said = f"{counted(len(np.unique(found)), by)}, the largest of {largest(found):.0%} of {len(samples):,} samples"
    giant = largest(found) > GIANT
    return [f"{'warning: ' if giant else ''}split: {said}{'; ' + way_out(samples, by) if giant else ''}"]


def require_apart(samples: pd.DataFrame, by: By, groups: np.ndarray, parts: int) -> None:
    """`DataError` where several columns link the samples to fewer groups than there are parts of a split."""
    found, sizes = np.unique(groups, return_counts=True)
    if len(columns(by)) > 1 and len(found) < parts:
        raise DataError(
            f"{typed(columns(by))}: {counted(len(found), by)}, too few for {parts} parts: the largest holds {sizes.max():,} of "
            f"{len(samples):,} samples ({largest(groups):.0%}); {way_out(samples, by)}"
        )


def way_out(samples: pd.DataFrame, by: By) -> str:
    """What to do about a group by several columns that swallows the others: which column to leave out, and what that gives."""
    named = columns(by)
    rest = [[c for c in named if c != gone] for gone in named]
    shares = [largest(names(samples, plain(own))) for own in rest]
    best = int(np.argmin(shares))
    if shares[best] > GIANT:
        return "most samples hang together whichever of the columns is left out: take one of each, or another column"
    left = names(samples, plain(rest[best]))
    there = f"{counted(len(np.unique(left)), plain(rest[best]))}, the largest of {shares[best]:.0%}"
    return (
        f"it is {named[best]} that links most: {typed(rest[best])} gives {there}; or leave out the samples that share a "
        f"{named[best]} across these"
    )


def needed(samples: pd.DataFrame, named: Sequence[str]) -> list[str]:
    """Those of the columns that keep all of them whole: of `individual` and `nest`, each individual of one nest, `nest`."""
    left = list(dict.fromkeys(named))
    for column in [*left]:
        if any(whole(samples, other, column) for other in left if other != column):
            left.remove(column)
    return left


def whole(samples: pd.DataFrame, column: str, unit: str) -> bool:
    """Whether all rows of one `unit` have one value of the column."""
    if _several(samples[column]) or _several(samples[unit]):
        return False
    there = samples[known(samples[unit])]
    return bool(known(there[column]).all() and (there.groupby(unit)[column].nunique() == 1).all())


def together(samples: pd.DataFrame, named: Sequence[str]) -> list[str]:
    """The columns that keep all of them whole, or the last alone where those would link most samples into one group."""
    found = needed(samples, named)
    return found if len(found) < 2 or largest(names(samples, found)) <= GIANT else [named[-1]]


def as_text(column: pd.Series) -> np.ndarray:
    """(N,) str of a column; those that it holds as objects are no copies, as they would be half a million of them."""
    if column.dtype == object:
        return np.array([*map(str, column)], dtype=object)
    return column.astype(str).to_numpy(dtype=object)


def _several(column: pd.Series) -> bool:
    return column.dtype == object and any(isinstance(v, list | tuple | set) for v in column)


def _links(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The rows that have a value, each as often as it has values, and these as integers."""
    cells = pd.Series(column.to_numpy(dtype=object)).map(lambda v: [*v] if isinstance(v, tuple | set) else v).explode()
    cells = cells[known(cells)]
    return cells.index.to_numpy(dtype=np.int64), np.asarray(pd.factorize(as_text(cells))[0], dtype=np.int64)
