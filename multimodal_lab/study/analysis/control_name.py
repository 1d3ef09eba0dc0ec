"""What a control of a study is to a label."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from multimodal_lab.config.study import Study
from multimodal_lab.runs.guarded import parse_yaml
from multimodal_lab.stats.verdict import REQUIRED, WITHIN


def control_name(study: Study, control: str, label: str, best: str = "", there: Collection[str] | None = None) -> str:
    """What a control is to a label whose better baseline is `best`: what guards nothing has a name of its own, and is reported.

    That is a re-pairing within another column, and a duplicate that doesn't keep `best` beside one that does (among `there`:
    the controls that were judged; None is all).
    """
    facts = study.controls[control]
    if facts.kind == "duplicate":
        beside = [c for n, c in study.controls.items() if c.of == facts.of and (there is None or n in there)]
        keep = best != "" and any(c.keeps == best for c in beside)
        return REQUIRED[1] if not keep or facts.keeps == best else f"duplicate of {facts.keeps or 'no baseline'}"
    column = within(facts.set)
    return REQUIRED[0] if column is None else WITHIN if column == label else f"shuffled within {column}"


def within(lines: Sequence[str]) -> str | None:
    """The column inside which a control's overrides re-pair; None: among all."""
    column = None
    for line in lines:
        name, _, value = line.lstrip("+").partition("=")
        if name == "data.shuffle":
            found = parse_yaml(value)
            column = found.get("within") if isinstance(found, dict) else None
        elif name == "data.shuffle.within":
            column = parse_yaml(value)
    return None if column is None else str(column)
