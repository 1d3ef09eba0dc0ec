"""What two modalities tell of a label: both alike, one alone, or only the two together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from multimodal_lab.stats.resample import Resampled, resampled_parts


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
    p = np.asarray(p, float)
    if p.ndim != 3 or (p < 0).any() or not np.isclose(p.sum(), 1):
        raise ValueError(f"p is {p.shape} and sums to {p.sum():g}, expected a distribution (A, B, Y)")
    least = _mutual(_least(p, steps, tolerance))
    whole, one, two = _mutual(p), _mutual(p.sum(1, keepdims=True)), _mutual(p.sum(0, keepdims=True))
    # convergence stops a little above the minimum; the parts are never below 0
    least = min(max(least, one, two), whole) if whole >= max(one, two) else whole
    return Information(one + two - least, least - two, least - one, whole - least)


def estimate(x1: np.ndarray, x2: np.ndarray, y: np.ndarray, permutations: int = 20, seed: int = 0) -> Information:
    """The decomposition of samples: x1, x2, y (N,) whole numbers (see `codes`), with the bias of small samples taken off.

    Empty cells make any table look informative: the plug-in parts under permuted labels (their mean over `permutations`) are
    what the table's size alone brings, most of it synergy. They are subtracted, and the result cut at 0. Give codes of
    predictions of a model of each modality only where synergy doesn't matter: such a prediction keeps nothing of what
    one modality tells only with the other.
    """
    x1, x2, y = (np.unique(np.asarray(v), return_inverse=True)[1] for v in (x1, x2, y))
    if not len(x1) == len(x2) == len(y) > 0:
        raise ValueError(f"x1, x2, y have {len(x1)}, {len(x2)}, {len(y)} samples, expected the same number")
    found, draw = _parts(decompose(_table(x1, x2, y), tolerance=1e-6)), np.random.default_rng(seed)
    if permutations:
        chance = [_parts(decompose(_table(x1, x2, draw.permutation(y)), 500, 1e-5)) for _ in range(permutations)]
        found = np.maximum(found - np.mean(chance, axis=0), 0)
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

    Label permuted: `null` is what the size of the table alone brings; value and interval have it taken off. See
    `resampled` for how groups (N,) are drawn.
    """

    def parts(sources: np.ndarray, label: np.ndarray) -> np.ndarray:
        table = _table(*(np.unique(v, return_inverse=True)[1] for v in (*sources.T, label[:, 0])))
        return _parts(decompose(table, 500, 1e-5))

    found = resampled_parts(
        parts, np.stack([x1, x2], 1), np.asarray(y)[:, None], groups, draws=draws, permutations=permutations, seed=seed
    )
    names = ("redundant", "unique1", "unique2", "synergy")
    return {name: _without_bias(one) for name, one in zip(names, found, strict=True)}


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
    """The q with p's (X1, Y) and (X2, Y) pairs that tells least of Y, by alternating projections."""
    left, right, label = p.sum(1), p.sum(0), p.sum((0, 1))
    q: np.ndarray = left[:, None, :] * right[None, :, :] / np.where(label > 0, label, 1)
    a, b, before = np.ones_like(left), np.ones_like(right), np.inf
    for step in range(steps):
        both = q.sum(2, keepdims=True)
        # the scales of the step before are nearly right for this one
        a, b = _scales(both, left, right, a, b, 3, 1e-9)
        q = both * a[:, None, :] * b[None, :, :]
        if step % 20 == 0:
            now = _mutual(q)
            if before - now < tolerance:
                break
            before = now
    both = q.sum(2, keepdims=True)
    a, b = _scales(both, left, right, a, b, 1000, 1e-12)
    return np.asarray(both * a[:, None, :] * b[None, :, :])


def _scales(
    both: np.ndarray, left: np.ndarray, right: np.ndarray, a: np.ndarray, b: np.ndarray, most: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """a (A, Y), b (B, Y) with which both (A, B, 1) x a x b has the pairs left (A, Y) and right (B, Y): Sinkhorn 1967."""
    plain = both[:, :, 0]
    for _ in range(most):
        a = _ratio(left, plain @ b)
        b = _ratio(right, plain.T @ a)
        if np.abs(a * (plain @ b) - left).max() < tolerance:
            break
    return a, b


def _ratio(wanted: np.ndarray, there: np.ndarray) -> np.ndarray:
    scale: np.ndarray = np.divide(wanted, there, out=np.zeros_like(wanted), where=there > 0)
    return scale


def _mutual(p: np.ndarray) -> float:
    """I(Y; X1 X2) in bits of p (A, B, Y)."""
    apart = p.sum(2, keepdims=True) * p.sum((0, 1))
    told = (p > 0) & (apart > 0)
    return float((p[told] * np.log2(p[told] / apart[told])).sum())


def _table(x1: np.ndarray, x2: np.ndarray, y: np.ndarray) -> np.ndarray:
    counts = np.zeros((x1.max() + 1, x2.max() + 1, y.max() + 1))
    np.add.at(counts, (x1, x2, y), 1)
    table: np.ndarray = counts / len(y)
    return table


def _without_bias(one: Resampled) -> Resampled:
    off = 0.0 if np.isnan(one.null) else one.null
    value, low, high = (max(0.0, v - off) for v in (one.value, one.low, one.high))
    return replace(one, value=value, low=low, high=high)


def _parts(found: Information) -> np.ndarray:
    return np.array([found.redundant, found.unique1, found.unique2, found.synergy])
