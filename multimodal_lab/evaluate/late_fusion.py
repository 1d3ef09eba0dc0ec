"""Late fusion baseline: the average of the modalities' linear probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_lab.evaluate.tasks import TaskKind

LATE = "late"


@dataclass(frozen=True)
class LateFusionInputs:
    """The predictions of one stream's probe for a label. rows (n,): indices of test rows; said (n, K): see `kind`.

    Probabilities of the classes 0 to K - 1, the chance of each of K labels, or K values.
    """

    stream: str
    kind: TaskKind
    rows: np.ndarray
    said: np.ndarray


def average_predictions(told: Sequence[LateFusionInputs]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, said) of all: on each row the mean over the streams that are there. Probabilities stay probabilities."""
    rows = np.unique(np.concatenate([t.rows for t in told]))
    said = np.zeros((len(rows), max(t.said.shape[1] for t in told)))
    voices = np.zeros(len(rows))
    for t in told:
        at = np.searchsorted(rows, t.rows)
        said[at, : t.said.shape[1]] += t.said
        voices[at] += 1
    return rows, said / voices[:, None]
