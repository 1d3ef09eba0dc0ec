"""The plan as it is printed before the first cell trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.data.split.linked import counted
from multimodal_lab.study.compare.budget import told
from multimodal_lab.study.compare.facts import Facts, Input, Label
from multimodal_lab.study.compare.file import retrains
from multimodal_lab.study.compare.heads import OF, numbers
from multimodal_lab.study.compare.plans import Plan
from multimodal_lab.study.compare.request import Asked
from multimodal_lab.study.compare.trial import TIMED, Timing

NO_LATE = "late fusion is a mixture of classifiers, and a label is a number"


def lines(
    facts: Facts,
    plan: Plan,
    timing: Timing,
    body: Mapping[str, Any],
    backbones: Mapping[str, str],
    file: Path,
    asked: Asked,
    jobs: int,
) -> Iterator[str]:
    """Data, labels, training, arms with controls, cells, time, what is not in it, and where it was written."""
    unit = f" of {counted(facts.groups, facts.by)}" if facts.by else ""
    kept = "the official split" if facts.official else "split anew"
    yield f"plan: {facts.samples} samples{unit}, {facts.train} to learn from and {facts.test} held out ({kept})"
    yield f"  modalities   {', '.join(map(_input, facts.inputs))}"
    yield f"  labels       {', '.join(map(_label, facts.labels))}"
    for note in (n for label in facts.labels for n in label.notes):
        yield f"  note         {note}"
    yield f"  backbones    {_backbones(body, backbones)}"
    train, data = body.get("train", {}), body.get("data", {})
    long = f"{train['max_steps']} steps" if train.get("max_steps") else f"{train.get('epochs')} epochs"
    yield f"  training     {long}, batches of {data.get('batch_size')}, rate {body.get('optim', {}).get('lr', 'as configured')}"
    for arm in plan.arms.arms:
        own = [c for c, node in plan.arms.controls.items() if node["of"] == arm]
        role = "one modality" if arm in plan.arms.baselines else f"controls: {', '.join(own)}"
        yield f"  {arm:<12} {role} · {timing.of(arm):.1f} s a cell"
    design = plan.design
    runs = f"{number(len(design.seeds), 'seed')} × {number(len(design.splits), 'split')}"
    yield f"  cells        {len(plan.arms.arms)} arms and {len(plan.arms.controls)} controls × {runs} = {plan.cells}"
    by = f" by {jobs} launchers" if jobs > 1 else ""
    yield f"  time         about {told(plan.seconds(timing) / jobs)}{by}, audit and report not counted"
    yield f"               (estimated from {TIMED} timed steps of each arm and a cell without its training, {timing.fixed:.1f} s)"
    if facts.stacked is None and "early" in asked.fusions:
        yield f"  no early     {facts.apart}"
    if numbers(facts.labels) and "late" in asked.fusions:
        yield f"  no late      {NO_LATE}"
    if retrains(facts, design):
        yield "  Shapley      of concat, trained on every subset of the modalities: no further cells"
    if plan.left_out:
        yield f"  left out     {', '.join(plan.left_out)}: over the budget"
    yield f"  written to   {file}"
    yield "               edited or not, it is run by"
    yield f"               python -m multimodal_lab.run --config-dir={file.parents[1]} study={file.stem}"


def number(count: int, one: str) -> str:
    """A count with its noun."""
    return f"{count} {one}{'s' * (count != 1)}"


def _input(one: Input) -> str:
    parts = [one.kind, *([f"{len(one.bands)} band{'s' * (len(one.bands) != 1)}"] if one.bands else [])]
    if one.timed:
        parts.append(f"{one.shape[0]} steps")
    if sides := one.shape[one.timed :]:
        parts.append("×".join(map(str, sides)))
    return f"{one.name} ({', '.join(parts)})"


def _label(one: Label) -> str:
    what = {"class": f"{one.classes} classes", "several": f"{one.classes} of 0/1", "number": "a number"}[one.kind]
    return f"{one.name} ({what}: {OF[one.kind][0]}, {OF[one.kind][1]})"


def _backbones(body: Mapping[str, Any], chosen: Mapping[str, str]) -> str:
    found = []
    for place, choice in chosen.items():
        stream = place.partition("@backbones.")[2]
        own = body.get("backbones", {}).get(stream, {}) if stream else body.get("backbone", {})
        wide = own.get("widths") or own.get("width")
        found.append(f"{stream + ': ' if stream else ''}{choice}{f' {wide}' if wide else ''}")
    return ", ".join(found)
