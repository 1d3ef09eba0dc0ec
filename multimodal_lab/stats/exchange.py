"""Permutations for null distributions that exchange whole groups of equal size."""

from __future__ import annotations

import numpy as np

LEAST = 7  # groups of one size: 7! = 5040 arrangements; 3! = 6 could give no p below .17


def too_few(count: int) -> str:
    """Why so few groups have no null; "" if there are enough."""
    said = "whole groups are exchanged and left out, so that fewer give no p, no chance level and no interval"
    return f"{count} groups, expected {LEAST} or more: {said}" if count < LEAST else ""


class Exchange:
    """Permutations of rows by whole groups, for group numbers (N,), whole.

    Groups trade places with those of their size, their rows in the order they have: independent spaces with group effects
    are exchangeable so, and not row by row (restricted permutation, Good 2005, ch. 6; Winkler et al. 2015). Sizes that
    fewer than 7 groups have make up a class of 7 or more with the next smaller ones, all cut to the smallest of them; up
    to 6 of the smallest groups are left out. `rows` (M,): the rows that take part, in order, all N where all sizes are
    one; empty where there are fewer than 7 groups. With groups of one sample each it is a permutation of rows.
    """

    def __init__(self, groups: np.ndarray) -> None:
        order = np.argsort(groups, kind="stable")
        # one less than the first number before it, so that the first group starts, too
        starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order][:1] - 1))
        members = sorted(np.split(order, starts[1:]), key=lambda rows: (-len(rows), rows[0]))
        self.count, self._length = len(members), len(groups)
        self._classes = list(_classes(members))
        kept = [c.ravel() for c in self._classes]
        self.rows: np.ndarray = np.sort(np.concatenate(kept)) if kept else np.zeros(0, int)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """(M,) which row comes where each of `rows` was."""
        moved = np.arange(self._length)
        for own in self._classes:
            moved[own] = own[random.permutation(len(own))]
        rows: np.ndarray = moved[self.rows]
        return rows


def _classes(members: list[np.ndarray]) -> list[np.ndarray]:
    """Row numbers (G, size) of each class, groups by their first row; `members` from the largest group to the smallest."""
    found, sizes = [], [len(rows) for rows in members]
    start = 0
    while start + LEAST <= len(members):
        size = sizes[start + LEAST - 1]
        end = start + LEAST + sum(s == size for s in sizes[start + LEAST :])
        own = sorted((rows[:size] for rows in members[start:end]), key=lambda rows: int(rows[0]))
        found.append(np.stack(own))
        start = end
    return found


def thinned(groups: np.ndarray, limit: int, seed: int = 0) -> np.ndarray:
    """At most `limit` rows of groups (N,), in order: as many of each group as fit, one at least; then fewer groups."""
    order = np.random.default_rng(seed).permutation(len(groups))
    if len(groups) <= limit:
        return np.arange(len(groups))
    place = np.zeros(len(groups), int)
    by_group = order[np.argsort(groups[order], kind="stable")]
    counts = np.unique(groups, return_counts=True)[1]
    place[by_group] = np.arange(len(groups)) - np.repeat(np.cumsum(counts) - counts, counts)
    most = max([1, *(m for m in range(1, limit + 1) if np.minimum(counts, m).sum() <= limit)])
    kept = order[place[order] < most][:limit]
    return np.sort(kept)
