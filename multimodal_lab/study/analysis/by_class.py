"""What every arm scores on each class of a label, and on the groups in which two arms differ most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from multimodal_lab.study.analysis.compare import Comparison
from multimodal_lab.study.ledger.outcomes import Scores

GROUPS = 20  # told one by one


def by_class(scores: Scores, classes: Sequence[str]) -> dict[str, Any]:
    """{class: its number of samples and the mean of every arm}; {} of numbers."""
    if len(classes) > len(scores.ids) // 2:
        return {}  # numbers, not classes
    return {name: _share(scores, scores.truth == name) for name in classes}


def by_group(scores: Scores, head: Comparison) -> dict[str, Any]:
    """The groups in which the headline's two arms differ most, by what they give to the mean."""
    size = np.abs(head.pairs.by_group)
    order = [i for i in np.argsort(-size, kind="stable")[:GROUPS] if size[i] > 0]
    most = []
    for g in head.pairs.names[order]:
        rows = scores.groups == g
        most.append({"group": int(g), "sample": str(scores.ids[np.flatnonzero(rows)[0]]), **_share(scores, rows)})
    return {"most": most, "count": len(head.pairs.names)}


def _share(scores: Scores, rows: np.ndarray) -> dict[str, Any]:
    tested = rows & ~np.isnan(next(iter(scores.score.values()))[0]).all(0)
    means = {arm: float(np.nanmean(each[:, :, tested])) if tested.any() else None for arm, each in scores.each.items()}
    return {"n": int(rows.sum()), "mean": means}
