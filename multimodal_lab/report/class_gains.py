"""Two runs side by side: by how much the average precision of each class differs, on the samples that both were judged on."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from multimodal_lab.report import style
from multimodal_lab.report.answers import Several, several

DRAWS, ENDS = 1000, (2.5, 97.5)  # of the bootstrap, and percent
MEAN = "mean of all classes"


def gains(first: Path, second: Path, label: str | None = None, seed: int = 0) -> pd.DataFrame:
    """A row a class, and one of their mean: `positives`, the average precision of both runs, `gain` of the second, `low`, `high`.

    These two are the ends of the 95 % interval of a bootstrap of whole groups of held-out samples, the same for both runs (Efron
    & Tibshirani 1993): luck of the test set, not of the seed. A class without a positive sample, or of nothing else, is NaN.
    `ValueError` where the runs don't tell the same classes of the same samples.
    """
    a, b = (_told(run, label) for run in (first, second))
    if a.classes != b.classes or a.label != b.label:
        raise ValueError(f"{first} tells {len(a.classes)} classes of {a.label}, {second} {len(b.classes)} of {b.label}")
    order = {str(i): row for row, i in enumerate(b.ids)}
    if set(order) != {*map(str, a.ids)}:
        common = len(set(order) & {*map(str, a.ids)})
        raise ValueError(
            f"{first} was judged on {len(a.ids)} samples and {second} on {len(b.ids)}, {common} of them in common; expected the "
            "same held-out samples"
        )
    there = np.array([order[str(i)] for i in a.ids])
    chances, truth = (a.chances, b.chances[there]), a.truth
    if (truth != b.truth[there]).any():
        raise ValueError(f"{first} and {second} have other true labels of the same samples")
    scores = [precision(truth, c, np.ones((1, len(truth))))[0] for c in chances]
    place, group = np.unique(a.groups, return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(place), np.full(len(place), 1 / len(place)), DRAWS)
    drawn = [precision(truth, c, counts[:, group]) for c in chances]
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of a class that no draw has
        ends = np.nanpercentile(drawn[1] - drawn[0], ENDS, axis=0)
    return pd.DataFrame({"class": [*a.classes, MEAN], "positives": [*truth.sum(0), truth.sum()], "first": scores[0],
                         "second": scores[1], "gain": scores[1] - scores[0], "low": ends[0], "high": ends[1]})  # fmt: skip


def figure(table: pd.DataFrame, title: str) -> Figure:
    """Bars of `gains`, the largest first, the mean of all at the top; a bar whose interval holds 0 is pale."""
    own, mean = table[table["class"] != MEAN].dropna().sort_values("gain", ascending=False), table.iloc[-1:]
    shown = pd.concat([mean, own])
    drawn, axes = style.panels(1, 1, 6.4, 1.2 + 0.24 * len(shown))
    axis: Axes = axes[0, 0]
    y, sure = np.arange(len(shown)), (shown["low"] > 0) | (shown["high"] < 0)
    colours = [style.PALETTE[0] if up else style.PALETTE[1] for up in shown["gain"] >= 0]
    for place, colour, strong in zip(y, colours, sure, strict=True):
        axis.barh(place, shown["gain"].iloc[place], color=colour, height=0.7, alpha=1.0 if strong else 0.35)
    middle = shown["gain"].to_numpy()
    reach = np.abs(np.stack([middle - shown["low"], shown["high"] - middle]))
    axis.errorbar(middle, y, xerr=reach, fmt="none", ecolor=style.INK, elinewidth=0.8, capsize=2)
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set_yticks(
        y, [f"{style.short(c)} ({n})" for c, n in zip(shown["class"], shown["positives"], strict=True)], fontsize=7
    )
    axis.set(title=title, xlabel="difference of average precision, 95 % over test samples")
    axis.invert_yaxis()
    return drawn


def _told(run: Path, label: str | None) -> Several:
    found = [s for s in several(run) if label in (None, s.label)]
    if not found:
        raise ValueError(f"{run}: no head of it tells {label or 'several labels'} of held-out samples")
    return found[0]


def precision(truth: np.ndarray, chances: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(B, K + 1) average precision of each class and, last, their mean, where each sample counts `times` (B, n).

    truth (n, K) bool, chances (n, K). That of scikit-learn: the sum over thresholds of precision by the recall that each
    adds; NaN where no sample, or every one, has the class.
    """
    found = np.full((len(times), truth.shape[1] + 1), np.nan)
    for k in range(truth.shape[1]):
        order = np.argsort(-chances[:, k], kind="stable")
        own, weight = chances[order, k], times[:, order].astype(float)
        last = np.append(np.flatnonzero(np.diff(own)), len(own) - 1)  # of samples of one chance
        right, of = (np.cumsum(x, 1)[:, last] for x in (weight * truth[order, k], weight))
        total = right[:, -1:]
        recall = np.divide(right, total, out=np.zeros_like(right), where=total > 0)
        share = np.divide(right, of, out=np.zeros_like(right), where=of > 0)
        added = np.diff(recall, axis=1, prepend=0)
        told = (total[:, 0] > 0) & (total[:, 0] < of[:, -1])
        found[:, k] = np.where(told, (added * share).sum(1), np.nan)
    some = np.isfinite(found[:, :-1]).any(1)
    found[some, -1] = np.nanmean(found[some, :-1], axis=1)
    return found
