"""Chance level of every label: scores of a model that ignores its input, on the same held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import kind, labelled

JUDGED = ("accuracy", "average_precision_macro", "r2")


def beside(scores: Mapping[str, float], train: Embeddings, test: Embeddings) -> dict[str, float]:
    """What `chance` says of every label that `scores` are of and that has no chance yet."""
    told = {key.rpartition("/")[2] for key in scores if key.startswith("chance/")}
    judged = {key.split("/", 2)[2].rpartition("/")[0] for key in scores if key.rpartition("/")[2] in JUDGED}
    lacking = [label for label in test.targets if label in judged - told]
    return chance(train, replace(test, targets={k: test.targets[k] for k in lacking})) if lacking else {}


def of_recordings(scores: Mapping[str, float], train: Embeddings, test: Embeddings) -> dict[str, float]:
    """An evaluator's `scores` of pooled rows with their chance: `chance@EVALUATOR/LABEL`; `chance/LABEL` is of rows."""
    name = next((key.partition("/")[0] for key in scores if key.rpartition("/")[2] in JUDGED), "")
    found = {**scores, **beside(scores, train, test)}
    return {key.replace("/", f"@{name}/", 1) if key.startswith("chance") else key: x for key, x in found.items()}


def chance(train: Embeddings, test: Embeddings) -> dict[str, float]:
    """`chance/<label>` for every label of test that a probe is trained on, over all labelled test rows.

    Classes: the share of the commonest class of test, which no constant answer can beat, with `chance_prior/<label>`,
    what always answering the commonest class of train gets there. Several 0/1 labels: the mean share of positives
    over the classes that have any, the macro average precision of random scores, with `chance_majority/<label>`, the share
    of labels right of always giving each the answer that is commoner in train. Values: 0, the R2 of the mean.
    """
    found: dict[str, float] = {}
    for label, target in test.targets.items():
        what = kind(target)
        y, seen = target[labelled(target)], train.targets[label][labelled(train.targets[label])]
        if not len(y) or not len(seen) or what == "sequence":
            continue
        if what == "classes":
            found[f"chance/{label}"] = float(np.unique(y, return_counts=True)[1].max() / len(y))
            classes, counts = np.unique(seen, return_counts=True)
            found[f"chance_prior/{label}"] = float((y == classes[counts.argmax()]).mean())
        elif what == "multilabel":
            share = y.mean(0)
            found[f"chance/{label}"] = float(share[share > 0].mean()) if share.any() else float("nan")
            found[f"chance_majority/{label}"] = float(((y > 0) == (seen.mean(0) > 0.5)).mean())
        else:
            found[f"chance/{label}"] = 0.0
    return found
