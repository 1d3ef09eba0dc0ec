"""Rows of one and the same text are positives of each other in every contrastive loss, against the papers' loops."""

from functools import partial

import loss_oracle as oracle
import pytest
import torch
from loss_oracle import assert_same, value_and_gradients

from multimodal_lab.head.match import Match
from multimodal_lab.keyed import Keyed
from multimodal_lab.loss import contrastive
from multimodal_lab.loss.clip import clip
from multimodal_lab.loss.cross_modal import cross_modal
from multimodal_lab.loss.dcl import dcl
from multimodal_lab.loss.moco import Moco
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.loss.simclr import simclr
from multimodal_lab.loss.streams import as_judged
from multimodal_lab.loss.tiled import tiles
from multimodal_lab.loss.triplet import triplet
from multimodal_lab.types import Batch, Features

N = 8
NAMES = ("image", "en", "fr")
SAME = torch.tensor([0, 1, 2, 3, 4, 0, 6, 2])  # two captions of one image
TEXTS = {"en": torch.tensor([0, 1, 1, 3, 4, 5, 4, 4]), "fr": torch.tensor([9, 8, 7, 7, 5, 8, 3, 1])}
PRESENT = {"image": torch.arange(N) != 6, "en": torch.ones(N, dtype=torch.bool), "fr": torch.arange(N) != 2}


class Row(tuple):
    """What one row is told apart by: equal to another in any place."""

    def __eq__(self, other):
        return any(x == y for x, y in zip(self, other, strict=True))

    def __ne__(self, other):
        return not self == other

    __hash__ = None


class Ids(list):
    """Ids for the oracles, whose equality is that of `Row`."""

    def tolist(self):
        return list(self)


def batch(same):
    there = {name: x.clone() for name, x in PRESENT.items()}
    ids = torch.arange(100, 100 + N)
    inputs = {name: torch.zeros(N, 1) for name in NAMES}
    return Batch(inputs, {}, there, ids, ids, same=SAME if same else None,
                 text_ids={name: torch.stack([x, x + 50], 1) for name, x in TEXTS.items()})  # fmt: skip


def ids_of(same, *names):
    ids = SAME if same else torch.arange(N)
    return Ids(map(Row, zip(ids.tolist(), *(TEXTS[n].tolist() for n in names if n in TEXTS), strict=True)))


def over_pairs(one):
    """The mean of a loss of two streams over the three pairs."""
    return lambda z, same: oracle.mean(
        one({n: z[n] for n in two}, ids_of(same, *two), {n: PRESENT[n] for n in two})
        for two in (("image", "en"), ("image", "fr"), ("en", "fr"))
    )


def each(one):
    """The mean of a loss of one stream over the three."""
    return lambda z, same: oracle.mean(one({n: z[n]}, ids_of(same, n), {n: PRESENT[n]}) for n in z)


CASES = {
    "clip": (clip, {"temperature": 0.2}, over_pairs(lambda *a: oracle.clip(*a, 0.2))),
    "hard_clip": (clip, {"temperature": 0.3, "hardness": 0.5}, over_pairs(lambda *a: oracle.hard_clip(*a, 0.3, 0.5))),
    "siglip": (siglip, {"scale": 5.0, "bias": -2.0}, over_pairs(lambda *a: oracle.siglip(*a, 5.0, -2.0))),
    "hardest": (triplet, {"margin": 0.3}, over_pairs(lambda *a: oracle.triplet(*a, 0.3))),
    "semi_hard": (partial(triplet, mining="semi_hard"), {"margin": 0.3},
                  over_pairs(lambda *a: oracle.triplet(*a, 0.3, mining="semi_hard"))),
    "simclr": (simclr, {"temperature": 0.2}, each(lambda *a: oracle.simclr(*a, 0.2))),
    "cross_modal": (cross_modal, {"cross_weight": 1.0, "intra_weight": 0.5, "temperature": 0.2},
                    lambda z, same: over_pairs(lambda *a: oracle.clip(*a, 0.2))(z, same)
                    + 0.5 * each(lambda *a: oracle.simclr(*a, 0.2))(z, same)),
    "dcl": (dcl, {"temperature": 0.2}, each(lambda *a: oracle.dcl(*a, 0.2))),
}  # fmt: skip


@pytest.fixture(params=["whole", "tiles"])
def same(request, monkeypatch):
    """Whether captions of one image are there too; then by tiles, else by one matrix."""
    if request.param == "tiles":
        monkeypatch.setattr(contrastive, "FEW", 0)
        monkeypatch.setattr(tiles, "EDGE", 3)
    return request.param == "tiles"


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients_are_the_papers(name, same):
    fn, settings, expected = CASES[name]
    g = torch.Generator().manual_seed(1)
    leaves = [torch.randn(N, 4, generator=g, dtype=torch.float64) for _ in NAMES]
    judged = as_judged(batch(same))
    loss = Keyed(fn, z="z", ids="batch.ids", present="present", text_ids="batch.text_ids", **settings)

    def ours(*z):
        return loss({"batch": judged, "present": PRESENT, "z": dict(zip(NAMES, z, strict=True))})

    found = value_and_gradients(ours, *leaves)
    assert_same(found, value_and_gradients(lambda *z: expected(dict(zip(NAMES, z, strict=True)), same), *leaves), 1e-9)
    loss.paths.pop("text_ids")
    assert abs(found[0] - value_and_gradients(ours, *leaves)[0]) > 1e-3  # by ids alone it is another number


def test_labels_for_ids_are_kept_beside_the_texts():
    """What is of one class is positive, and what holds one text."""
    given = batch(same=True).replace(targets={"kind": torch.tensor([0, 1, 0, -1, 2, 2, -1, 3])})
    z = {n: torch.randn(N, 4, generator=torch.Generator().manual_seed(i)).double() for i, n in enumerate(NAMES[:2])}
    loss = Keyed(clip, z="z", ids="batch.targets.kind", present="present", text_ids="batch.text_ids", temperature=0.2)
    scope = {"batch": as_judged(given), "present": PRESENT, "z": z}
    kinds = [-10 - i if k == -1 else k for i, k in enumerate(given.targets["kind"].tolist())]
    rows = Ids(map(Row, zip(kinds, TEXTS["en"].tolist(), SAME.tolist(), strict=True)))
    torch.testing.assert_close(loss(scope), oracle.clip(z, rows, PRESENT, 0.2))


def test_old_keys_of_the_queue_are_told_by_their_texts_too():
    """Two steps of two halves: the second half's anchors meet the keys of the first."""
    moco = Moco(queue=N // 2, dim=4).train()
    g = torch.Generator().manual_seed(2)
    two = ("image", "en")
    z, keys = ({n: torch.randn(N, 4, generator=g).double() for n in two} for _ in range(2))
    judged = as_judged(batch(same=True))
    for half in (torch.arange(N // 2), torch.arange(N // 2, N)):
        found = moco({n: x[half] for n, x in z.items()}, {n: x[half] for n, x in keys.items()}, judged.ids[half],
                     {n: PRESENT[n][half] for n in two}, 0.2, {n: x[half] for n, x in judged.text_ids.items()})  # fmt: skip
    rows, late = ids_of(True, "en"), list(range(N // 2, N))
    ways = [oracle.one_way(z[a][late], keys[b], [rows[i] for i in late], rows, 0.2, PRESENT[a][late], PRESENT[b], False)
            for a, b in (two, two[::-1])]  # fmt: skip
    torch.testing.assert_close(found, oracle.mean(ways), rtol=1e-6, atol=1e-6)


def test_what_holds_the_same_text_is_no_pair_that_does_not_match():
    """The hardest negative of each image is no image and no text of its own text."""
    torch.manual_seed(0)
    head = Match({"image": 4, "en": 4}, width=8, heads=2, layers=1, query="en", other="image").eval()
    given = batch(same=True)
    features = {n: Features.from_vector(torch.randn(N, 4)).keep(PRESENT[n]) for n in ("image", "en")}
    out = {"projection": {n: torch.zeros(N, 4) for n in ("image", "en")}}
    rows = ids_of(True, "en")
    for mined, known in head._mined(features, given, out):
        for i in range(N):
            fit = [j for j in range(N) if rows[i] != rows[j] and PRESENT["image"][i] and PRESENT["image"][j]]
            assert bool(known[i]) == bool(fit)
            assert not fit or int(mined[i]) in fit
