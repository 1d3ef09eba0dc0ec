"""Few-shot classification: a classifier of k training samples of each class, drawn several times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import Count, Natural, Positive
from multimodal_lab.evaluate.chance import chance
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet, Task
from multimodal_lab.metric import logistic
from multimodal_lab.metric.zero_shot import class_vectors, cosines


class FewShot:
    """Logistic regression, and the nearest class mean by cosine, on `shots` training samples of each class.

    Each of `draws` takes the first k of every class in an order of its own, so that more shots hold the fewer ones. Embeddings
    are made of unit length, less their mean, and all scaled by one number to a mean variance of 1, of the drawn rows alone: what
    is not drawn is not looked at. Scores: `few_shot/<name>/<label>/` accuracy@K and centroid@K, means over draws, with
    accuracy_std@K and centroid_std@K, their standard deviations over draws (0 of one); short@K, how many classes have fewer
    training samples than K: they take part with those they have. A K that no class has is skipped. strength: C of the
    logistic regression, larger is weaker. projection: of what a projection head makes of the embeddings. pool: see `pool.pooled`.
    """

    by = "label"
    scores: ClassVar = {
        "accuracy@*": "max", "centroid@*": "max", "accuracy_std@*": None, "centroid_std@*": None, "short@*": None,
    }  # fmt: skip
    shown: ClassVar = {"accuracy@*": "*", "centroid@*": "*"}
    beside_chance = True
    also = ("chance", "chance_prior", "chance_majority")

    def __init__(
        self,
        *,
        shots: Sequence[Count] = (1, 2, 4, 8, 16),
        draws: Count = 5,
        strength: Positive = 1.0,
        projection: bool = False,
        seed: Natural = 0,
        pool: str | None = None,
    ) -> None:
        if not shots:
            raise ValueError(
                "evaluate.few_shot.shots is empty; expected one or more numbers of samples, such as [1, 4, 16]"
            )
        self.shots, self.draws, self.strength = sorted(set(shots)), draws, strength
        self.projection, self.seed, self.pool = projection, seed, pool

    def __call__(self, train: Embeddings, test: Embeddings) -> dict[str, float]:
        """Flat scores on test."""
        sheet = ScoreSheet("few_shot")
        fit, held = (replace(e, vectors={k: e.space(k, self.projection) for k in e.vectors}) for e in (train, test))
        for task in sheet.tasks(fit, held):
            seen, y = np.unique(task.train_y, return_inverse=True)
            most = np.bincount(y)
            for k in self.shots:
                if k > most.max():
                    sheet.skip(task.key, f"no_class_has_{k}_training_samples")
                    continue
                found = np.array([self._score(task, seen, y, rows) for rows in drawn(y, k, self.draws, self.seed)])
                mean, spread = found.mean(0), found.std(0, ddof=1) if self.draws > 1 else np.zeros(2)
                sheet.put(task.key, **{f"accuracy@{k}": mean[0], f"centroid@{k}": mean[1], f"short@{k}": (most < k).sum(),
                                       f"accuracy_std@{k}": spread[0], f"centroid_std@{k}": spread[1]})  # fmt: skip
        return {**sheet.scores, **chance(train, test)}

    def _score(self, task: Task, seen: np.ndarray, y: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
        """The accuracy of both classifiers of these training rows."""
        x, held = _scaled(torch.as_tensor(task.train_x[rows]), torch.as_tensor(task.x))
        owner, truth = torch.as_tensor(y[rows]), torch.as_tensor(task.y)
        (w,) = logistic.fit(x, F.one_hot(owner, len(seen)).float(), [self.strength], "softmax")
        means = class_vectors(torch.as_tensor(task.train_x[rows]), owner, len(seen))
        said = (logistic.predict(held, w), cosines(torch.as_tensor(task.x), means))
        first, second = ((torch.as_tensor(seen)[z.argmax(1)] == truth).double().mean() for z in said)
        return float(first), float(second)


def drawn(y: np.ndarray, k: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of k rows of each class of y (N,), or all it has, for each draw; those of fewer are among those of more."""
    for draw in range(draws):
        order = np.random.default_rng([seed, draw]).permutation(len(y))
        of = y[order]
        place = np.zeros(len(y), dtype=np.int64)  # among those of its class, in this order
        for c in np.unique(of):
            place[of == c] = np.arange((of == c).sum())
        yield order[place < k]


def _scaled(x: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """Both of unit length, less the mean of x (N, D) and by one scale, at which the mean variance of x's columns is 1.

    Of fewer rows than columns, along the axes that the rows of x span: the regression's weights lie there, and it costs less.
    """
    x, held = F.normalize(x, dim=1), F.normalize(held, dim=1)
    mean = x.mean(0)
    scale = (x - mean).square().mean().sqrt().clamp(min=1e-12)
    x, held = (x - mean) / scale, (held - mean) / scale
    if x.shape[0] >= x.shape[1]:
        return x, held
    axes = torch.linalg.svd(x, full_matrices=False)[2]
    return x @ axes.T, held @ axes.T
