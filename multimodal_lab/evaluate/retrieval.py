"""Cross-modal retrieval between streams (R@k, median rank)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch

from multimodal_lab.bounds import Count
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.gallery import gallery, pairs
from multimodal_lab.evaluate.tasks import ScoreSheet, kind, labelled
from multimodal_lab.metric import retrieval

log = logging.getLogger(__name__)
SHARED = 0.1  # of the held-out texts, from which it is told that ranks hang on how equal ones are counted


class Retrieval:
    """Cosine retrieval between every two names, both directions, among the held-out samples that have both.

    Scores: `retrieval/<a>-><b>/` R@K for each of `at`, map, map@R, mean_rank and median_rank, chance_R@K, what a random order
    gets, n and n_missing, of samples, and queries and keys, how many were ranked. A query without a positive has no rank: with
    unmatched=skip it is left out of all of these and counted, as unmatched; `raise` refuses it. Each item is one query and one
    key, however many samples hold it: a file by the data (`Embeddings.items`), and every caption of a sample is an item. So an
    image is ranked once, and of its captions the best counts (Karpathy & Fei-Fei 2015). equal_texts: `apart`, each sample has
    its own of a text that several hold, and is alone right, as in the published figures of COCO; a share of them above a tenth
    is warned of. `one`: a text that is one and the same, letter by letter (`Embeddings.text_ids`), is ranked once, every sample
    that holds it is right for it, and the best of them counts. pool: a column,
    such as recording, whose rows are one by the mean of their vectors; auto: recordings where rows are their clips, or windows
    beside the recording's one text (`pool.recordings`); None: every row by itself. Positives are what some sample holds
    together; where each sample holds its own of both, the same sample and every one that shows the same. For every label of
    `labels` also `retrieval/<a>-><b>/<label>/…`, where every key of the query's class is one, that of the first sample that
    holds it. Ties count against the model (see `metric.retrieval.rank`). With `projection`, names that have a projection head's
    output are compared there, which is where contrastive losses pull them together (projected = 1). Names of different widths
    have no common space and are skipped.
    """

    by = "pair"
    names: ClassVar = {"labels": "label"}
    scores: ClassVar = {
        "R@*": "max", "chance_R@*": None, "map": "max", "map@R": "max", "mean_rank": "min", "median_rank": "min",
        "projected": None, "queries": None, "keys": None, "unmatched": None,
    }  # fmt: skip
    either_way = ("mean_rank", "median_rank")
    shown: ClassVar = {
        "R@*": "R@*", "chance_R@*": "chance", "map": "mAP", "median_rank": "median rank", "keys": "of",
    }  # fmt: skip
    title = "Retrieval of the same sample"

    def __init__(
        self,
        *,
        at: Sequence[Count] = (1, 5, 10),
        labels: Sequence[str] = (),
        projection: bool = True,
        unmatched: Literal["skip", "raise"] = "skip",
        pool: str | None = "auto",
        equal_texts: Literal["apart", "one"] = "apart",
    ) -> None:
        self.at, self.labels, self.projection, self.unmatched = list(at), list(labels), projection, unmatched
        self.pool, self.equal_texts = pool, equal_texts

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        if self.equal_texts == "apart":
            _tell_equal(test)
        test = self.counted(test)
        ledger = ScoreSheet("retrieval")
        ids = np.unique(test.ids if test.same is None else test.same, return_inverse=True)[1]
        back: dict[str, retrieval.Ranked] = {}  # of the other direction, ranked along
        for a, b in permutations(test.vectors, 2):
            key = f"retrieval/{a}->{b}"
            projected = self.projection and a in test.projected and b in test.projected
            widths = [test.space(name, projected).shape[1] for name in (a, b)]
            if widths[0] != widths[1]:
                ledger.skip(key, f"width_{widths[0]}_is_not_{widths[1]}")
                continue
            both = test.present[a] & test.present[b]
            ledger.put(key, projected=projected)
            self._score(ledger, (key, f"retrieval/{b}->{a}"), both, test, (a, b, projected), ids, back)
            for label in self.labels:
                self._by_label(ledger, (a, b, projected), label, test, both, back)
        return ledger.scores

    def counted(self, e: Embeddings) -> Embeddings:
        """The embeddings with texts that are one, or each its sample's own, by `equal_texts`."""
        return e if self.equal_texts == "one" else replace(e, text_ids={})

    def _by_label(
        self, ledger: ScoreSheet, pair: tuple[str, str, bool], label: str, test: Embeddings, both: np.ndarray,
        back: dict[str, retrieval.Ranked],
    ) -> None:  # fmt: skip
        if label not in test.targets:
            raise ValueError(f"retrieval: no label {label!r}; there are {', '.join(test.targets) or 'none'}")
        target, (a, b, _) = test.targets[label], pair
        keys = f"retrieval/{a}->{b}/{label}", f"retrieval/{b}->{a}/{label}"
        if kind(target) != "classes":
            ledger.skip(keys[0], f"target_is_{kind(target)}")
            return
        self._score(ledger, keys, both & labelled(target), test, pair, target, back, by_id=True)

    def _score(
        self, ledger: ScoreSheet, keys: tuple[str, str], rows: np.ndarray, test: Embeddings, pair: tuple[str, str, bool],
        ids: np.ndarray, back: dict[str, retrieval.Ranked], by_id: bool = False,
    ) -> None:  # fmt: skip
        """Positives are what rows hold together; with `by_id`, or where each holds its own of both, those of one id.

        keys: of the scores, and of those of the other direction, whose ranks are kept in `back` until its turn.
        """
        key, other = keys
        ledger.put(key, n=rows.sum(), n_missing=(~rows).sum())
        if not rows.any():
            ledger.skip(key, "no_test_rows")
            return
        if key not in back:
            back[key], back[other] = self._ranked(test, rows, pair, ids, by_id)
        ranked = back.pop(key)
        queries = len(ranked.first) + ranked.without
        ledger.put(key, queries=queries, keys=ranked.gallery, unmatched=ranked.without)
        if ranked.without and self.unmatched == "raise":
            raise ValueError(
                f"{key}: {ranked.without} of {queries} queries have no positive; evaluate.retrieval.unmatched=skip counts them"
            )
        if ranked.without == queries:
            ledger.skip(key, "no_query_has_a_positive")
            return
        ledger.put(key, **{f"R@{k}": retrieval.recall_at(ranked, k) for k in self.at})
        ledger.put(key, **{f"chance_R@{k}": retrieval.chance_recall(ranked, k) for k in self.at})
        ledger.put(key, map=retrieval.mean_average_precision(ranked), median_rank=retrieval.median_rank(ranked))
        ledger.put(key, mean_rank=retrieval.mean_rank(ranked))
        ledger.put(key, **{"map@R": retrieval.mean_average_precision_at_r(ranked)})

    def _ranked(
        self, test: Embeddings, rows: np.ndarray, pair: tuple[str, str, bool], ids: np.ndarray, by_id: bool
    ) -> tuple[retrieval.Ranked, retrieval.Ranked]:
        a, b = (gallery(test, name, rows, pair[2]) for name in pair[:2])
        if by_id or (a.own and b.own):
            return retrieval.rank_both(a.x, b.x, *(torch.as_tensor(ids[g.home]).to(g.x.device) for g in (a, b)))
        return retrieval.rank_pairs_both(a.x, b.x, *pairs(a, b, test.same))


def _tell_equal(e: Embeddings) -> None:
    """Warn of streams in which many texts are held by several things, of which one alone counts as right."""
    things = np.asarray(e.ids, dtype=object) if e.same is None else e.same
    for name, ids in e.text_ids.items():
        held = pd.DataFrame({"text": ids[e.present[name], 0], "thing": things[e.present[name]]}).drop_duplicates()
        share = held["text"].duplicated(keep=False).mean() if len(held) else 0.0
        if share > SHARED:
            log.warning(
                "retrieval: %.0f %% of the held-out texts of %s are another sample's, too, and each counts as right for its own "
                "alone; evaluate.retrieval.equal_texts=one counts every sample of a text",
                100 * share, name,
            )  # fmt: skip
