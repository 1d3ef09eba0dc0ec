"""Representational similarity analysis between streams."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

import numpy as np

from multimodal_lab.bounds import Count, Natural
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet
from multimodal_lab.metric import similarity


class RSA:
    """Spearman correlation of the two cosine-similarity matrices, for every two names, over held-out samples with both.

    Scores: `rsa/<a>-<b>/` spearman, p (one-sided, by permuting samples; 0 permutations: none), n, n_missing, n_used: at
    most `limit` samples, drawn by `seed` (the cost grows with their square). Widths may differ. Over all pairs, those of one
    group too: a study tells it over pairs of different groups (`stats.rsa`).
    """

    by = "pair"
    scores: ClassVar = {"spearman": "max", "p": None, "n_used": None}

    def __init__(self, *, permutations: Natural = 199, limit: Count = 500, seed: Natural = 0) -> None:
        self.permutations, self.limit, self.seed = permutations, limit, seed

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        ledger = ScoreSheet("rsa")
        for a, b in combinations(test.vectors, 2):
            key = f"rsa/{a}-{b}"
            both = np.flatnonzero(test.present[a] & test.present[b])
            used = np.random.default_rng(self.seed).permutation(both)[: self.limit]
            ledger.put(key, n=len(both), n_missing=len(test) - len(both), n_used=len(used))
            if len(used) < 3:
                ledger.skip(key, "fewer_than_three_test_rows")
                continue
            found, p = similarity.rsa(test.vectors[a][used], test.vectors[b][used], self.permutations, self.seed)
            if np.isnan(found):
                ledger.skip(key, "all_similarities_equal")
                continue
            ledger.put(key, spearman=found)
            if self.permutations:
                ledger.put(key, p=p)
        return ledger.scores
