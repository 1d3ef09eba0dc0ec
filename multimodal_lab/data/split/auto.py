"""Automatic choice (`auto`) of labels, groups and strata from the sample table."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data.split import linked
from multimodal_lab.data.split.split import AUTO as AUTO
from multimodal_lab.data.split.split import NO_STRATUM, Split
from multimodal_lab.text import show

BOOKKEEPING = {
    "id", "path", "height", "width", "split", "block", "cell", "row", "column", "top", "left", "tiles", "recording", "start",
    "end", "crs", "bottom", "right", "lon", "lat", "spatial_block", "clip_of_recording",
}  # fmt: skip
GROUP, STRATUM, OFFICIAL = "individual", "species", "split"


@dataclass(frozen=True)
class Choice:
    """labels: columns of the sample table. split: with no `auto` left in it. notes: what was chosen, in sentences."""

    labels: list[str]
    split: Split
    notes: list[str]


def choose(
    table: pd.DataFrame,
    labels: list[str] | str | None,
    split: Split,
    texts: Collection[str] = (),
    together: str | None = None,
) -> Choice:
    """Resolve every `auto`; explicit settings stay.

    labels: every column but bookkeeping, the groups and the fields of text streams (`texts`) that has at least two
    values, is not unique per row or group and, unless `data.split.min_class_policy=train`, has no class of one sample. by:
    `individual`, where there are fewer of them than rows, with `together`, the column of rows that show one thing, and
    `table.attrs["overlapping"]`, the column of blocks, where the former would tear the latter; the last alone where all would
    link most samples into one group.
    stratify: `species`, else the first label, where each class has a group for every split and no group two classes;
    never over an official split. column: `split`, where the table has it.
    """
    made = with_column(split, table)
    notes: list[str] = []
    overlapping = table.attrs.get("overlapping")
    if split.by == AUTO:
        made.by, torn = _groups(table, together, None if made.column else overlapping)
        notes += torn
    if overlapping and _torn(table, made, overlapping):
        what = "windows of one recording" if overlapping == "recording" else "crops that share pixels"
        notes.append(
            f"warning: {what} may stand in two splits (data.split.by={show(made.by)}), so that scores are "
            f"too good; {linked.typed(linked.together(table, [*linked.columns(made.by), overlapping]))} keeps them apart"
        )
    if len(placed := made.placed(table)) < len(table):
        table = table.iloc[placed]
    groups = pd.Series(made.groups(table), index=table.index, dtype=object)
    if labels is None or isinstance(labels, str):
        taken, left = _labels(
            table, groups, made, {*BOOKKEEPING, *texts, *linked.columns(made.by), made.column, together}
        )
        notes.append(f"labels: {', '.join(taken) or 'none'}{_listed(left)}")
    else:
        taken = labels
    unfit: dict[str, str] = {}
    if split.stratify == AUTO:
        made.stratify, unfit = _stratum(table, groups, made, taken)
    if AUTO in (split.by, split.stratify, split.column):
        notes.append(_told(made, unfit))
    if split.group_policy == "samples":
        notes.append(_leaky(made))
    return Choice(taken, made, notes)


def frozen(table: pd.DataFrame, labels: list[str] | str | None, split: Split, record: dict[str, Any]) -> Choice:
    """What is `auto`, as the trained run of `record` had it; new files need not have its groups."""
    made = with_column(split, table)
    if split.by == AUTO:
        made.by = linked.within(record["split"]["by"], table)
    if split.stratify == AUTO:
        stratum = record["split"]["stratify"]
        made.stratify = stratum if stratum in table else None
    return Choice(labels if isinstance(labels, list) else list(record["labels"]), made, [])


def _groups(table: pd.DataFrame, together: str | None, overlapping: str | None) -> tuple[linked.By, list[str]]:
    """The columns whose groups stay whole, and a warning of those that can't: they would link most samples into one group."""
    wanted = [GROUP] if GROUP in table and table[GROUP].nunique() < len(table) else []
    wanted += [together] if together else []
    if overlapping and not any(_keeps(table, column, overlapping) for column in wanted):
        wanted.append(overlapping)
    needed, found = linked.needed(table, wanted), linked.together(table, wanted)
    torn = [c for c in needed if c not in found]
    if not torn:
        return linked.plain(found or None), []
    share = linked.largest(linked.names(table, needed))
    said = f"{linked.typed(needed)} links {share:.0%} of the samples into one group"
    return linked.plain(found), [
        f"warning: a value of {' or '.join(torn)} may stand in two splits, so that scores are too good: {said}"
    ]


def with_column(split: Split, table: pd.DataFrame) -> Split:
    """A copy of the split whose official column is no longer `auto`."""
    made = copy(split)
    if split.column == AUTO:
        made.column = OFFICIAL if OFFICIAL in table else None
    return made


def _labels(
    table: pd.DataFrame, groups: pd.Series, split: Split, skip: Collection[str | None]
) -> tuple[list[str], dict[str, str]]:
    """The columns to learn from, and why each of the others was left out."""
    reasons = {c: _unfit(table[c], groups, split) for c in map(str, table.columns) if c not in skip}
    return [c for c, why in reasons.items() if not why], {c: why for c, why in reasons.items() if why}


def _unfit(column: pd.Series, groups: pd.Series, split: Split) -> str:
    known = column.dropna().astype(object)
    if known.map(lambda v: isinstance(v, list | tuple | set | np.ndarray)).any():  # several labels a row
        return ""
    counts = known.map(str).value_counts()
    if len(counts) < 2:
        return "fewer than two values"
    if len(counts) == len(known):
        return "another value in every row"
    if split.by and groups.groupby(known.map(str)).nunique().max() == 1:
        return f"each value in one {split.unit} only"
    if pd.api.types.is_float_dtype(column) or split.min_class_policy == "train" or counts.iloc[-1] > 1:
        return ""
    return (
        f"{counts.index[-1]!r} has one sample; data.split.min_class_policy=train data.labels=[{column.name}] takes it"
    )


def _stratum(
    table: pd.DataFrame, groups: pd.Series, split: Split, labels: list[str]
) -> tuple[str | None, dict[str, str]]:
    """The column to stratify by, and why the better ones can't be."""
    if split.column:
        return None, {}
    reasons: dict[str, str] = {}
    for column in dict.fromkeys([*([STRATUM] if STRATUM in table else []), *labels[:1]]):
        reasons[column] = _uneven(table[column], groups, split)
        if not reasons[column]:
            return column, {c: why for c, why in reasons.items() if why}
    return None, reasons


def _uneven(column: pd.Series, groups: pd.Series, split: Split) -> str:
    if (
        pd.api.types.is_float_dtype(column)
        or column.map(lambda v: isinstance(v, list | tuple | set | np.ndarray)).any()
    ):
        return "no classes"
    strata = column.astype(object).where(column.notna(), NO_STRATUM).map(str)
    if strata.groupby(groups).nunique().max() > 1:
        return f"differs within {'a ' * (len(linked.columns(split.by)) > 1)}{split.unit}"
    found = groups[column.notna()].groupby(strata[column.notna()]).nunique().sort_values(kind="stable")
    if found.empty:
        return "no values"
    parts = sum(share > 0 for share in split.shares.values())
    return (
        f"{found.index[0]!r} has {found.iloc[0]} {split.unit}, fewer than {parts} splits"
        if found.iloc[0] < parts
        else ""
    )


def _told(split: Split, unfit: dict[str, str]) -> str:
    alone = f"each sample by itself (there is no column `{GROUP}` to group by)"
    by = f"no {' and no '.join(linked.columns(split.by))} in two splits" if split.by else alone
    parts = [by, f"stratified by {split.stratify}" if split.stratify else "not stratified"]
    parts += [f"official column {split.column}"] if split.column else []
    reasons = "; ".join(f"not by {column}, {why}" for column, why in unfit.items())
    return f"split: {', '.join(parts)}" + (f" ({reasons})" if reasons else "")


def _torn(table: pd.DataFrame, split: Split, overlapping: str) -> bool:
    """Whether rows that share pixels or steps may stand in two splits."""
    return not any(_keeps(table, column, overlapping) for column in (*linked.columns(split.by), split.column))


def _keeps(table: pd.DataFrame, column: str | None, overlapping: str) -> bool:
    """Whether rows of one value of the column, held out as one, keep files, or blocks that every row is in, whole."""
    inside = not table[overlapping].isna().any() and _whole(table, column, overlapping)
    return column == overlapping or inside or _whole(table, column, "path")


def _whole(table: pd.DataFrame, column: str | None, unit: str) -> bool:
    """Whether all rows of one `unit` have one value of the column; tiles of one picture are as the crops of one file."""
    unit = "tiles" if unit == "path" and "tiles" in table else unit
    if column is None or not {column, unit} <= {*table.columns}:
        return False
    return bool(table.groupby(unit)[column].nunique(dropna=False).max() == 1)


def _leaky(split: Split) -> str:
    shared = f"samples of one {split.unit} stand" if split.by else "what the official split keeps apart stands"
    return (
        f"warning: data.split.group_policy=samples is a random split: {shared} in train and test, so that scores are too good; "
        "it serves to measure by how much (the leak gap), and nothing else"
    )


def _listed(left: dict[str, str]) -> str:
    return f" (left out: {'; '.join(f'{c}, {why}' for c, why in left.items())})" if left else ""
