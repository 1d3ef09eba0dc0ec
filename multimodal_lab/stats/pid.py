"""How the information of samples about a label is divided between two modalities: estimates from discrete codes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from multimodal_lab.stats.broja import Information, decomposed
from multimodal_lab.stats.exchange import Exchange, too_few
from multimodal_lab.stats.resample import Resampled, Sample, resampled_together


def estimate(
    x1: np.ndarray,
    x2: np.ndarray,
    y: np.ndarray,
    permutations: int = 20,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Information:
    """The decomposition of samples x1, x2, y (N,), integers (see `codes`), corrected for small-sample bias.

    Empty cells make any table look informative: the plug-in parts under permuted labels (their mean over `permutations`) are
    what the table's size alone brings, most of it synergy. They are subtracted, and the result cut at 0. With groups (N,)
    whole ones are permuted (see `exchange.Exchange`); ValueError for fewer than 7, whose bias cannot be estimated. Give codes of
    predictions of a model of each modality only where synergy doesn't matter: such a prediction keeps nothing of what
    one modality tells only with the other.
    """
    x1, x2, y = (np.unique(np.asarray(v), return_inverse=True)[1] for v in (x1, x2, y))
    if not len(x1) == len(x2) == len(y) > 0:
        raise ValueError(f"x1, x2, y have {len(x1)}, {len(x2)}, {len(y)} samples, expected the same number")
    found, draw = decomposed(_table(x1, x2, y)[None], 2000, 1e-6)[0], np.random.default_rng(seed)
    if permutations:
        exchange = Exchange(np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1])
        if not len(rows := exchange.rows):
            raise ValueError(too_few(exchange.count))
        shape = tuple(int(v.max()) + 1 for v in (x1, x2, y))
        tables = np.stack([_table(x1[rows], x2[rows], y[exchange.draw(draw)], shape) for _ in range(permutations)])
        found = np.maximum(found - decomposed(tables, 500, 1e-5).mean(0), 0)
    return Information(*map(float, found))


def resampled_estimate(
    x1: np.ndarray,
    x2: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    permutations: int = 49,
    seed: int = 0,
) -> dict[str, Resampled]:
    """Each part of `estimate` (by its name) with its null, that the label has nothing to do with either; without an interval.

    Label permuted: `null` is what the size of the table alone brings; the value has it taken off, and is NaN
    where there are too few groups to tell it. See `resampled` for how groups (N,) are permuted.
    """

    x1, x2, label = (np.unique(np.asarray(v), return_inverse=True)[1] for v in (x1, x2, y))
    shape = (int(x1.max()) + 1, int(x2.max()) + 1, int(label.max()) + 1)

    def parts(samples: Iterable[Sample]) -> list[np.ndarray]:
        tables = [_table(a[:, 0].astype(int), a[:, 1].astype(int), b[:, 0].astype(int), shape) for a, b, _ in samples]
        return list(decomposed(np.stack(tables), 500, 1e-5))

    found = resampled_together(
        parts, np.stack([x1, x2], 1), label[:, None], groups, interval=False, permutations=permutations, seed=seed
    )
    names = ("redundant", "unique1", "unique2", "synergy")
    return {
        n: replace(one, value=float(np.maximum(0.0, one.value - one.null))) for n, one in zip(names, found, strict=True)
    }


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


def _table(x1: np.ndarray, x2: np.ndarray, y: np.ndarray, shape: tuple[int, ...] = ()) -> np.ndarray:
    counts = np.zeros(shape or (x1.max() + 1, x2.max() + 1, y.max() + 1))
    np.add.at(counts, (x1, x2, y), 1)
    table: np.ndarray = counts / len(y)
    return table
