"""Check that the cells of a split were tested on the same samples, as paired comparisons need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from multimodal_lab.study.ledger.ledger import Entry
from multimodal_lab.study.ledger.predictions import Outcome

Judged = tuple[Entry, Outcome]


def counts(done: Sequence[Entry]) -> Iterator[str]:
    """Splits on which finished cells had other numbers of samples: no study plans that, but a directory may hold it."""
    for split in dict.fromkeys(e.cell.split for e in done):
        parts: dict[tuple[int, int], str] = {}
        for e in done:
            if e.cell.split == split:
                parts.setdefault((e.summary["data/train"], e.summary["data/test"]), e.folder.name)
        if len(parts) > 1:
            told = ", ".join(f"{train} and {test} in {name}" for (train, test), name in parts.items())
            yield f"arms were not trained and tested on the same samples of split {split}: {told}"


def differences(split: int, label: str, own: Sequence[Judged], evaluator: str) -> Iterator[str]:
    """Cells of a split that judged a label on other samples than most, or hold another group or truth of one.

    An arm may lack as many samples as its cell says it has missed, for want of a modality or label, but the same ones
    with every seed; a control, whose modality may be another sample's, with each its own.
    """
    if not own:
        return
    first = _usual(own)
    usual = {arm: _usual([j for j in own if j[0].cell.arm == arm]) for arm in {j[0].cell.arm for j in own}}
    where = f"of split {split} ({label})"
    found: list[tuple[str, str, int]] = []
    for one in own:
        mine = usual[one[0].cell.arm]
        here, there = _apart(one, mine)
        if one[0].cell.role == "control" or not here + there:
            mine = first
            here, there = _apart(one, first)
            if here <= _missed(first, evaluator) and there <= _missed(one, evaluator):
                continue
        found.append((one[0].folder.name, mine[0].folder.name, here + there))
    if found:
        name, other, n = found[0]
        yield f"cells were not tested on the same samples {where}: {n} differ between {name} and {other}{_more(found)}"
    yield from _facts(own, first, where)
    every, part = len(np.unique(np.concatenate([o.ids for _, o in own]))), first[0].summary["data/test"]
    if every > part and not found:
        yield f"cells were not tested on the same samples {where}: {every} in all, and {part} in {first[0].folder.name}"


def _facts(own: Sequence[Judged], first: Judged, where: str) -> Iterator[str]:
    """Groups and truths that are not those of the usual cell or, of what it lacks, of the first that has it."""
    ids = np.unique(np.concatenate([o.ids for _, o in own]))
    groups, truth = np.zeros(len(ids), np.int64), np.empty(len(ids), dtype=object)
    for _, o in [*own[::-1], first]:
        places = np.searchsorted(ids, o.ids)
        groups[places], truth[places] = o.groups, o.truth
    found: dict[str, list[tuple[str, str, int]]] = {"group": [], "truth": []}
    for e, o in own:
        places = np.searchsorted(ids, o.ids)
        for what, wrong in (("group", groups[places] != o.groups), ("truth", truth[places] != o.truth)):
            if n := int(np.sum(wrong)):
                found[what].append((e.folder.name, first[0].folder.name, n))
    for what, cells in found.items():
        if cells:
            name, other, n = cells[0]
            yield f"{n} samples {where} have another {what} in {name} than in {other}{_more(cells)}"


def _usual(own: Sequence[Judged]) -> Judged:
    """The first of the cells that judged what most did."""
    keys = ["\0".join(o.ids.tolist()) for _, o in own]
    most = Counter(keys).most_common(1)[0][0]
    return own[keys.index(most)]


def _apart(one: Judged, other: Judged) -> tuple[int, int]:
    """How many samples each has that the other lacks."""
    a, b = one[1].ids, other[1].ids
    both = len(a) if np.array_equal(a, b) else len(np.intersect1d(a, b, assume_unique=True))
    return len(a) - both, len(b) - both


def _missed(one: Judged, evaluator: str) -> float:
    """How many samples of its test part a cell says it has not judged."""
    return float(one[0].summary.get(f"{evaluator}/{one[1].stream}/{one[1].label}/n_missing", 0))


def _more(found: Sequence[object]) -> str:
    return f", and in {len(found) - 1} more cells" if len(found) > 1 else ""
