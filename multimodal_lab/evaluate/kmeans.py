"""k-means clustering against the labels (ARI, NMI)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.metrics import adjusted_rand_score, homogeneity_score, normalized_mutual_info_score

from multimodal_lab.bounds import Count, Natural
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet


class KMeans:
    """k-means on the held-out embeddings with as many clusters as the label has classes there.

    Scores: `kmeans/<name>/<label>/` ari, nmi, homogeneity (0 is chance for ari alone), and k. Rows are made unit if
    `normalise`.
    """

    by = "label"
    scores: ClassVar = {"ari": "max", "nmi": "max", "homogeneity": "max", "k": None}

    def __init__(self, *, normalise: bool = True, n_init: Count = 4, seed: Natural = 0) -> None:
        self.normalise, self.n_init, self.seed = normalise, n_init, seed

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        ledger = ScoreSheet("kmeans")
        for task in ledger.held_out(test):
            k = len(np.unique(task.y))
            x = task.x / np.maximum(np.linalg.norm(task.x, axis=1, keepdims=True), 1e-12) if self.normalise else task.x
            if k < 2:
                ledger.skip(task.key, "fewer_than_two_classes")
            elif len(np.unique(x, axis=0)) < k:
                ledger.skip(task.key, "fewer_distinct_rows_than_classes")
            else:
                found = SklearnKMeans(k, n_init=self.n_init, random_state=self.seed).fit_predict(x)
                ledger.put(
                    task.key,
                    ari=adjusted_rand_score(task.y, found),
                    nmi=normalized_mutual_info_score(task.y, found),
                    homogeneity=homogeneity_score(task.y, found),
                    k=k,
                )
        return ledger.scores
