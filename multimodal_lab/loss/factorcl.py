"""FactorCL: shared and unique information between streams, by lower and upper bounds of mutual information."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from multimodal_lab.bounds import NonNegative, Positive
from multimodal_lab.keyed import Terms
from multimodal_lab.loss.contrastive import checked, info_nce, rows
from multimodal_lab.loss.precision import wide
from multimodal_lab.loss.streams import mean_of, required_pairs
from multimodal_lab.loss.views import halves

views = 2
samples = 2
below_zero = ("factorcl",)
pairs = True
joins = True
leaves_out = ("fused",)
weights = ("shared_weight", "unique_weight")
terms = ("shared", "unique", "critic")

# Where in z (N, 10, D) what of a factor stands, as head=factorcl gives it. Two numbers: of a row's own view, and of its other.
SHARED = (0,)
SHARED_CLUB, SHARED_CRITIC = (1, 2), (3, 4)
UNIQUE = (5,)
UNIQUE_GIVEN = (6, 7)
UNIQUE_CLUB, UNIQUE_CRITIC = (8,), (9,)


def factorcl(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    shared_weight: NonNegative,
    unique_weight: NonNegative,
    temperature: Positive | Tensor,
) -> Terms:
    """Mean over pairs of streams of `shared_weight`·S + `unique_weight`·U + C: a scalar (Liang et al. 2023).

    With x, y the streams and x', y' their other views, and each factor in a projection of its own:
    S = -I(x; y) + J(x; y | x', y'), U = -I(x; x') - I(y; y') - I(x; y | x', y') + J(x; y). I is the InfoNCE lower bound,
    here without its constant log N; J is NCE-CLUB, E[f(x, y)] of pairs less E[f(x, y)] of all rows with all, whose
    critic f is learnt by C, the InfoNCE of the same pairs, and does not move by S or U. "Given x', y'" is a critic of
    both views of a sample. Critics are cosines over `temperature`; each view in turn is x, and I the mean of both ways.

    z {name: (N, 10, D)} of head=factorcl; ids (N,), views stacked along N (`ValueError` if they are not, or where there
    is one stream); present {name: (N,) bool}. `shared`, `unique` and `critic` are logged apart.
    """
    half = halves(ids, "loss factorcl")
    found = [
        _Pair(z[a], z[b], ids, present[a], present[b], half, temperature) for a, b in required_pairs(z, "factorcl")
    ]
    parts = {
        "shared": mean_of(p.lower(SHARED) + p.upper(SHARED_CLUB) for p in found),
        "unique": mean_of(p.own() + p.lower(UNIQUE_GIVEN) + p.upper(UNIQUE_CLUB) for p in found),
        "critic": mean_of(p.lower(SHARED_CRITIC) + p.lower(UNIQUE_CRITIC) for p in found),
    }
    total = shared_weight * parts["shared"] + unique_weight * parts["unique"] + parts["critic"]
    return Terms(total, parts)


class _Pair:
    """Two streams x and y: (N, 10, D) and which rows are there, both views of N / 2 samples."""

    def __init__(
        self, x: Tensor, y: Tensor, ids: Tensor, has_x: Tensor, has_y: Tensor, half: int, temperature: float | Tensor
    ) -> None:
        self.sides = [(torch.where(has[:, None, None], wide(z), 0.0), has) for z, has in ((x, has_x), (y, has_y))]
        self.ids, self.half, self.temperature = ids, half, temperature
        self.ways = (slice(half), slice(half, None)), (slice(half, None), slice(half))

    def lower(self, at: tuple[int, ...]) -> Tensor:
        """-I(x; y), or given the other views where `at` are two."""
        found = []
        for here, other in self.ways:
            (x, has_x), (y, has_y) = (self._seen(side, at, here, other) for side in self.sides)
            ids = self.ids[here]
            found.append(info_nce(x, y, ids, ids, self.temperature, present_a=has_x, present_b=has_y))
        return mean_of(found)

    def upper(self, at: tuple[int, ...]) -> Tensor:
        """J(x; y), or given the other views where `at` are two, over the rows that have both."""
        scale, found = 1 / checked(self.temperature), []
        for here, other in self.ways:
            (x, has_x), (y, has_y) = (self._seen(side, at, here, other) for side in self.sides)
            both = has_x & has_y
            u, v = rows(x, self.ids[here], both), rows(y, self.ids[here], both)
            count = u.present.sum().clamp(min=1)
            # the mean over all rows with all is the product of the means: a cosine is linear in each side
            found.append(((u.unit * v.unit).sum() / count - (u.unit.sum(0) / count) @ (v.unit.sum(0) / count)) * scale)
        return mean_of(found)

    def own(self) -> Tensor:
        """-I(x; x') - I(y; y')."""
        (one, other), ids = self.ways[0], self.ids[: self.half]
        found = [
            info_nce(
                x[one, UNIQUE[0]], x[other, UNIQUE[0]], ids, ids, self.temperature,
                present_a=has[one], present_b=has[other],
            )
            for x, has in self.sides
        ]  # fmt: skip
        return torch.stack(found).sum()

    def _seen(
        self, side: tuple[Tensor, Tensor], at: tuple[int, ...], here: slice, other: slice
    ) -> tuple[Tensor, Tensor]:
        x, has = side
        if len(at) == 1:
            return x[here, at[0]], has[here]
        return x[here, at[0]] + x[other, at[1]], has[here] & has[other]
