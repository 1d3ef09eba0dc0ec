"""How the information of samples about a label is divided between two modalities: estimates from discrete codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from multimodal_lab.stats.broja import Information, decomposed
from multimodal_lab.stats.exchange import too_few
from multimodal_lab.stats.resample import Resampled, Sample, resampled_together

PARTS = ("redundant", "unique1", "unique2", "synergy")
LOTS = 20  # of groups that the jackknife leaves out
PER_CELL = 10  # groups for each pair of codes and class but one, below which no interval is told


def estimate(x1: np.ndarray, x2: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Information:
    """The decomposition of samples x1, x2, y (N,), integers (see `codes`), corrected for small-sample bias.

    Sparse cells make any table look informative, most of it synergy. The jackknife over groups (N,) takes off the bias that falls
    as 1 / N, as it is where there is information and where there is none (of entropies: Zahl 1977); the result is cut at 0.
    ValueError for fewer than 7 groups. Give codes of predictions of a model of each modality only where synergy doesn't matter:
    such a prediction keeps nothing of what one modality tells only with the other.
    """
    found = resampled_estimate(x1, x2, y, groups, permutations=0)
    if np.isnan(found["synergy"].value):
        raise ValueError(too_few(len(np.unique(np.arange(len(y)) if groups is None else groups))))
    return Information(*(one.value for one in found.values()))


def resampled_estimate(
    x1: np.ndarray,
    x2: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    permutations: int = 49,
    seed: int = 0,
) -> dict[str, Resampled]:
    """Each part of `estimate` (by its name) with its interval and its null, that the label has nothing to do with either.

    Interval: t times the jackknife's standard error, into which the bias that was taken off goes as well: where a part is
    at the edge of what it can be (no part below 0, no more bits than the label has) that bias is as uncertain as it is large.
    Redundant and synergy are larger by a unique part that is not there: one whose interval reaches 0 is added to their upper
    ends. NaN with fewer than 10 groups for each pair of codes and class but one. Null: labels permuted by whole groups (see
    `resampled`), before the correction. All NaN with fewer than 7 groups.
    """
    x1, x2, label = (np.unique(np.asarray(v), return_inverse=True)[1] for v in (x1, x2, y))
    if not len(x1) == len(x2) == len(label) > 0:
        raise ValueError(f"x1, x2, y have {len(x1)}, {len(x2)}, {len(label)} samples, expected the same number")
    shape = (int(x1.max()) + 1, int(x2.max()) + 1, int(label.max()) + 1)

    def parts(samples: Iterable[Sample]) -> list[np.ndarray]:
        tables = [_table(a[:, 0].astype(int), a[:, 1].astype(int), b[:, 0].astype(int), shape) for a, b, _ in samples]
        return list(decomposed(np.stack(tables), 500, 1e-5))

    found = resampled_together(
        parts,
        np.stack([x1, x2], 1),
        label[:, None],
        groups,
        lots=LOTS,
        corrected=True,
        permutations=permutations,
        seed=seed,
    )
    count = len(label) if groups is None else len(np.unique(groups))
    held = count >= PER_CELL * shape[0] * shape[1] * (shape[2] - 1)
    told = {name: _within(one, held) for name, one in zip(PARTS, found, strict=True)}
    edge = max((told[name].value for name in ("unique1", "unique2") if told[name].low == 0), default=0.0)
    wider = {name: replace(told[name], high=told[name].high + edge) for name in ("redundant", "synergy")}
    return told | wider


def codes(train: np.ndarray, test: np.ndarray, count: int = 8, seed: int = 0) -> np.ndarray:
    """Discrete codes (N,) of test (N, D): the nearest of `count` k-means centres learnt on train (M, D).

    On at most 16 principal directions of train, standardised by train. Liang et al. 2023 cluster likewise.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    pca = PCA(min(16, *train.shape), svd_solver="full").fit(scaler.transform(train))
    means = KMeans(min(count, len(train)), n_init=4, random_state=seed).fit(pca.transform(scaler.transform(train)))
    found: np.ndarray = means.predict(pca.transform(scaler.transform(test)))
    return found


def _within(one: Resampled, held: bool) -> Resampled:
    value, low, high = (float(np.maximum(0.0, v)) for v in (one.value, one.low, one.high))
    return replace(one, value=value, low=low if held else float("nan"), high=high if held else float("nan"))


def _table(x1: np.ndarray, x2: np.ndarray, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    counts = np.zeros(shape)
    np.add.at(counts, (x1, x2, y), 1)
    table: np.ndarray = counts / len(y)
    return table
