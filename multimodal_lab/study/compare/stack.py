"""Early fusion: the one stream that holds the bands of all inputs, where grids or lengths agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multimodal_lab.study.compare.facts import Input

NAME = "stacked"


def stacked(inputs: Sequence[Input]) -> tuple[Mapping[str, Any] | None, str]:
    """The entry of a modality for the stack of all inputs, or None and why there is none, as a clause."""
    first, *rest = inputs
    if not rest:
        return None, "there is one modality"
    if any(i.kind != first.kind for i in rest):
        return None, "the modalities are of different kinds"
    if not all(i.bands for i in inputs):
        return None, f"a stream of kind {first.kind} has no bands"
    if any(i.shape != first.shape for i in rest):
        return None, "their grids or lengths differ"
    if any(_but_bands(i.node) != _but_bands(first.node) for i in rest):
        return None, "they are cut differently (field, size, rate, …)"
    if any({"pca", "repeat"} & {*i.node} for i in inputs):
        return None, "components or repeated bands can't be stacked"
    names = [name for i in inputs for name in i.bands]
    if len(set(names)) < len(names):
        return None, "they share bands"
    return {**first.node, "bands": _joined(inputs)}, ""


def twice(of: Input, times: int) -> dict[str, Any]:
    """The same stream with the bands of one modality, so many times."""
    return {**of.node, "repeat": times}


def moved(inputs: Sequence[Input], others: Sequence[Input] = ()) -> list[str]:
    """The bands of these inputs and of none of the others, by name or pattern, as `data.shuffle.bands` has them."""
    patterns = [i.node.get("bands") for i in inputs]
    if all(isinstance(p, list) and all(isinstance(b, str) for b in p) for p in patterns):
        return [b for p in patterns for b in p]  # type: ignore[union-attr]
    names = [b for i in inputs for b in i.bands]
    stay = [b for i in others for b in i.bands]
    return list(dict.fromkeys(_pattern(name, stay) for name in names))


def _pattern(name: str, stay: Sequence[str]) -> str:
    """The shortest beginning that no band which stays has, `nm4*`; the name itself where there is none."""
    if not stay or set(name) & set("*?[]"):
        return name
    heads = (name[:n] for n in range(1, len(name)))
    return next((f"{head}*" for head in heads if not any(s.startswith(head) for s in stay)), name)


def _joined(inputs: Sequence[Input]) -> Any:
    """The rules of all, in one where they are of one form; else the names of the bands."""
    rules = [i.node.get("bands") for i in inputs]
    if all(isinstance(r, dict) and [*r] == ["nm"] for r in rules):
        return {"nm": [region for r in rules for region in r["nm"]]}  # type: ignore[index,call-overload]
    return moved(inputs)


def _but_bands(node: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in node.items() if k != "bands" and v is not None}
