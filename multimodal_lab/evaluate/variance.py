"""Share of embedding variance explained by each label."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet
from multimodal_lab.metric.variance import explained


class Variance:
    """Between-class over total sum of squares of the held-out embeddings.

    Scores: `variance/<name>/<label>/` explained, and chance = (K - 1) / (N - 1), what labels without any effect
    explain.
    """

    by = "label"
    scores: ClassVar = {"explained": "max", "chance": None}

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        ledger = ScoreSheet("variance")
        for task in ledger.held_out(test):
            classes = len(np.unique(task.y))
            share = explained(task.x, task.y)
            if classes < 2 or classes == len(task.y):
                ledger.skip(task.key, "fewer_than_two_classes" if classes < 2 else "every_row_is_its_own_class")
            elif np.isnan(share):
                ledger.skip(task.key, "no_spread")
            else:
                ledger.put(task.key, explained=share, chance=(classes - 1) / (len(task.y) - 1))
        return ledger.scores
