"""A study of methods (`study.compares=methods`): arms of the same modalities, held against one reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from multimodal_lab.config.problem import Problem


def method_problems(study: Mapping[str, Any]) -> Iterator[Problem]:
    """What a study of methods may not have: several references, and what asks about modalities; nothing of other studies.

    study: the fields of `config.study.Study`.
    """
    if study["compares"] != "methods":
        return
    references = study["baselines"]
    if len(references) > 1:
        what = "expected one arm, the method that all others are held against"
        yield Problem("study.baselines", references, what, f"study.baselines=[{references[0]}]")
    asks = {"controls": [*study["controls"]], **{k: study[k] for k in ("subsets", "retrain", "by")}}
    for name, given in asks.items():
        if given:
            none = {"controls": "{}", "by": "[]"}.get(name, "null")
            what = f"asks what a modality adds, and this study compares methods; expected {none}"
            yield Problem(f"study.{name}", given, what, "study.compares=modalities")
