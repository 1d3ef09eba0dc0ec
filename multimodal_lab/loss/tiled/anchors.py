"""Losses that need all candidates of an anchor at once: some anchors at a time, so that no matrix of all pairs exists."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from multimodal_lab.loss.precision import matmul
from multimodal_lab.loss.streams import equal
from multimodal_lab.loss.tiled.collectives import total
from multimodal_lab.loss.tiled.custom_grad import made
from multimodal_lab.loss.tiled.rows import Own, Side, everyone, gradient, local, own

BLOCK, ACCELERATED = 2**20, 2**24
"""Pairs that are compared at a time: a score holds some ten numbers of each."""

Score = Callable[..., tuple[Tensor, Tensor]]
"""Of m anchors and M candidates: cosine (m, M), positive and negative (m, M) bool, and the numbers that the loss is made
with, to the sum of what the anchors lose and how many terms that sum has. Plain torch: its gradient is autograd's."""

Numbers = Sequence[float | Tensor]


def both_ways(
    score: Score, a: Tensor, b: Tensor, ids: Tensor, present_a: Tensor, present_b: Tensor, *numbers: float | Tensor
) -> Tensor:
    """The mean over both directions of `score`'s mean over all anchors: a scalar, with a gradient to a, b and `numbers`.

    Row i of a (N, D) and of b (N, D) are one sample: ids (N,) or (N, K), equal ids are positives (`streams.equal`);
    present_* (N,) bool. Anchors are the rows of all DDP ranks, candidates likewise. A second derivative is refused. Every
    cosine is made twice, once a direction; memory is that of the rows and of `BLOCK` pairs.
    """

    def compute(wanted: bool) -> tuple[Tensor, list[Tensor]]:
        sides = own(a, ids, present_a), own(b, ids, present_b)
        found = []
        for anchors, candidates in (sides, sides[::-1]):
            every = everyone(candidates)
            value, weight, grads = _way(score, anchors, every, numbers, wanted)
            if wanted:
                grads[1] = gradient(candidates, every, grads[1], weight, everyones=True)
            found.append((value, grads))
        (there, x), (back, y) = found
        back_grads = [y[1], y[0], *y[2:]] if wanted else []
        return (there + back) / 2, [(one + other) / 2 for one, other in zip(x, back_grads, strict=True)]

    return made(compute, a, b, *numbers)


def one_way(
    score: Score,
    x: Tensor,
    ids: Tensor,
    present: Tensor,
    candidates: Side,
    *numbers: float | Tensor,
    exclude_self: bool = False,
) -> Tensor:
    """`score`'s mean over all anchors x (N, D), against candidates that take no gradient, alike on every rank.

    exclude_self leaves out the candidate that stands where the anchor does among the rows of all ranks.
    """

    def compute(wanted: bool) -> tuple[Tensor, list[Tensor]]:
        value, _, grads = _way(score, own(x, ids, present), candidates, numbers, wanted, exclude_self)
        return value, [grads[0], *grads[2:]] if wanted else []

    return made(compute, x, *numbers)


def _way(
    score: Score, anchors: Own, every: Side, numbers: Numbers, wanted: bool, exclude_self: bool = False
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The mean over the anchors of all ranks, and one's weight in it.

    Where `wanted` also the gradients of the anchors, of the candidates' unit rows over that weight (this rank's part), and of
    the numbers.
    """
    mine = local(anchors)
    leaves = [x.detach().requires_grad_(wanted) if isinstance(x, Tensor) else x for x in numbers]
    found = mine.sums(2 + len(leaves))  # of all ranks: lost, terms, the derivative by each number
    grad_mine, grad_every = mine.sums(*mine.unit.shape), every.sums(*every.unit.shape)
    step = max(1, (BLOCK if mine.unit.is_cpu else ACCELERATED) // max(1, len(every.ids)))
    for first in range(0, len(mine.ids) if len(every.ids) else 0, step):
        at = slice(first, first + step)
        cosine, positive, negative = _compare(mine, every, at, exclude_self)
        with torch.enable_grad():
            lost, count = score(cosine.requires_grad_(wanted), positive, negative, *leaves)
        found[:2] += torch.stack([lost.detach(), count.to(found.dtype)])
        if wanted:
            asked = [cosine, *(x for x in leaves if isinstance(x, Tensor))]
            pulled, *slopes = torch.autograd.grad(lost, asked, allow_unused=True, materialize_grads=True)
            places = [i for i, x in enumerate(leaves, 2) if isinstance(x, Tensor)]
            for i, slope in zip(places, slopes, strict=True):
                found[i] += slope
            grad_mine[at] = matmul(pulled, every.unit)
            grad_every += matmul(pulled.T, mine.unit[at])
    lost, count, *derivatives = total(found)
    weight = 1 / count.clamp(min=1)
    if not wanted:
        return lost * weight, weight, []
    return (
        lost * weight,
        weight,
        [gradient(anchors, mine, grad_mine, weight), grad_every, *(x * weight for x in derivatives)],
    )


def _compare(mine: Side, every: Side, at: slice, exclude_self: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine of some anchors with all candidates, which of them are positives and which negatives."""
    same = equal(mine.ids[at], every.ids)
    seen = torch.ones_like(same)
    if mine.seen is not None:
        seen &= mine.seen[at, None]
    if every.seen is not None:
        seen &= every.seen
    if exclude_self:
        seen &= (mine.place[at, None] + mine.first) != every.place
    return matmul(mine.unit[at], every.unit.T), same & seen, ~same & seen
