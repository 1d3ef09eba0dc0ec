"""Which modalities every arm of a study sees, told by the names of the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_lab.runs.records import LayoutError, read_config
from multimodal_lab.study.design.cells import inputs
from multimodal_lab.study.ledger.outcomes import Outcomes
from multimodal_lab.text import show

Pieces = dict[str, tuple[str, str]]  # {what is cut from the data: (its stream, its bands)}


def modalities(found: Outcomes) -> dict[str, tuple[str, ...]]:
    """{baseline or fused arm: the modalities that it sees}, baselines first and in their order.

    An arm sees a baseline's modality if it is given all that the baseline is given, in whichever streams; what no baseline
    has is called as its stream is. An arm whose config can't be read, or in which no baseline is found, is taken to see all.
    """
    study = found.plan.study
    pieces = {arm: _pieces(found, arm) for arm in (*study.baselines, *study.fused)}
    seen = {b: (b,) for b in study.baselines}
    return {**seen, **{arm: _named(study.baselines, pieces, arm) for arm in study.fused}}


def _named(baselines: list[str], pieces: Mapping[str, Pieces], arm: str) -> tuple[str, ...]:
    own = pieces[arm]
    parts = [b for b in baselines if pieces[b] and pieces[b].keys() <= own.keys()]
    if not parts:
        return tuple(baselines)
    known = {piece for b in parts for piece in pieces[b]}
    shared = {stream for piece, (stream, _) in own.items() if piece in known}
    more = dict.fromkeys(bands if stream in shared else stream for p, (stream, bands) in own.items() if p not in known)
    return (*parts, *more)


def _pieces(found: Outcomes, arm: str) -> Pieces:
    cell = next((e for e in found.finished if e.cell.arm == arm), None)
    try:
        tree: dict[str, Any] = inputs(read_config(cell.folder)) if cell is not None else {}
        return {piece: (name, bands) for name, node in tree.items() for piece, bands in _cuts(name, node)}
    except (LayoutError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _cuts(name: str, node: Mapping[str, Any]) -> list[tuple[str, str]]:
    bands, field = node.get("bands"), node.get("field")
    if bands is None:
        return [(f"{field or name}:", name)]
    return [(f"{field or ''}:{show(b)}", show(b)) for b in (bands if isinstance(bands, list) else [bands])]
