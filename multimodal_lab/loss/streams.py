"""Which named outputs a loss compares: each with itself, or pairs of streams, weighted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from multimodal_lab.loss.pair_weights import FUSED as FUSED
from multimodal_lab.loss.pair_weights import Hub, PairError, PairWeights, weigh


def stream_pairs(z: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Every unordered pair of names but `fused`, which has seen both sides of any pair."""
    return list(weigh(z))


def required_pairs(
    z: Mapping[str, Tensor], loss: str, hub: Hub = None, pair_weights: PairWeights = None
) -> dict[tuple[str, str], float]:
    """{(a, b): weight} of the pairs that `loss` compares (`weigh`), at least one.

    `ValueError` where there are fewer than two streams, and for a hub or a pair that they do not have.
    """
    try:
        pairs = weigh(z, hub, pair_weights)
    except PairError as error:
        raise ValueError(f"loss {loss}: {error}") from None
    if not pairs:
        found = ", ".join(z) or "nothing"
        raise ValueError(
            f"loss {loss} compares two streams or more, found {found}; for a single stream use a loss of two views"
        )
    return pairs


def mean_over_pairs(
    term: Callable[[str, str], Tensor],
    z: Mapping[str, Tensor],
    loss: str,
    hub: Hub = None,
    pair_weights: PairWeights = None,
) -> Tensor:
    """The mean of `term(a, b)` over the pairs of streams, each by its weight: sum of w · term / sum of w, a scalar."""
    pairs = required_pairs(z, loss, hub, pair_weights)
    terms = torch.stack([term(a, b) for a, b in pairs])
    if len({*pairs.values()}) == 1:
        return terms.mean()
    weights = terms.new_tensor(list(pairs.values()))
    return (weights * terms).sum() / weights.sum()


def mean_of(terms: Iterable[Tensor]) -> Tensor:
    """The mean of scalars, one or more."""
    return torch.stack(list(terms)).mean()
