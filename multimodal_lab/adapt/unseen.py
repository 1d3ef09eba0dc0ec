"""Held-out samples that a trained run has not seen: told apart by their names, their groups and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from multimodal_lab.data.content import learnt_from


def seen(record: Mapping[str, Any], data: Any, held: str, streams: Mapping[str, str] | None = None) -> list[str]:
    """The names of a held-out split's samples that the run of `record` was trained or chosen on, or on others of their groups.

    By name, and by what they hold in `streams` {stream here: that of the run}. What samples of the training part here hold that
    the run learnt from under the same names, is a duplicate within its data, which the audit tells.
    """
    parts = {"test": ("train", "val"), "val": ("train",)}.get(held, ())
    used = {i for part in parts for i in record["splits"].get(part, ())}
    names = [str(i) for i in data.samples["id"]]
    known = np.fromiter((name in used for name in names), bool, len(names))
    called = known.copy()
    rows = data.splits.get(held, np.zeros(0, dtype=np.int64))
    for name, its in (streams or {}).items() if len(rows) and parts else ():
        digests = learnt_from(record, its, parts)
        if digests is not None:
            own = data.splits.get("train", rows[:0])
            own = own[called[own]]
            digests = np.setdiff1d(digests, data.content(name, own))
            known[rows] |= np.isin(data.content(name, rows), digests[digests > 0])
    return [names[row] for row in rows[known[rows] | np.isin(data.groups[rows], np.unique(data.groups[known]))]]
