"""Arms retrained on every subset of the modalities (`study.retrain`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from multimodal_lab.config.problem import Problem
from multimodal_lab.config.study import Study
from multimodal_lab.config.study_lines import key, under

Streams = Mapping[str, Mapping[str, Any]]
JOIN = "+"  # as in `fused@rgb+uv`


def subsets(study: Study, streams: Streams) -> dict[str, str]:
    """{`rgb+uv`: arm} of every non-empty subset of the streams of `study.retrain`, small ones first; {} where that is null.

    streams: {arm: {input: what it is cut from}}. A subset has the baseline of that stream, else the
    arm that differs from the retrained one in its modality alone, else an arm that is to be added, whose overrides `added` gives.
    """
    if study.retrain is None:
        return {}
    own = list(streams[study.retrain])
    every = [part for size in range(1, len(own) + 1) for part in combinations(own, size)]
    return {JOIN.join(part): _arm(study, streams, part) for part in every}


def added(study: Study, streams: Streams) -> dict[str, list[str]]:
    """{arm: overrides} of the subsets that no arm of the study is trained on: those of the retrained, less the other streams."""
    return {
        arm: [*study.arms[str(study.retrain)],
              *(f"~modality.{s}" for s in streams[str(study.retrain)] if s not in part.split(JOIN))]
        for part, arm in subsets(study, streams).items() if arm not in study.arms
    }  # fmt: skip


def problems(study: Study, streams: Streams) -> Iterator[Problem]:
    """Why the arm can't be retrained on subsets."""
    if study.retrain is not None and len(streams[study.retrain]) < 2:
        one = ", ".join(streams[study.retrain])
        yield Problem("study.retrain", study.retrain, f"has one input, {one}; name an arm of several streams")


def _arm(study: Study, streams: Streams, part: Sequence[str]) -> str:
    wanted = {name: streams[str(study.retrain)][name] for name in part}
    same = [arm for arm in study.arms if arm != study.subsets and dict(streams[arm]) == wanted]
    alike = [arm for arm in same if _but_modality(study, arm) == _but_modality(study, str(study.retrain))]
    baselines = [arm for arm in same if arm in study.baselines]
    name = f"{study.retrain}_on_{'_'.join(part)}"
    if len(part) == len(streams[str(study.retrain)]):
        return str(study.retrain)
    return next(iter([*(baselines if len(part) == 1 else ()), *alike]), name)


def _but_modality(study: Study, arm: str) -> list[str]:
    """What an arm sets besides its streams and their backbones."""
    return sorted(x for x in study.arms[arm] if not any(under(key(x), top) for top in ("modality", "backbones")))
