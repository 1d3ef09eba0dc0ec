"""Write the explorer page of one fused run beside a study's report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multimodal_lab.report import explorer
from multimodal_lab.report.study import EXPLORER
from multimodal_lab.study.analysis.judge import Answer
from multimodal_lab.study.analysis.overlap import EMBEDDINGS
from multimodal_lab.study.ledger.ledger import Entry
from multimodal_lab.study.ledger.outcomes import Outcomes


def explore(found: Outcomes, answers: Sequence[Answer]) -> tuple[list[Path], str]:
    """Write `explorer.html` of the cell that `cell` chooses: [the page], or [] and why there is none.

    A page that can't be made costs no verdict.
    """
    chosen = cell(found, answers)
    if chosen is None:
        kind = "method" if found.plan.study.compares == "methods" else "fused arm"
        return [], f"no finished cell of a {kind} has embeddings"
    try:
        return [explorer.write(chosen.folder, found.folder / EXPLORER)], ""
    except (explorer.ExplorerError, OSError) as error:
        return [], str(error)


def cell(found: Outcomes, answers: Sequence[Answer]) -> Entry | None:
    """The first seed, on the first split, of the fused arm that answers for the first label; else of the first that can."""
    heads = [a.headline.of.arm for a in answers if a.headline is not None]
    study = found.plan.study
    for arm in dict.fromkeys([*heads, *study.fused]):
        own = [e for e in found.finished if e.cell.arm == arm and (e.folder / EMBEDDINGS).is_dir()]
        if own:
            return min(own, key=lambda e: (study.splits.index(e.cell.split), study.seeds.index(e.cell.seed)))
    return None
