"""Exact Shapley values of the modalities, from one model's scores on all subsets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from math import factorial, fsum

Subset = frozenset[str]


def subsets(names: Sequence[str]) -> list[Subset]:
    """All non-empty subsets: by size, and within a size in the order of the names; 2^M - 1 of them."""
    if len(set(names)) < len(names):
        raise ValueError(f"modalities {list(names)} are not distinct")
    return [frozenset(c) for size in range(1, len(names) + 1) for c in combinations(names, size)]


def shapley(scores: Mapping[Subset, float], empty: float) -> dict[str, float]:
    """The mean gain of adding a modality, over all orders in which modalities could come: {name: value}.

    scores: of every non-empty subset; empty: the score without any, as of guessing by the class prior. The values sum to the
    full score minus `empty`. They speak of this model, not of the data. Shapley 1953; exact, cost 2^M.
    """
    return {names[0]: value for names, value in interactions(scores, empty, 1).items()}


def interactions(scores: Mapping[Subset, float], empty: float, order: int = 2) -> dict[tuple[str, ...], float]:
    """Shapley interaction index of every `order` modalities: more than 0, they are worth more together than apart.

    I(T) = sum over S outside T of (M - |S| - |T|)! |S|! / (M - |T| + 1)! x sum over L in T of (-1)^(|T| - |L|) v(S + L).
    Grabisch & Roubens 1999. Order 1 is the Shapley value. For two modalities the index is
    v(ab) - v(a) - v(b) + v().
    """
    names, value = _checked(scores, empty)
    if not 1 <= order <= len(names):
        raise ValueError(f"order={order}, expected 1 to {len(names)}, the number of modalities")
    found = {}
    for together in combinations(names, order):
        outside = [n for n in names if n not in together]
        terms = []
        for size in range(len(outside) + 1):
            weight = factorial(len(outside) - size) * factorial(size) / factorial(len(outside) + 1)
            terms += [weight * _difference(value, frozenset(s), together) for s in combinations(outside, size)]
        found[together] = fsum(terms)
    return found


def missing_curve(scores: Mapping[Subset, float], empty: float) -> list[tuple[int, float, float, float]]:
    """(number of modalities present, mean, lowest, highest score over the subsets of that size), from none to all."""
    names, value = _checked(scores, empty)
    curve = []
    for size in range(len(names) + 1):
        found = [value[frozenset(s)] for s in combinations(names, size)]
        curve.append((size, fsum(found) / len(found), min(found), max(found)))
    return curve


def _checked(scores: Mapping[Subset, float], empty: float) -> tuple[list[str], dict[Subset, float]]:
    names: list[str] = sorted({n for subset in scores for n in subset})
    wanted: Collection[Subset] = subsets(names)
    missing = [" + ".join(sorted(s)) for s in wanted if s not in scores]
    if missing or not names:
        raise ValueError(f"scores of {len(scores)} subsets of {names}: expected all {len(wanted)}, missing {missing}")
    return names, {**{frozenset(s): float(v) for s, v in scores.items()}, frozenset(): float(empty)}


def _difference(value: Mapping[Subset, float], base: Subset, together: tuple[str, ...]) -> float:
    signs = ((-1) ** (len(together) - size) for size in range(len(together) + 1))
    return fsum(s * value[base | frozenset(c)] for k, s in enumerate(signs) for c in combinations(together, k))
