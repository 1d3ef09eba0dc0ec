"""Zero-shot answers: which of some classes, known by name alone, samples are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from multimodal_lab.data.source import DataError
from multimodal_lab.evaluate import prompt_vectors
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.prompts import Names, spelt
from multimodal_lab.evaluate.temperature import of_losses
from multimodal_lab.evaluate.templates import read
from multimodal_lab.metric.classes import log_probabilities
from multimodal_lab.metric.zero_shot import cosines
from multimodal_lab.predict.answers import Answer, Predictions
from multimodal_lab.predict.prompt_memory import PromptMemory

CLASS = "class"  # the answer's name, where one stream is asked
FUSED = "fused"
Classes = Sequence[str] | Names


def answered(
    system: Any, nothing: Any, device: torch.device, found: Embeddings, classes: Classes, templates: str | Sequence[str],
    prompt_stream: str | None, temperature: float | None, memory: PromptMemory | None = None,
) -> Predictions:  # fmt: skip
    """A class and the probability of each, of every stream but the prompts' that any sample has; see `Predictor.zero_shot`.

    nothing: prepared data of one sample that lacks every stream. memory: of classes that were asked for before.
    `DataError` for what can't be asked.
    """
    try:
        stream = prompt_vectors.text_stream(nothing, prompt_stream, "prompt_stream")
        names = spelt([*map(str, classes)], classes if isinstance(classes, Mapping) else {}, "classes")
        filled = read(templates)
    except ValueError as error:
        raise DataError(f"zero_shot: {error}") from error
    if len(names) < 2:
        raise DataError(f"zero_shot: classes has {len(names)}, expected two or more, one of which is the answer")
    if (heat := of_losses(system) if temperature is None else temperature) is None or heat <= 0:
        why = "no loss of this run has one" if heat is None else f"found {heat:g}"
        raise DataError(f"zero_shot: temperature: expected a number > 0, which cosines are divided by; {why}")
    asked = [n for n, rows in found.present.items() if n not in (stream, FUSED) and rows.any()]
    if not asked:
        raise DataError(
            f"zero_shot: the samples hold nothing but {stream}, which reads the prompts; give another stream"
        )
    of_classes = prompt_vectors.of_classes if memory is None else memory.of_classes
    answers = {}
    for name in asked:
        projected = {name, stream} <= found.projected.keys()
        vectors = of_classes(system, nothing, stream, filled, names, device, projected)
        x = torch.as_tensor(found.space(name, projected))
        if x.shape[1] != vectors.shape[1]:
            raise DataError(
                f"zero_shot: {name} has vectors of width {x.shape[1]} and {stream} of {vectors.shape[1]}: no loss has put them "
                "into one space"
            )
        rows = found.present[name]
        p = log_probabilities(cosines(x, vectors).double() / heat).exp().numpy()
        value = np.array([*map(str, classes)], dtype=object)[p.argmax(1)]
        value[~rows] = None
        key = CLASS if len(asked) == 1 else f"{name}/{CLASS}"
        answers[key] = Answer(key, "class", value, [*map(str, classes)], np.where(rows[:, None], p, np.nan))
    return Predictions(found.ids, answers)
