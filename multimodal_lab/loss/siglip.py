"""SigLIP: sigmoid loss on each pair of rows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.contrastive import ContrastiveRows, few, own_class, rows
from multimodal_lab.loss.pair_weights import Hub, PairWeights
from multimodal_lab.loss.pairs import compare
from multimodal_lab.loss.streams import TextIds, mean_over_pairs, pair_ids
from multimodal_lab.loss.tiled import float16, gpu
from multimodal_lab.loss.tiled.collectives import total
from multimodal_lab.loss.tiled.custom_grad import made
from multimodal_lab.loss.tiled.rows import Own, everyone, gradient, local, own
from multimodal_lab.loss.tiled.tiles import Tile, Tiles

pairs = True
samples = 2
leaves_out = ("fused",)  # it has seen both sides of any pair


def siglip(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    scale: Positive | Tensor,
    bias: float | Tensor,
    hub: Hub = None,
    pair_weights: PairWeights = None,
    text_ids: TextIds = None,
) -> Tensor:
    """Mean over pairs of streams of the sigmoid loss (Zhai 2023, eq. 1): a scalar.

    -1/B · sum over i, j of log sigmoid(y_ij (scale · cos_ij + bias)), y = 1 where ids are equal and -1 elsewhere; B is
    the number of rows, where some are missing the mean of the two streams' present rows. z {name: (N, D)}, ids (N,),
    present {name: (N,) bool}; `fused` is left out. Published start: scale 10, bias -10, both learned. hub,
    pair_weights: `weigh`. text_ids: see `pair_ids`. Fewer than two streams is a `ValueError`.
    """

    def term(a: str, b: str) -> Tensor:
        return _pair(z[a], z[b], pair_ids(ids, text_ids, a, b), present[a], present[b], scale, bias)

    return mean_over_pairs(term, z, "siglip", hub, pair_weights)


def _pair(
    a: Tensor,
    b: Tensor,
    ids: Tensor,
    present_a: Tensor,
    present_b: Tensor,
    scale: float | Tensor,
    bias: float | Tensor,
) -> Tensor:
    ids = own_class(b, own_class(a, ids))  # row i of both sides is one sample
    if few(a, b):
        return _whole(rows(a, ids, present_a), rows(b, ids, present_b), scale, bias)
    return made(
        lambda wanted: _tiled(own(a, ids, present_a), own(b, ids, present_b), scale, bias, wanted), a, b, scale, bias
    )


def _whole(a: ContrastiveRows, b: ContrastiveRows, scale: float | Tensor, bias: float | Tensor) -> Tensor:
    """The value by one matrix of all pairs."""
    cosine, positive, negative = compare(a, b)
    logits = scale * cosine + bias
    kept = F.logsigmoid(torch.where(positive, logits, -logits))
    count = (a.present.sum() + b.present.sum()).clamp(min=2) / 2
    return -torch.where(positive | negative, kept, 0.0).sum() / count


def _tiled(a: Own, b: Own, scale: float | Tensor, bias: float | Tensor, wanted: bool) -> tuple[Tensor, list[Tensor]]:
    """The value; where `wanted`, the gradients of both inputs, of scale and of bias, in the same pass."""
    mine, every = local(a), everyone(b)
    tiles, told = Tiles(mine, every), mine.sums(3)  # of all ranks: lost, bias' gradient, scale's gradient
    grad_a, grad_b = mine.sums(*mine.unit.shape), every.sums(*every.unit.shape)
    count = total((a.present.sum() + b.present.sum()).to(told.dtype)).clamp(min=2) / 2
    lift = float16.LIFT if mine.unit.dtype == torch.float16 else 1.0
    grads = (grad_a, grad_b) if wanted else None
    if mine.ids.ndim == 1 and gpu.wanted(mine.unit):
        gpu.Questions(tiles, scale, bias, lift).answer(told, grads)
    else:
        _answer(tiles, scale, bias, lift, told, grads)
    told[2] = (grad_a * mine.unit).sum() / lift
    value, bias_slope, slope = total(told) / count
    if not wanted:
        return value, []
    factor = scale / count / lift
    pulled = gradient(a, mine, grad_a, factor)
    del mine, grad_a, tiles  # before the other side asks for as much
    return value, [pulled, gradient(b, every, grad_b, factor, everyones=True), slope, bias_slope]


def _answer(
    tiles: Tiles,
    scale: float | Tensor,
    bias: float | Tensor,
    lift: float,
    told: Tensor,
    grads: tuple[Tensor, Tensor] | None,
) -> None:
    """What `gpu.Questions.answer` adds, tile by tile."""
    for block in tiles:
        kept, weights = _tile(tiles, block, scale, bias)
        told[0] -= kept.sum()
        if grads is None:
            continue
        told[1] += weights.sum()
        if lift != 1.0:
            weights *= lift
        float16.add_product(grads[0][block.rows], weights, tiles.b.unit[block.columns])
        float16.add_product(grads[1][block.columns], weights.T, tiles.a.unit[block.rows])


def _tile(tiles: Tiles, block: Tile, scale: float | Tensor, bias: float | Tensor) -> tuple[Tensor, Tensor]:
    """log sigmoid of each pair of a tile, and its loss's derivative by the logit; both 0 where a row is missing."""
    mask = tiles.mask(block)
    logits = tiles.logits(block, scale, None).add_(bias)
    sign = None if mask is None else 1 - 2 * mask.positive
    if sign is not None:
        logits *= sign
    kept = F.logsigmoid(-logits)
    weights = logits.sigmoid_()
    if sign is not None:
        weights *= sign
    if mask is not None and mask.hidden is not None:
        kept, weights = kept.masked_fill_(mask.hidden, 0.0), weights.masked_fill_(mask.hidden, 0.0)
    return kept, weights
