"""A study of methods (`study.compares=methods`): arms of the same modalities, held against one reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from multimodal_lab.config.problem import Problem

if TYPE_CHECKING:
    from multimodal_lab.config.study import Study


def method_problems(study: Study) -> Iterator[Problem]:
    """What a study of methods may not have: several references, and what asks about modalities; nothing of other studies."""
    if study.compares != "methods":
        return
    if len(study.baselines) > 1:
        what = "expected one arm, the method that all others are held against"
        yield Problem("study.baselines", study.baselines, what, f"study.baselines=[{study.baselines[0]}]")
    asks = {"controls": [*study.controls], "subsets": study.subsets, "retrain": study.retrain, "by": study.by}
    for name, given in asks.items():
        if given:
            none = {"controls": "{}", "by": "[]"}.get(name, "null")
            what = f"asks what a modality adds, and this study compares methods; expected {none}"
            yield Problem(f"study.{name}", given, what, "study.compares=modalities")
