"""Cross-modal retrieval between streams (R@k, median rank)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from multimodal_lab.bounds import Count
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet, kind, labelled
from multimodal_lab.metric import retrieval


class Retrieval:
    """Cosine retrieval between every two names, both directions, among the held-out samples that have both.

    Scores: `retrieval/<a>-><b>/` R@K for each of `at`, map, median_rank, n, n_missing, and chance_R@K, what a random
    order gets. The positive is the same sample, and every one that shows the same (another caption of the image);
    for every label of `labels` also `retrieval/<a>-><b>/<label>/…`, where every key of the query's class is one. Ties
    count against the model (see `metric.retrieval.rank`). With `projection`, names that have a projection head's output
    are compared there, which is where contrastive losses pull them together (projected = 1). Names of different widths
    have no common space and are skipped.
    """

    by = "pair"
    scores: ClassVar = {"R@*": "max", "chance_R@*": None, "map": "max", "median_rank": "min", "projected": None}
    either_way = ("median_rank",)
    shown: ClassVar = {
        "R@*": "R@*", "chance_R@*": "chance", "map": "mAP", "median_rank": "median rank", "n": "of",
    }  # fmt: skip
    title = "Retrieval of the same sample"

    def __init__(
        self, *, at: Sequence[Count] = (1, 5, 10), labels: Sequence[str] = (), projection: bool = True
    ) -> None:
        self.at, self.labels, self.projection = list(at), list(labels), projection

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        ledger = ScoreSheet("retrieval")
        ids = np.unique(test.ids if test.same is None else test.same, return_inverse=True)[1]
        for a, b in permutations(test.vectors, 2):
            key = f"retrieval/{a}->{b}"
            projected = self.projection and a in test.projected and b in test.projected
            x, y = test.space(a, projected), test.space(b, projected)
            if x.shape[1] != y.shape[1]:
                ledger.skip(key, f"width_{x.shape[1]}_is_not_{y.shape[1]}")
                continue
            both = test.present[a] & test.present[b]
            ledger.put(key, projected=projected)
            self._score(ledger, key, x, y, both, ids, test.device)
            for label in self.labels:
                self._by_label(ledger, f"{key}/{label}", label, test, (x, y, both))
        return ledger.scores

    def _by_label(
        self,
        ledger: ScoreSheet,
        key: str,
        label: str,
        test: Embeddings,
        pair: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> None:
        if label not in test.targets:
            raise ValueError(f"retrieval: no label {label!r}; there are {', '.join(test.targets) or 'none'}")
        target, (x, y, both) = test.targets[label], pair
        if kind(target) != "classes":
            ledger.skip(key, f"target_is_{kind(target)}")
            return
        self._score(ledger, key, x, y, both & labelled(target), target, test.device)

    def _score(
        self,
        ledger: ScoreSheet,
        key: str,
        x: np.ndarray,
        y: np.ndarray,
        rows: np.ndarray,
        ids: np.ndarray,
        device: torch.device | str,
    ) -> None:
        ledger.put(key, n=rows.sum(), n_missing=(~rows).sum())
        if not rows.any():
            ledger.skip(key, "no_test_rows")
            return
        # unit rows are made on the CPU: with them, ranks are the same on any device
        a, b = (F.normalize(torch.as_tensor(z[rows]).float(), dim=1).to(device) for z in (x, y))
        which = torch.as_tensor(ids[rows]).to(device)
        ranked = retrieval.rank(a, b, which, which)
        ledger.put(key, **{f"R@{k}": retrieval.recall_at(ranked, k) for k in self.at})
        ledger.put(key, **{f"chance_R@{k}": retrieval.chance_recall(ranked, k) for k in self.at})
        ledger.put(key, map=retrieval.mean_average_precision(ranked), median_rank=retrieval.median_rank(ranked))
