"""What an evaluator said of held-out samples, beside the truth: the input of every score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["classes", "labels", "values"]
ENOUGH = 10  # groups of a class, from which on few of them are seen that do not stand for others
FEWEST = 2  # groups that a class needs, so that its share of a score says something of other groups


@dataclass(frozen=True)
class Answers:
    """One label of one run.

    truth: class index (n,), 0/1 (n, K), or values (n, P). predicted: the same of what was said. outputs: probabilities of
    the classes (n, K), the chance of each of K labels, or values (n, P); None where they were not kept. groups (n,): which
    samples belong together.
    """

    kind: Kind
    truth: np.ndarray
    predicted: np.ndarray
    outputs: np.ndarray | None
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def said(self) -> np.ndarray:
        """`outputs`, which must be there."""
        if self.outputs is None:
            raise ValueError("no probabilities or values were kept of these samples")
        return self.outputs


def usable(kind: Kind, truth: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Which classes a score over classes counts: indices, ascending.

    Of one class a sample: those that stand in two groups or more; of several 0/1 labels those whose ones and whose zeros
    do. What stands in one group says nothing of another, and a class that is absent has no recall at all.
    """
    if kind == "labels":
        both = [[in_groups(truth[:, k] == v, groups) for v in (0, 1)] for k in range(truth.shape[1])]
        return np.flatnonzero([min(b) >= FEWEST for b in both])
    classes = [c for c in np.unique(truth) if in_groups(truth == c, groups) >= FEWEST]
    return np.array(classes if len(classes) > 1 else [], int)


def in_groups(rows: np.ndarray, groups: np.ndarray) -> int:
    """In how many groups any of the rows (n,) bool stands."""
    return len(np.unique(groups[rows]))
