"""Momentum contrast: rows against the keys of an EMA teacher, and a queue of its earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import Count, Positive
from multimodal_lab.device.compiler import opaque
from multimodal_lab.loss.contrastive import checked
from multimodal_lab.loss.hard_negatives import lost_by
from multimodal_lab.loss.pair_weights import FUSED, Hub, PairWeights
from multimodal_lab.loss.queue import Queue, gathered
from multimodal_lab.loss.streams import TextIds, mean_of, mean_over_pairs
from multimodal_lab.loss.tiled.anchors import one_way
from multimodal_lab.loss.views import Between, known_between


class Moco(nn.Module):
    """InfoNCE of what the student says with keys of the teacher, of this batch and of the last `queue` before it.

    between: modalities, each stream with the keys of another, both directions of every pair (Li 2021, ALBEF, eq. 1, without
    its soft targets), with hub and pair_weights (`weigh`); views, each name with its own keys but that of the row itself (He
    2020, eq. 1, both views in turn); both, the mean of these. in_batch: whether other samples' keys of this batch are
    negatives, as in ALBEF, or those of the queue alone, as in He 2020. Equal ids are positives, also in the queue. The queue
    moves in training alone. dim: the width D of the keys.
    """

    views: ClassVar = {"between": {"views": 2, "modalities": 1, "both": 2}}
    pairs: ClassVar = {"between": {"views": False, "modalities": True, "both": True}}
    joins: ClassVar = {"between": {"views": False, "modalities": True, "both": True}}
    leaves_out: ClassVar = {"between": {"modalities": ("fused",)}}
    unaveraged = ("queue",)

    def __init__(
        self,
        *,
        queue: Count = 4096,
        dim: Count = 128,
        between: Between = "modalities",
        in_batch: bool = True,
        hub: Hub = None,
        pair_weights: PairWeights = None,
    ) -> None:
        super().__init__()
        known_between("moco", between)
        self.between, self.in_batch, self.hub, self.pair_weights = between, in_batch, hub, pair_weights
        self.queue, self.ready = Queue(queue, dim), False

    def prepare(self, names: Mapping[str, int]) -> None:
        """Make the queue of each name that is compared."""
        self.queue.prepare(self._names(names))
        self.ready = True

    @opaque  # collectives, and buffers that change
    def forward(
        self,
        z: Mapping[str, Tensor],
        keys: Mapping[str, Tensor],
        ids: Tensor,
        present: Mapping[str, Tensor],
        temperature: Positive | Tensor,
        text_ids: TextIds = None,
    ) -> Tensor:
        """z, keys {name: (N, D)} of student and teacher, ids (N,), present {name: (N,) bool}, to a scalar. text_ids: `pair_ids`.

        `ValueError` for fewer than two streams where they are compared, and for keys that are not as wide as the queue.
        """
        names = self._names(z)
        if not self.ready:
            self.queue.to(ids.device).prepare(names)
            self.queue.to(ids.device)
            self.ready = True
        for name in names:
            if keys[name].shape[1] != self.queue.dim:
                raise ValueError(
                    f"loss moco: keys of {name} are {keys[name].shape[1]} wide, and the queue {self.queue.dim}; "
                    f"give loss.fn.dim={keys[name].shape[1]}"
                )
        texts = {name: text_ids[name][:, 0] if text_ids and name in text_ids else ids for name in names}
        found = {name: gathered(keys[name], ids, present[name], texts[name]) for name in names}
        scale = 1 / checked(temperature)
        queued = self.queue.side(names[0], names[0], found).place < 0

        def score(cosine: Tensor, positive: Tensor, negative: Tensor, scale: float | Tensor) -> tuple[Tensor, Tensor]:
            return lost_by(scale * cosine, positive, negative if self.in_batch else negative & queued)

        def way(a: str, b: str) -> Tensor:
            own = torch.stack([ids, texts[b], texts[a]], 1)
            return one_way(score, z[a], own, present[a], self.queue.side(b, a, found), scale, exclude_self=a == b)

        terms = []
        if self.between != "modalities":
            terms.append(mean_of(way(name, name) for name in names))
        if self.between != "views":
            terms.append(
                mean_over_pairs(lambda a, b: (way(a, b) + way(b, a)) / 2, z, "moco", self.hub, self.pair_weights)
            )
        if self.training:
            self.queue.push(found)
        return mean_of(terms)

    def _names(self, names: Mapping[str, object]) -> list[str]:
        return [name for name in names if self.between != "modalities" or name != FUSED]
