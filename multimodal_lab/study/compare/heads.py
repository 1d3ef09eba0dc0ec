"""Heads and losses by the kind of a label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from multimodal_lab.study.compare.facts import Kind, Label

LATE = "late_fusion"
# Of every head: what only two modalities together tell, such as whether two traits are alike, no linear head reads off them.
HIDDEN = {"kind": "mlp", "hidden": 64}
# {kind of a label: its head, its loss, the argument of the loss that reads the head}
OF: dict[Kind, tuple[str, str, str]] = {
    "class": ("classifier", "cross_entropy", "logits"),
    "several": ("classifier", "bce", "logits"),
    "number": ("regressor", "mse", "predicted"),
}


def numbers(labels: Sequence[Label]) -> bool:
    """Whether a label is a number, which no mixture of classifiers tells."""
    return any(label.kind == "number" for label in labels)


def key_of(label: str) -> str:
    """A label as part of a key: letters, digits and _."""
    made = re.sub(r"\W", "_", label)
    return made if made[:1].isalpha() or made[:1] == "_" else f"_{made}"


def choices(labels: Sequence[Label]) -> dict[str, str]:
    """{group, or group@place: choice}: the first label's are the main head and loss."""
    first, *rest = labels
    made = {"head": OF[first.kind][0], "loss": OF[first.kind][1]}
    for label in rest:
        head, loss, _ = OF[label.kind]
        made[f"head@heads.{key_of(label.name)}"] = head
        made[f"loss@losses.{key_of(label.name)}"] = loss
    return made


def values(labels: Sequence[Label]) -> dict[str, Any]:
    """Whose label each head tells, and which head and label each loss reads."""
    first, *rest = labels
    heads, losses = {}, {}
    for label in rest:
        name = key_of(label.name)
        heads[name] = {"label": label.name, **HIDDEN}
        losses[name] = {"name": name, OF[label.kind][2]: f"out.{name}", "target": f"batch.targets.{label.name}"}
        if label.kind == "number":
            losses[name]["scale"] = f"std.{label.name}"
    return {"label": first.name, "head": dict(HIDDEN), **({"heads": heads, "losses": losses} if rest else {})}
