"""SupCon: supervised contrastive loss, positives are the rows of one class, within a name or across streams."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.contrastive import info_nce
from multimodal_lab.loss.pair_weights import Hub, PairWeights
from multimodal_lab.loss.simclr import simclr
from multimodal_lab.loss.streams import mean_over_pairs
from multimodal_lab.loss.views import Between, known_between

samples = 2
pairs = {"between": {"views": False, "modalities": True, "both": True}}
joins = {"between": {"views": False, "modalities": True, "both": True}}
leaves_out = {"between": {"modalities": ("fused",)}}


def supcon(
    z: Mapping[str, Tensor],
    ids: Tensor,
    present: Mapping[str, Tensor],
    temperature: Positive | Tensor,
    between: Between = "views",
    hub: Hub = None,
    pair_weights: PairWeights = None,
) -> Tensor:
    """The supervised contrastive loss (Khosla 2020, eq. 2): a scalar.

    between: views, the mean over names of each with itself; modalities, the mean over pairs of streams, both directions: an
    image's positives are all texts of its class, its own among them, and all other texts its negatives (Yang 2022, UniCL,
    eq. 3), with hub and pair_weights (`weigh`); both, the mean of these two. z {name: (N, D)}; ids (N,) class index, -1
    where the label is missing; present {name: (N,) bool}. A row without a label is left out altogether: as a negative it
    could be of the anchor's own class. `ValueError` for fewer than two streams where they are compared.
    """
    known_between("supcon", between)
    there = {name: present[name] & (ids >= 0) for name in z}
    found = []
    if between != "modalities":
        found.append(simclr(z, ids, there, temperature))
    if between != "views":

        def term(a: str, b: str) -> Tensor:
            return info_nce(z[a], z[b], ids, ids, temperature, present_a=there[a], present_b=there[b])

        found.append(mean_over_pairs(term, z, "supcon", hub, pair_weights))
    return sum(found[1:], found[0]) / len(found)
