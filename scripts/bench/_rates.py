"""One-sided 95 % bounds of a rate that was counted. Clopper & Pearson 1934."""

from __future__ import annotations

from scipy import stats


def upper(hits: int, studies: int) -> float:
    """The upper bound; 1 where every study is a hit."""
    return 1.0 if hits == studies else float(stats.beta.ppf(0.95, hits + 1, studies - hits))


def lower(hits: int, studies: int) -> float:
    """The lower bound; 0 where none is."""
    return 0.0 if hits == 0 else float(stats.beta.ppf(0.05, hits, studies - hits + 1))
