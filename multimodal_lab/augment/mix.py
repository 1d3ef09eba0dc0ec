"""Mixup and CutMix: two samples of a batch become one, and their labels a share of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from multimodal_lab.augment.batchwise import Batchwise
from multimodal_lab.augment.draw import Draw, tables
from multimodal_lab.augment.op import listed, number
from multimodal_lab.bounds import Fraction, Positive
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Batch, Stream

_STEPS = 4096


@tables(8)
def _quantiles(alpha: float, device: torch.device) -> Tensor:
    """The quantiles of Beta(alpha, alpha) at the middles of 4096 equal steps."""
    from scipy.special import betaincinv

    steps = (torch.arange(_STEPS, dtype=torch.float64) + 0.5) / _STEPS
    return torch.from_numpy(betaincinv(alpha, alpha, steps.numpy())).float().to(device)


class Mixing(Batchwise):
    """A row keeps the share λ ~ Beta(`alpha`, `alpha`) of itself and takes the rest from another row, with chance `p`.

    `label`, (N,) class index or (N, K), becomes (N, K) float, a share of each class; all -1 where it is missing. A row is
    mixed only with one that has the same streams, if both have a label. Partners are the rows of this rank's batch in a
    drawn circle.
    """

    adds_targets: ClassVar = {"label": "(N, K) float"}
    names: ClassVar = {"label": "label"}
    kinds: tuple[str, ...] = ()

    def __init__(self, *, label: str, alpha: Positive = 1.0, p: Fraction = 1.0) -> None:
        self.alpha = number(f"{type(self).__name__}: alpha", alpha, 1e-3)
        self.p = number(f"{type(self).__name__}: p", p, 0.0, 1.0)
        self.label, self.count = label, 0
        self.streams: Mapping[str, Stream] = {}

    def prepare(self, name: str, streams: Mapping[str, Stream], classes: Mapping[str, int]) -> None:
        """How many classes the label has, and whether every stream can be mixed."""
        for stream in streams.values():
            if stream.kind not in self.kinds:
                raise ValueError(
                    f"augment.ops.{name} mixes {' and '.join(self.kinds)} streams; {listed(streams)}. Remove it"
                )
        if not (count := classes.get(self.label)):
            hint = (
                expected_one_of(self.label, [k for k, n in classes.items() if n])
                if classes
                else "the data have no classes"
            )
            raise ValueError(f"augment.ops.{name}.label={self.label} is no label of classes; {hint}")
        self.count, self.streams = count, dict(streams)

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        """The batch with mixed inputs, mask and label."""
        labels = self._shares(batch.targets[self.label])
        partner = circle(draw.fold("partner").uniform(1)[:, 0])
        same = torch.stack([there == there[partner] for there in batch.present.values()]).all(0)
        known = (labels >= 0).all(1)
        on = (draw.fold("p").uniform(1)[:, 0] < self.p) & same & known & known[partner]
        share = _quantiles(self.alpha, labels.device)[(draw.fold("share").uniform(1)[:, 0] * _STEPS).long()]
        mixed, share = self.mix(batch, partner, on, torch.where(on, share, 1.0), draw)
        both = share[:, None] * labels + (1 - share[:, None]) * labels[partner]
        return mixed.replace(targets={**batch.targets, self.label: torch.where(on[:, None], both, labels)})

    def mix(self, batch: Batch, partner: Tensor, on: Tensor, share: Tensor, draw: Draw) -> tuple[Batch, Tensor]:
        """The batch with inputs and mask mixed where `on` (N,), and the share (N,) of itself that each row has kept."""
        raise NotImplementedError

    def _shares(self, target: Tensor) -> Tensor:
        if target.ndim == 2:
            return torch.where((target >= 0).all(1, keepdim=True), target.float(), -1.0)  # NaN is not >= 0
        hot = (target[:, None] == torch.arange(self.count, device=target.device)).float()
        return torch.where(target[:, None] >= 0, hot, -1.0)


class Mixup(Mixing):
    """x = λ x_i + (1 - λ) x_j of every stream, and so the label (Zhang et al. 2018, mixup, eq. 1).

    The mask is that of both, and a step is valid that is so in either.
    """

    kinds = ("image", "vector")

    def mix(self, batch: Batch, partner: Tensor, on: Tensor, share: Tensor, draw: Draw) -> tuple[Batch, Tensor]:
        """Weighted sums; a row that is not mixed keeps its bits."""

        def sums(x: Tensor) -> Tensor:
            own = _like(share, x).to(x.dtype)
            return own * x + (1 - own) * x[partner]

        return _where(batch, partner, on, sums, lambda m: torch.maximum(m, m[partner])), share


class CutMix(Mixing):
    """A box of area 1 - λ, at one place in every image stream, is the other sample's (Yun et al. 2019, CutMix, eq. 1).

    The label takes the box's share in pixels, of the first image stream.
    """

    kinds = ("image",)

    def mix(self, batch: Batch, partner: Tensor, on: Tensor, share: Tensor, draw: Draw) -> tuple[Batch, Tensor]:
        """Boxes of the inputs and of the mask."""
        centre, side = draw.fold("box").uniform(2), (1 - share).sqrt()

        def inside(x: Tensor) -> Tensor:
            """(N, 1, H, W) bool, of a video (N, 1, 1, H, W)."""
            spans = []
            for axis, size in enumerate(x.shape[-2:]):
                at, half = centre[:, axis] * size, side * size / 2
                places = torch.arange(size, device=x.device) + 0.5
                spans.append((places - at[:, None]).abs() < half[:, None])
            box = spans[0][:, :, None] & spans[1][:, None, :]
            return box.reshape(len(box), *[1] * (x.dim() - 3), *box.shape[1:])

        def pasted(x: Tensor) -> Tensor:
            return torch.where(inside(x), x[partner], x)

        kept = 1 - inside(next(iter(batch.inputs.values()))).float().flatten(1).mean(1)
        return _where(batch, partner, on, pasted, pasted), kept


def circle(u: Tensor) -> Tensor:
    """(N,) the partner of each row: the next one in the order of `u` (N,), the last one's being the first."""
    order = u.argsort(stable=True)
    partner = torch.empty_like(order)
    partner[order] = order.roll(-1)
    return partner


def _where(
    batch: Batch,
    partner: Tensor,
    on: Tensor,
    change: Callable[[Tensor], Tensor],
    change_mask: Callable[[Tensor], Tensor],
) -> Batch:
    inputs = {k: torch.where(_like(on, x), change(x), x) for k, x in batch.inputs.items()}
    mask = None if batch.mask is None else torch.where(_like(on, batch.mask), change_mask(batch.mask), batch.mask)
    valid = {k: torch.where(on[:, None], real | real[partner], real) for k, real in batch.valid.items()}
    return batch.replace(inputs=inputs, mask=mask, valid=valid)


def _like(rows: Tensor, x: Tensor) -> Tensor:
    return rows.view(-1, *[1] * (x.ndim - 1))
