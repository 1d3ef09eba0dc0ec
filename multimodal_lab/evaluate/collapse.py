"""Collapse diagnostics: effective rank, uniformity and alignment of the embeddings."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

import torch

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet
from multimodal_lab.metric.hypersphere import alignment, uniformity
from multimodal_lab.metric.spectrum import rankme
from multimodal_lab.stats.sphere import gap_by_chance, modality_gap


class Collapse:
    """Collapse monitors of the held-out embeddings.

    Scores: `collapse/<name>/` rankme (effective rank, with `width`, its upper bound together with n), uniformity (of
    unit rows; 0 is a collapse); `collapse/<a>-<b>/` alignment (of the same samples in two names; only where widths
    agree), modality_gap (the distance of the centres of their unit rows, Liang et al. 2022: 0 where they are one, 2 at most) and
    modality_gap_chance (what it is where a coin swaps the two of each pair). Over all rows and pairs, those of one group too: a
    study tells them by groups (`stats.sphere`). With `projection`, names that have a projection head's output are judged there
    (projected = 1).
    """

    by = "pair"
    scores: ClassVar = {
        "rankme": "max", "uniformity": "min", "alignment": "min", "modality_gap": "min", "modality_gap_chance": None,
        "width": None, "projected": None,
    }  # fmt: skip
    either_way = ("rankme", "uniformity", "alignment", "modality_gap")

    def __init__(self, *, projection: bool = True) -> None:
        self.projection = projection

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        ledger = ScoreSheet("collapse")
        for name in test.vectors:
            key, rows = f"collapse/{name}", test.present[name]
            x = torch.as_tensor(test.space(name, self.projection)[rows])
            projected = self.projection and name in test.projected
            ledger.put(key, n=len(x), n_missing=(~rows).sum(), width=x.shape[1], projected=projected)
            if len(x) < 2:
                ledger.skip(key, "fewer_than_two_test_rows")
            else:
                ledger.put(key, rankme=rankme(x), uniformity=uniformity(x))
        for a, b in combinations(test.vectors, 2):
            self._align(ledger, a, b, test)
        return ledger.scores

    def _align(self, ledger: ScoreSheet, a: str, b: str, test: Embeddings) -> None:
        key, both = f"collapse/{a}-{b}", test.present[a] & test.present[b]
        projected = self.projection and a in test.projected and b in test.projected
        x, y = (torch.as_tensor(test.space(name, projected)[both]) for name in (a, b))
        if x.shape[1] != y.shape[1]:
            ledger.skip(key, f"width_{x.shape[1]}_is_not_{y.shape[1]}")
        elif not len(x):
            ledger.skip(key, "no_test_rows")
        else:
            ledger.put(key, alignment=alignment(x, y), n=len(x), projected=projected)
            ledger.put(key, modality_gap=modality_gap(x.numpy(), y.numpy()))
            ledger.put(key, modality_gap_chance=gap_by_chance(x.numpy(), y.numpy()))
