"""What a loss compares: each named output with itself, or pairs of streams, weighted; and which of their rows are positives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from multimodal_lab.loss.pair_weights import FUSED as FUSED
from multimodal_lab.loss.pair_weights import Hub, PairError, PairWeights, weigh
from multimodal_lab.types import Batch

TextIds = Mapping[str, Tensor] | None


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


def pair_ids(ids: Tensor, text_ids: TextIds, *names: str) -> Tensor:
    """What two rows are compared by in these streams, (N,) or (N, K): positives are equal in any column.

    text_ids {stream: (N, K)}, of streams of text: all that `ids` say, and the text, as `Keyed` gives them; None: by ids alone. So
    a text that several images hold is right for each of them, and never the negative of one.
    """
    columns = [text_ids[name] for name in dict.fromkeys(names) if name in text_ids] if text_ids else []
    if not columns:
        return ids
    found = torch.cat(columns, 1)
    return found[:, 0] if found.shape[1] == 1 else found


def equal(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) bool: which rows of a (N,) or (N, K) and b (M,) or (M, K) are equal in any column."""
    if a.ndim == 1:
        return a[:, None] == b
    found = a[:, :1] == b[:, 0]
    for column in range(1, a.shape[1]):
        found |= a[:, column, None] == b[:, column]
    return found


def as_judged(batch: Batch) -> Batch:
    """The batch as losses see it: ids (N,) of what rows show, and text_ids (N, K), which say that, too, and the text."""
    # one sample has one text in all its views, so that the text says all that its id does; captions of one image differ
    ids = [] if batch.same is None else [batch.same[:, None]]
    text_ids = {name: torch.cat([x[:, :1], *ids], 1) for name, x in batch.text_ids.items()}
    return batch.replace(ids=batch.ids if batch.same is None else batch.same, text_ids=text_ids)
