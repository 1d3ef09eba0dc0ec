"""Cross-modal retrieval between streams (R@k, median rank)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import ClassVar

import numpy as np
import torch

from multimodal_lab.bounds import Count
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.gallery import Gallery, gallery, pairs
from multimodal_lab.evaluate.tasks import ScoreSheet, kind, labelled
from multimodal_lab.metric import retrieval


class Retrieval:
    """Cosine retrieval between every two names, both directions, among the held-out samples that have both.

    Scores: `retrieval/<a>-><b>/` R@K for each of `at`, map, median_rank, chance_R@K, what a random order gets, n and
    n_missing, of samples, and queries and keys, how many were ranked. Each item is one query and one key, however many
    samples hold it (`Embeddings.items`), and every caption of a sample is an item: so an image is ranked once, and of its
    captions the best counts (Karpathy & Fei-Fei 2015). Positives are what some sample holds together; where each sample
    holds its own of both, the same sample and every one that shows the same. For every label of `labels` also
    `retrieval/<a>-><b>/<label>/…`, where every key of the query's class is one, that of the first sample that holds it. Ties
    count against the model (see `metric.retrieval.rank`). With `projection`, names that have a projection head's output
    are compared there, which is where contrastive losses pull them together (projected = 1). Names of different widths
    have no common space and are skipped.
    """

    by = "pair"
    scores: ClassVar = {
        "R@*": "max", "chance_R@*": None, "map": "max", "median_rank": "min", "projected": None, "queries": None, "keys": None,
    }  # fmt: skip
    either_way = ("median_rank",)
    shown: ClassVar = {
        "R@*": "R@*", "chance_R@*": "chance", "map": "mAP", "median_rank": "median rank", "keys": "of",
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
            widths = [test.space(name, projected).shape[1] for name in (a, b)]
            if widths[0] != widths[1]:
                ledger.skip(key, f"width_{widths[0]}_is_not_{widths[1]}")
                continue
            both = test.present[a] & test.present[b]
            ledger.put(key, projected=projected)
            self._score(ledger, key, both, *self._sides(test, a, b, both, projected), ids)
            for label in self.labels:
                self._by_label(ledger, f"{key}/{label}", label, test, (a, b, both, projected))
        return ledger.scores

    def _by_label(
        self, ledger: ScoreSheet, key: str, label: str, test: Embeddings, pair: tuple[str, str, np.ndarray, bool]
    ) -> None:
        if label not in test.targets:
            raise ValueError(f"retrieval: no label {label!r}; there are {', '.join(test.targets) or 'none'}")
        target, (a, b, both, projected) = test.targets[label], pair
        if kind(target) != "classes":
            ledger.skip(key, f"target_is_{kind(target)}")
            return
        rows = both & labelled(target)
        self._score(ledger, key, rows, *self._sides(test, a, b, rows, projected), target, by_id=True)

    def _sides(self, test: Embeddings, a: str, b: str, rows: np.ndarray, projected: bool) -> tuple[Gallery, Gallery]:
        return gallery(test, a, rows, projected), gallery(test, b, rows, projected)

    def _score(
        self,
        ledger: ScoreSheet,
        key: str,
        rows: np.ndarray,
        a: Gallery,
        b: Gallery,
        ids: np.ndarray,
        by_id: bool = False,
    ) -> None:
        """Positives are what rows hold together; with `by_id`, or where each holds its own of both, those of one id."""
        ledger.put(key, n=rows.sum(), n_missing=(~rows).sum())
        if not rows.any():
            ledger.skip(key, "no_test_rows")
            return
        if by_id or (a.own and b.own):
            ranked = retrieval.rank(a.x, b.x, *(torch.as_tensor(ids[g.home]).to(g.x.device) for g in (a, b)))
        else:
            ranked = retrieval.rank_pairs(a.x, b.x, *pairs(a, b))
        ledger.put(key, queries=len(a.x), keys=len(b.x))
        ledger.put(key, **{f"R@{k}": retrieval.recall_at(ranked, k) for k in self.at})
        ledger.put(key, **{f"chance_R@{k}": retrieval.chance_recall(ranked, k) for k in self.at})
        ledger.put(key, map=retrieval.mean_average_precision(ranked), median_rank=retrieval.median_rank(ranked))
