"""The backbone of each stream, chosen by the facts that backbones declare, as wide as the data allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multimodal_lab.config.facts import fact
from multimodal_lab.config.problem import MISSING, StudyError
from multimodal_lab.config.rules.wiring import target
from multimodal_lab.config.suggest import Tree, node, nodes
from multimodal_lab.study.compare.facts import Facts, Input

MANY = 32  # bands: so many with wavelengths are a spectrum
SOUND = 4000  # Hz: a vector of so many steps a second is a wave of sound
FEW = 1000  # training samples: with fewer, half the width
WIDTHS = ("widths", "width")


def choose(facts: Facts, given: Mapping[str, str], own: str, folders: Sequence[Path]) -> dict[str, str]:
    """{stream: choice}; given: {stream: choice} that the line names, own: the choice that it names for all, "" without.

    `StudyError` where no other stream can be read by `own`.
    """
    # one that reads bands in order of wavelength reads none twice, as the controls of early fusion have them
    ordered = facts.stacked is None
    rest = [i for i in facts.inputs if i.name not in given]
    read = [i.name for i in rest if _reads(node("backbone", own, folders), i)] if own else []
    if own and not read:
        kinds = ", ".join(f"{i.name} of kind {i.kind}" for i in rest) or "none that has no backbone of its own"
        raise StudyError(f"backbone={own}: reads none of the streams ({kinds}); +backbone@backbones.STREAM=… is of one")
    return {i.name: given.get(i.name) or (own if i.name in read else _first(i, ordered)) for i in facts.inputs}


def settings(one: Tree, facts: Facts) -> dict[str, Any]:
    """Its widths, halved for few samples; {} where its node has none, or they suffice."""
    if facts.train >= FEW or one.get("weights"):
        return {}
    heads = one.get("heads") or 1
    halved = {k: _half(one[k], heads) for k in WIDTHS if k in one}
    halved |= {k: settings(inner, facts) for k, inner in _within(one).items()}
    return {k: v for k, v in halved.items() if v}


def width(one: Tree) -> int | None:
    """The width of its features, where its node says it."""
    found = one.get("widths") or one.get("width")
    if found is None:
        return next((w for inner in _within(one).values() if (w := width(inner))), None)
    return found[-1] if isinstance(found, list) else found if isinstance(found, int) else None


def trains(one: Tree) -> bool:
    """Whether a backbone begins with nothing learnt."""
    return one.get("weights", "random") in (None, "random") and all(map(trains, _within(one).values()))


def _within(one: Tree) -> dict[str, Tree]:
    """The backbones that a backbone is made of, such as that of each frame of a video, by argument."""
    inner = {k: v for k, v in one.items() if isinstance(v, dict)}
    return {k: v for k, v in inner.items() if fact(target(v), "kinds") is not None}


def _first(stream: Input, ordered: bool) -> str:
    wave = stream.kind == "vector" and stream.timed and stream.rate >= SOUND
    able = {name: one for name, one in nodes("backbone").items() if _reads(one, stream)}
    able = {name: one for name, one in able.items() if wave or not fact(target(one), "sound", False)}
    fitting = [name for name, one in able.items() if "weights" not in one and MISSING not in one.values()]
    if not fitting:
        what = f"of kind {stream.kind}{' with' if stream.timed else ' without'} a time axis"
        near = f"+backbone@backbones.{stream.name}=… names one of your own"
        raise StudyError(f"modality.{stream.name}: no backbone reads a stream {what}; {near}")
    spectrum = ordered and stream.wavelengths and len(stream.bands) >= MANY and stream.kind == "vector"
    made_for = "sound" if wave else "wavelengths"
    best = [n for n in fitting if bool(fact(target(able[n]), made_for, False)) is (wave or spectrum)]
    return (best or fitting)[0]


def _reads(one: Tree, stream: Input) -> bool:
    of = target(one)
    return stream.kind in fact(of, "kinds", ()) and fact(of, "steps") in (None, stream.timed)


def _half(value: Any, heads: int) -> Any:
    if isinstance(value, list):
        return [max(16, v // 2) for v in value]
    return value // 2 if isinstance(value, int) and (value // 2) % heads == 0 else None
