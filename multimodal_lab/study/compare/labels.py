"""The labels of a derived study: which, of what kind, and why one can't be studied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from multimodal_lab.config.problem import StudyError
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.split import auto, linked
from multimodal_lab.data.streams.labels import Target, encode
from multimodal_lab.study.analysis.where import MOST
from multimodal_lab.study.compare import spelt
from multimodal_lab.study.compare.facts import Kind, Label
from multimodal_lab.study.compare.heads import key_of
from multimodal_lab.study.compare.request import Request
from multimodal_lab.text import nearest, some

CODES = 12  # distinct whole numbers: so few may be codes of classes
RARELY = 0.1  # of the groups: a label that differs in so few is the same for all others, and these look like slips
HELD = 2  # groups of a class: one to learn from, one to hold out


def choose(table: pd.DataFrame, data: Data, asked: Request) -> list[str]:
    """The labels to study: those asked for, else those of the data set, else every column that can be one."""
    columns = [c for c in map(str, table.columns) if c not in auto.BOOKKEEPING]
    wanted = asked.study.get("labels")
    if wanted is not None:
        if not isinstance(wanted, list) or not wanted or not all(isinstance(w, str) for w in wanted):
            raise StudyError(f"study.labels={wanted}: expected a list of names, such as study.labels=[{columns[0]}]")
        for name in wanted:
            if name not in table:
                near = nearest(name, columns)[0] if columns else ""
                raise StudyError(
                    f"study.labels: no column {name!r} in the data; there are {', '.join(columns) or 'none'} (nearest: {near})"
                )
        _require_keys(wanted)
        return wanted
    found = data.labels
    if not isinstance(found, list) or not found:
        found = auto.choose(table, auto.AUTO, data.split).labels
    usable = [name for name in found if name in table and table[name].astype(object).map(str).nunique() > 1]
    if not usable:
        raise StudyError(
            f"study.labels: the data have no column with two values to tell apart; there are {', '.join(columns) or 'none'}: "
            "labels stand in file names, folders or a table (data.source.labels)"
        )
    _require_keys(usable)
    return usable


def require_differ(chosen: list[str], asked: Request) -> None:
    """What may differ within a group is a label of the study."""
    for name in asked.asked.differ:
        if name not in chosen:
            near = nearest(name, chosen)[0]
            raise StudyError(
                f"study.differ: {name!r} is no label of this study, which are {', '.join(chosen)} (nearest: {near})"
            )


def _require_keys(names: list[str]) -> None:
    """Names that the keys of a config can hold, each its own."""
    keys: dict[str, str] = {}
    for name in names:
        if "." in name:
            raise StudyError(
                f"study.labels: {name!r} holds a point, which parts the keys of a config; call the column "
                f"{name.replace('.', '_')!r}"
            )
        if (other := keys.setdefault(key_of(name), name)) != name:
            raise StudyError(
                f"study.labels: {other!r} and {name!r} are one key, {key_of(name)}, of a config, which holds letters, digits and "
                "_ alone; rename one of the columns"
            )


def beside(table: pd.DataFrame, chosen: list[str], data: Data, asked: Request) -> list[str]:
    """The columns of `study.by` that are no studied label: kept beside the predictions, told by no head."""
    names = asked.study.get("by") or []
    columns = [c for c in map(str, table.columns) if c not in auto.BOOKKEEPING]
    for name in names:
        if name not in table:
            near = nearest(name, columns)[0] if columns else ""
            raise StudyError(
                f"study.by: no column {name!r} in the data; there are {', '.join(columns) or 'none'} (nearest: {near})"
            )
        target = encode(table, name, kind=data.kinds.get(name))
        count = int(table[name].dropna().astype(str).nunique())
        most = min(MOST, len(table) // 2)
        if not target.classes or target.values.ndim != 1 or not 1 < count <= most:
            what = f"{count} values" if target.classes and target.values.ndim == 1 else "numbers or several at once"
            raise StudyError(
                f"study.by: {name} has {what} in {len(table)} samples; subgroups are of a column of classes with 2 to {most}"
            )
    return [name for name in dict.fromkeys(names) if name not in chosen]


def describe(table: pd.DataFrame, name: str, groups: np.ndarray, by: linked.By, data: Data, asked: Request) -> Label:
    """The kind of a label; `StudyError` for one that nothing can be learnt of."""
    target = encode(table, name, kind=data.kinds.get(name))
    kind: Kind = "number" if not target.classes else "several" if target.values.ndim == 2 else "class"
    found = Label(name, kind, len(target.classes))
    if kind == "number":
        _require_number(target.values, name, data)
    elif kind == "class":
        spelt.require_classes(table[name], name, data.kinds)
        _require_classes(table[name], target, name, groups, by, data)
        found = replace(found, notes=(*_alone(target, name, groups, by), *_unknown(table[name], name)))
    else:
        spelt.require_lists(table[name], name, data.kinds)
    if found.kind != "several" and name not in asked.asked.differ:
        for column in linked.columns(by):
            _require_alike(table, name, column)
    return found


def _require_number(values: np.ndarray, name: str, data: Data) -> None:
    known = values[np.isfinite(values)]
    kinds = np.unique(known)
    if len(kinds) < 2:
        raise StudyError(
            f"study.labels: {name} is the one number {kinds[0]:g} in all {len(known)} samples: nothing to tell"
        )
    if name not in data.kinds and len(kinds) <= CODES and (kinds == np.round(kinds)).all():
        listed = ", ".join(f"{k:g}" for k in kinds)
        raise StudyError(
            f"study.labels: {name} holds {len(kinds)} whole numbers ({listed}): codes of classes, or amounts? Say which: "
            f"+data.kinds.{name}=class or +data.kinds.{name}=number"
        )


def _require_classes(
    column: pd.Series, target: Target, name: str, groups: np.ndarray, by: linked.By, data: Data
) -> None:
    known = target.values >= 0
    counts = Counter(target.values[known].tolist())
    if len(counts) < 2:
        only = target.classes[next(iter(counts))] if counts else "none"
        raise StudyError(
            f"study.labels: {name} has one class, {only!r}, in all {int(known.sum())} samples: there is nothing to tell apart"
        )
    if len(counts) > known.sum() / 2 and name not in data.kinds and pd.api.types.is_integer_dtype(column.dropna()):
        raise StudyError(
            f"study.labels: {name} holds {len(counts)} whole numbers in {int(known.sum())} samples: amounts, or codes? Say "
            f"which: +data.kinds.{name}=number or +data.kinds.{name}=class"
        )
    held = {c: len(np.unique(groups[known & (target.values == c)])) for c in counts}
    if sum(n >= HELD for n in held.values()) < 2:
        one = target.classes[min(held, key=lambda c: held[c])]
        raise StudyError(
            f"study.labels: {name} {one!r} is in one {linked.unit(by)} only, and so are all classes but one at most: none "
            f"could be both learnt and held out; expected two classes of {linked.counted(HELD, by)} or more"
        )


def _alone(target: Target, name: str, groups: np.ndarray, by: linked.By) -> Iterator[str]:
    """A class of one group is learnt or held out, and so always answered wrong where it is tested."""
    alone = [c for i, c in enumerate(target.classes) if len(np.unique(groups[target.values == i])) == 1]
    if alone:
        names = some([*map(repr, alone)], 3)
        which = f"class {names} is" if len(alone) == 1 else f"{len(alone)} classes ({names}) are each"
        yield f"{name}: {which} in one {linked.unit(by)} only: learnt or held out, never both, so that no arm can tell it"


def _unknown(column: pd.Series, name: str) -> Iterator[str]:
    for value, count in spelt.unknown(column).items():
        yield f"{name}: {value!r} is a class of its own ({count} samples); leave these cells empty if it means that nobody knows"


def _require_alike(table: pd.DataFrame, name: str, by: str) -> None:
    """A label that is the same within nearly every value of a column, and differs in a few, is wrong somewhere in these."""
    known = table[name].notna().to_numpy() & linked.known(table[by])
    cells = {"group": linked.as_text(table[by]), "value": linked.as_text(table[name]), "id": table["id"].to_numpy()}
    frame = pd.DataFrame({column: values[known] for column, values in cells.items()})
    several = frame.groupby("group").filter(lambda own: len(own) > 1)
    distinct = several.groupby("group")["value"].nunique()
    wrong = distinct[distinct > 1]
    if not len(wrong) or len(wrong) > RARELY * len(distinct):
        return
    own = several[several["group"] == wrong.index[0]].drop_duplicates("value")
    (a, x), (b, y) = list(zip(own["value"], own["id"], strict=True))[:2]
    raise StudyError(
        f"study.labels: {name} differs among the samples of {len(wrong)} of {linked.counted(len(distinct), by)}, such as "
        f"{linked.unit(by)} {wrong.index[0]!r}: {a!r} in {x}, {b!r} in {y}; correct them, or say that it may: "
        f"study.differ=[{name}]"
    )
