"""Partial information decomposition of two modalities about a label: redundant, unique, synergistic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from multimodal_lab.stats.exchange import Exchange, too_few
from multimodal_lab.stats.resample import Pair, Resampled, resampled_together


@dataclass(frozen=True)
class Information:
    """Bits about the label: in both modalities, in the first alone, in the second alone, in the two only together."""

    redundant: float
    unique1: float
    unique2: float
    synergy: float

    @property
    def total(self) -> float:
        """I(Y; X1 X2), the sum of the four."""
        return self.redundant + self.unique1 + self.unique2 + self.synergy


def decompose(p: np.ndarray, steps: int = 2000, tolerance: float = 1e-7) -> Information:
    """Partial information decomposition of p (A, B, Y), the joint distribution of two discrete sources and a label.

    BROJA (Bertschinger et al. 2014): unique and redundant information depend on the pairs (X1, Y) and (X2, Y) only, so
    they are those of the q with p's pairs that tells least together: synergy = I_p - min_q I_q(Y; X1 X2), unique1 =
    min I_q - I(Y; X2), redundant = I(Y; X1) - unique1. Found by alternating projections (Banerjee et al. 2018): for each
    label, scale q's X1 X2 marginal to both pairs. Right to about 1e-4 bits where the optimum lies on an edge.
    """
    return Information(*map(float, _decomposed(np.asarray(p, float)[None], steps, tolerance)[0]))


def _decomposed(p: np.ndarray, steps: int, tolerance: float) -> np.ndarray:
    """The four parts (M, 4) of tables p (M, A, B, Y), all at once."""
    if p.ndim != 4 or (p < 0).any() or not np.allclose(p.sum((1, 2, 3)), 1):
        raise ValueError(f"p is {p.shape[1:]} and sums to {p.sum() / len(p):g}, expected a distribution (A, B, Y)")
    least = _mutual(_least(p, steps, tolerance))
    whole, one, two = _mutual(p), _mutual(p.sum(2, keepdims=True)), _mutual(p.sum(1, keepdims=True))
    # convergence stops a little above the minimum; the parts are never below 0
    least = np.minimum(np.maximum(np.maximum(least, one), two), whole)
    least = np.where(whole >= np.maximum(one, two), least, whole)
    return np.stack([one + two - least, least - two, least - one, whole - least], 1)


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
    found, draw = _decomposed(_table(x1, x2, y)[None], 2000, 1e-6)[0], np.random.default_rng(seed)
    if permutations:
        exchange = Exchange(np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1])
        if not len(rows := exchange.rows):
            raise ValueError(too_few(exchange.count))
        shape = tuple(int(v.max()) + 1 for v in (x1, x2, y))
        tables = np.stack([_table(x1[rows], x2[rows], y[exchange.draw(draw)], shape) for _ in range(permutations)])
        found = np.maximum(found - _decomposed(tables, 500, 1e-5).mean(0), 0)
    return Information(*map(float, found))


def resampled_estimate(
    x1: np.ndarray,
    x2: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    draws: int = 50,
    permutations: int = 49,
    seed: int = 0,
) -> dict[str, Resampled]:
    """Each part of `estimate` (by its name) with its interval and its null, that the label has nothing to do with either.

    Label permuted: `null` is what the size of the table alone brings; value and interval have it taken off, and are NaN
    where there are too few groups to tell it. See `resampled` for how groups (N,) are drawn and permuted.
    """

    x1, x2, label = (np.unique(np.asarray(v), return_inverse=True)[1] for v in (x1, x2, y))
    shape = (int(x1.max()) + 1, int(x2.max()) + 1, int(label.max()) + 1)

    def parts(pairs: Iterable[Pair]) -> list[np.ndarray]:
        tables = [_table(a[:, 0].astype(int), a[:, 1].astype(int), b[:, 0].astype(int), shape) for a, b in pairs]
        return list(_decomposed(np.stack(tables), 500, 1e-5))

    found = resampled_together(
        parts, np.stack([x1, x2], 1), label[:, None], groups, draws=draws, permutations=permutations, seed=seed
    )
    names = ("redundant", "unique1", "unique2", "synergy")
    return {name: _without_bias(one) if permutations else one for name, one in zip(names, found, strict=True)}


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


def _least(p: np.ndarray, steps: int, tolerance: float) -> np.ndarray:
    """The q (M, A, B, Y) with p's (X1, Y) and (X2, Y) pairs that tell least of Y, by alternating projections."""
    left, right, label = p.sum(2), p.sum(1), p.sum((1, 2))
    q: np.ndarray = left[:, :, None] * right[:, None] / np.where(label > 0, label, 1)[:, None, None]
    a, b, before, going = np.ones(left.shape), np.ones(right.shape), np.full(len(p), np.inf), np.arange(len(p))
    for step in range(steps):
        both = q[going].sum(3)
        # the scales of the step before are nearly right for this one
        a[going], b[going] = _scales(both, left[going], right[going], a[going], b[going], 3, 1e-9)
        q[going] = both[..., None] * a[going][:, :, None] * b[going][:, None]
        if step % 20 == 0:
            now = _mutual(q[going])
            still = before[going] - now >= tolerance
            before[going] = now
            going = going[still]
            if not len(going):
                break
    both = q.sum(3)
    a, b = _scales(both, left, right, a, b, 1000, 1e-12)
    return np.asarray(both[..., None] * a[:, :, None] * b[:, None])


def _scales(
    both: np.ndarray, left: np.ndarray, right: np.ndarray, a: np.ndarray, b: np.ndarray, most: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """a (M, A, Y), b (M, B, Y) with which both (M, A, B) x a x b has the pairs left and right, of their shapes: Sinkhorn 1967."""
    a, b, going = a.copy(), b.copy(), np.arange(len(both))
    seen = both @ b
    for _ in range(most):
        a[going] = _ratio(left, seen)
        b[going] = _ratio(right, both.transpose(0, 2, 1) @ a[going])
        seen = both @ b[going]
        far = np.abs(a[going] * seen - left).max((1, 2)) >= tolerance
        if not far.all():
            both, left, right, seen, going = both[far], left[far], right[far], seen[far], going[far]
        if not len(going):
            break
    return a, b


def _ratio(wanted: np.ndarray, there: np.ndarray) -> np.ndarray:
    scale: np.ndarray = np.divide(wanted, there, out=np.zeros(wanted.shape), where=there > 0)
    return scale


def _mutual(p: np.ndarray) -> np.ndarray:
    """I(Y; X1 X2) in bits of each p (M, A, B, Y)."""
    apart = p.sum(3, keepdims=True) * p.sum((1, 2), keepdims=True)
    told = (p > 0) & (apart > 0)
    found: np.ndarray = (p * np.log2(np.divide(p, apart, out=np.ones(p.shape), where=told))).sum((1, 2, 3))
    return found


def _table(x1: np.ndarray, x2: np.ndarray, y: np.ndarray, shape: tuple[int, ...] = ()) -> np.ndarray:
    counts = np.zeros(shape or (x1.max() + 1, x2.max() + 1, y.max() + 1))
    np.add.at(counts, (x1, x2, y), 1)
    table: np.ndarray = counts / len(y)
    return table


def _without_bias(one: Resampled) -> Resampled:
    value, low, high = (float(np.maximum(0.0, v - one.null)) for v in (one.value, one.low, one.high))
    return replace(one, value=value, low=low, high=high)
