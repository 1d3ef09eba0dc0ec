"""The backbone of each stream, chosen by the facts that backbones declare, as wide as the data allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multimodal_lab.config.facts import fact
from multimodal_lab.config.problem import MISSING, StudyError
from multimodal_lab.config.rules.wiring import target
from multimodal_lab.config.suggest import nodes
from multimodal_lab.study.compare.facts import Facts, Input

MANY = 32  # bands: so many with wavelengths are a spectrum
FEW = 1000  # training samples: with fewer, half the width
WIDTHS = ("widths", "width")


def choose(facts: Facts, given: Mapping[str, str], own: str) -> dict[str, str]:
    """{stream: choice}; given: {stream: choice} that the line names, own: the choice that it names for all, "" without."""
    # one that reads bands in order of wavelength reads none twice, as the controls of early fusion have them
    ordered = facts.stacked is None
    return {i.name: given.get(i.name) or _of(i, own, ordered) for i in facts.inputs}


def settings(choice: str, facts: Facts) -> dict[str, Any]:
    """Its widths, halved for few samples; {} where its file has none, or they suffice."""
    node = nodes("backbone")[choice]
    if facts.train >= FEW or node.get("weights"):
        return {}
    heads = node.get("heads") or 1
    halved = {k: _half(node[k], heads) for k in WIDTHS if k in node}
    return {k: v for k, v in halved.items() if v}


def width(choice: str, changed: Mapping[str, Any]) -> int | None:
    """The width of its features, where its file says it."""
    node = {**nodes("backbone")[choice], **changed}
    found = node.get("widths") or node.get("width")
    return found[-1] if isinstance(found, list) else found if isinstance(found, int) else None


def trains(choice: str) -> bool:
    """Whether a backbone begins with nothing learnt."""
    return "weights" not in nodes("backbone")[choice]


def _of(stream: Input, own: str, ordered: bool) -> str:
    fitting = [name for name, node in nodes("backbone").items() if _reads(node, stream)]
    if own in fitting:
        return own
    fitting = [name for name in fitting if trains(name) and MISSING not in nodes("backbone")[name].values()]
    if not fitting:
        what = f"of kind {stream.kind}{' with' if stream.timed else ' without'} a time axis"
        near = f"+backbone@backbones.{stream.name}=… names one of your own"
        raise StudyError(f"modality.{stream.name}: no backbone reads a stream {what}; {near}")
    spectrum = ordered and stream.wavelengths and len(stream.bands) >= MANY and stream.kind == "vector"
    best = [n for n in fitting if bool(fact(target(nodes("backbone")[n]), "wavelengths", False)) is spectrum]
    return (best or fitting)[0]


def _reads(node: Mapping[str, Any], stream: Input) -> bool:
    of = target(dict(node))
    return stream.kind in fact(of, "kinds", ()) and fact(of, "steps") in (None, stream.timed)


def _half(value: Any, heads: int) -> Any:
    if isinstance(value, list):
        return [max(16, v // 2) for v in value]
    return value // 2 if isinstance(value, int) and (value // 2) % heads == 0 else None
