"""Every loss of named outputs against its paper in plain loops, float64; every weight and option is live."""

import loss_oracle as oracle
import pytest
import torch
from lightly.loss import BarlowTwinsLoss, VICRegLoss
from loss_oracle import assert_same, value_and_gradients

from multimodal_lab.loss import cross_modal as of_terms
from multimodal_lab.loss.barlow_twins import barlow_twins
from multimodal_lab.loss.clip import clip
from multimodal_lab.loss.dcl import dcl
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.loss.simclr import simclr
from multimodal_lab.loss.supcon import supcon
from multimodal_lab.loss.triplet import triplet
from multimodal_lab.loss.vicreg import vicreg


def cross_modal(*arguments, **knobs):
    return of_terms.cross_modal(*arguments, **knobs).total


NAMES = ("rgb", "uv", "fused")
IDS = torch.arange(4).repeat(2)
LABELS = torch.tensor([0, 1, 0, -1, 1, 1, 0, -1])

CASES = {
    "simclr": (simclr, oracle.simclr, {"temperature": 0.1}),
    "cross_modal": (cross_modal, oracle.cross_modal, {"cross_weight": 0.7, "intra_weight": 0.3, "temperature": 0.1}),
    "clip": (clip, oracle.clip, {"temperature": 0.07}),
    "siglip": (siglip, oracle.siglip, {"scale": 10.0, "bias": -2.0}),
    "supcon": (supcon, oracle.supcon, {"temperature": 0.1}),
    "dcl": (dcl, oracle.dcl, {"temperature": 0.1}),
    "hardest": (triplet, oracle.triplet, {"margin": 0.2, "mining": "hardest"}),
    "semi_hard": (triplet, oracle.triplet, {"margin": 0.2, "mining": "semi_hard"}),
    "vicreg": (vicreg, oracle.vicreg, {"invariance": 25.0, "variance": 20.0, "covariance": 1.5}),
    "vicreg_both": (
        vicreg,
        oracle.vicreg,
        {"invariance": 25.0, "variance": 20.0, "covariance": 1.5, "between": "both"},
    ),
    "barlow_twins": (barlow_twins, oracle.barlow_twins, {"redundancy": 0.02}),
    "barlow_modalities": (barlow_twins, oracle.barlow_twins, {"redundancy": 0.02, "between": "modalities"}),
}
KNOBS = [
    (name, knob)
    for name, (_, _, knobs) in CASES.items()
    for knob in knobs
    if isinstance(knobs[knob], float)
]  # fmt: skip


def outputs(seed=0, names=NAMES, n=8, d=5):
    make = torch.Generator().manual_seed(seed)
    return [torch.randn(n, d, generator=make, dtype=torch.float64) for _ in names]


def all_here(n=8, names=NAMES):
    return {name: torch.ones(n, dtype=torch.bool) for name in names}


def ids_of(name):
    return LABELS if name == "supcon" else IDS


def run(fn, name, present, knobs, leaves, ids=None):
    ids = ids_of(name) if ids is None else ids
    return value_and_gradients(lambda *x: fn(dict(zip(NAMES, x)), ids, present, **knobs), *leaves)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("missing", [False, True])
def test_value_and_gradient_are_the_papers(name, missing):
    ours, paper, knobs = CASES[name]
    present = all_here()
    if missing:
        present["rgb"] = torch.tensor([True, True, False, True, True, True, True, True])
        present["uv"] = torch.tensor([True, True, True, False, True, True, True, False])
    leaves = outputs()
    found, expected = run(ours, name, present, knobs, leaves), run(paper, name, present, knobs, leaves)
    assert found[0].abs() > 1e-3
    assert_same(found, expected, 1e-12)


@pytest.mark.parametrize(("name", "knob"), KNOBS)
def test_every_knob_changes_value_and_gradients_of_both_encoders(name, knob):
    fn, _, knobs = CASES[name]
    leaves = outputs(seed=3)
    before = run(fn, name, all_here(), knobs, leaves)
    after = run(fn, name, all_here(), {**knobs, knob: knobs[knob] * 1.5 + 0.1}, leaves)
    assert abs(before[0] - after[0]) > 1e-6
    if knob != "margin":  # it decides which triplets count, not their gradient
        for x, y in zip(before[1:3], after[1:3]):
            assert (x - y).abs().max() > 1e-6


def test_margin_changes_gradients_where_it_lets_triplets_in():
    leaves = outputs(seed=3)
    leaves[1] = leaves[0] + 0.1 * leaves[1]  # every positive beats every negative
    narrow, wide = (run(triplet, "", all_here(), {"margin": m}, leaves, torch.arange(8)) for m in (0.0, 2.0))
    assert wide[0] > narrow[0] + 0.1
    for x, y in zip(narrow[1:3], wide[1:3]):
        assert (x - y).abs().max() > 1e-6


def test_weights_of_cross_modal_are_the_two_parts():
    leaves = outputs()
    part = {}
    for cross, intra in [(1.0, 0.0), (0.0, 1.0), (0.3, 2.0)]:
        knobs = {"cross_weight": cross, "intra_weight": intra, "temperature": 0.1}
        part[cross, intra] = run(cross_modal, "cross_modal", all_here(), knobs, leaves)
    for x, y, both in zip(part[1.0, 0.0], part[0.0, 1.0], part[0.3, 2.0]):
        torch.testing.assert_close(both, 0.3 * x + 2.0 * y, rtol=1e-12, atol=1e-14)
    assert (part[1.0, 0.0][3] == 0).all()  # fused has no cross term
    assert (part[0.0, 1.0][3].abs() > 1e-3).any()


def test_cross_modal_without_views_or_without_a_second_stream():
    leaves, single = outputs(), torch.arange(8)
    knobs = {"cross_weight": 0.5, "intra_weight": 9.0, "temperature": 0.1}
    found = run(cross_modal, "cross_modal", all_here(), knobs, leaves, single)
    only_cross = run(clip, "clip", all_here(), {"temperature": 0.1}, leaves, single)
    torch.testing.assert_close(found[0], 0.5 * only_cross[0])  # one view: the intra term is 0
    z, here = {"rgb": leaves[0]}, all_here(names=("rgb",))
    torch.testing.assert_close(cross_modal(z, IDS, here, **knobs), 9.0 * simclr(z, IDS, here, 0.1))


@pytest.mark.parametrize(
    ("name", "fn", "knobs"),
    [
        ("clip", clip, {"temperature": 0.1}),
        ("siglip", siglip, CASES["siglip"][2]),
        ("triplet", triplet, {"margin": 0.2}),
    ],
)
def test_one_stream_is_refused_where_nothing_else_is_compared(name, fn, knobs):
    z = dict(zip(("rgb", "fused"), outputs()))
    with pytest.raises(ValueError, match=f"loss {name} compares two streams or more, found rgb, fused"):
        fn(z, IDS, all_here(names=("rgb", "fused")), **knobs)


def test_vicreg_and_barlow_twins_are_lightly():
    a, b = outputs(names=("a", "b"), n=16, d=6)
    ids, here = torch.arange(16).repeat(2), all_here(32, ("x",))
    for ours, theirs in [
        (lambda z: vicreg(z, ids, here, 25.0, 25.0, 1.0), VICRegLoss()),
        (lambda z: barlow_twins(z, ids, here, 5e-3), BarlowTwinsLoss()),
    ]:
        found = value_and_gradients(lambda a, b, ours=ours: ours({"x": torch.cat([a, b])}), a, b)
        assert_same(found, value_and_gradients(theirs, a, b), 1e-12)


@pytest.mark.parametrize("fn", [vicreg, barlow_twins])
def test_views_that_do_not_match_are_refused(fn):
    knobs = (25.0, 25.0, 1.0) if fn is vicreg else (5e-3,)
    z = {"rgb": outputs()[0]}
    for ids in (torch.arange(8), torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])):
        with pytest.raises(ValueError, match=r"rows i and i \+ N/2 with equal ids, found ids"):
            fn(z, ids, all_here(), *knobs)
    with pytest.raises(ValueError, match="found 7 rows"):
        fn({"rgb": z["rgb"][:7]}, torch.arange(7), all_here(7), *knobs)
    with pytest.raises(ValueError, match="between must be one of views, modalities, both, found 'all'"):
        fn(z, IDS, all_here(), *knobs, between="all")
    with pytest.raises(ValueError, match="two streams or more"):
        fn(z, IDS, all_here(), *knobs, between="modalities")


def test_unlabelled_rows_are_no_class_of_their_own():
    leaves = outputs()
    found = run(supcon, "supcon", all_here(), {"temperature": 0.1}, leaves)
    for g in found[1:]:
        assert (g[LABELS == -1] == 0).all()
        assert (g[LABELS != -1].abs() > 1e-3).any()


# --- the triplet's sign and masks ----------------------------------------------------------------------------------


def inverted(z, ids, present, margin):
    """Broken on purpose: pos - neg + margin over masked products, whose zeros count as similarities and as rows."""
    cosine = torch.nn.functional.normalize(z["a"]) @ torch.nn.functional.normalize(z["b"]).T
    same = (ids[:, None] == ids).to(cosine.dtype)
    return torch.relu((cosine * same).amax(1) - (cosine * (1 - same)).amax(1) + margin).mean()


def trained(fn, steps=150):
    """Free vectors trained with fn: the share of rows whose positive is the most similar."""
    a, b = (x.requires_grad_() for x in outputs(seed=5, names=("a", "b"), n=8, d=6))
    ids, here = torch.arange(8), all_here(8, ("a", "b"))
    optimiser = torch.optim.Adam([a, b], lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        fn({"a": a, "b": b}, ids, here).backward()
        optimiser.step()
    cosine = torch.nn.functional.normalize(a) @ torch.nn.functional.normalize(b).T
    return (cosine.argmax(1) == ids).double().mean()


def test_training_with_the_triplet_retrieves_and_with_its_sign_inverted_does_not():
    for mining in ("hardest", "semi_hard"):
        assert trained(lambda z, ids, here, m=mining: triplet(z, ids, here, 0.3, m)) == 1
    assert trained(lambda z, ids, here: inverted(z, ids, here, 0.3)) <= 0.25


def test_triplet_gradient_pulls_the_positive_and_pushes_the_negative():
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    b = torch.tensor([[0.6, 0.8], [0.8, 0.6]], dtype=torch.float64, requires_grad=True)
    here = all_here(2, ("a", "b"))
    triplet({"a": a, "b": b}, torch.arange(2), here, 0.3).backward()
    towards = -b.grad  # where a step of descent goes
    assert (towards[0] @ a[0]) > 0
    assert (towards[0] @ a[1]) < 0


def test_negatives_below_zero_are_not_beaten_by_masked_zeros():
    """All negatives at -1: the hinge is margin - 1 - 1 < 0; a mask that leaves zeros would see a negative of 0."""
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    here, ids = all_here(2, ("a", "b")), torch.arange(2)
    assert triplet({"a": a, "b": a.clone()}, ids, here, 1.5) == 0
    assert abs(inverted({"a": -a, "b": a}, ids, here, 1.5) - triplet({"a": -a, "b": a}, ids, here, 1.5)) > 0.1
    torch.testing.assert_close(triplet({"a": -a, "b": a}, ids, here, 1.5), torch.tensor(3.5, dtype=torch.float64))


def test_semi_hard_takes_the_nearest_below_and_else_the_easiest():
    a = torch.tensor([[1.0, 0.0]] * 4, dtype=torch.float64)
    ids, here = torch.arange(4), all_here(4, ("a", "b"))
    here["a"] = torch.tensor([True, False, False, False])

    def mined(*cosines):
        """a's row 0 against b's rows of these cosines, the first its positive; the way back has no negative: 0."""
        b = torch.stack([torch.tensor([c, (1 - c * c) ** 0.5], dtype=torch.float64) for c in cosines])
        return 2 * float(triplet({"a": a, "b": b}, ids, here, 0.3, "semi_hard"))

    assert mined(0.5, 0.4, 0.9, 0.1) == pytest.approx(0.3 + 0.4 - 0.5)
    assert mined(0.1, 0.4, 0.9, 0.5) == pytest.approx(0.3 + 0.4 - 0.1)
    with pytest.raises(ValueError, match="mining must be one of hardest, semi_hard, found 'hard'"):
        triplet({"a": a, "b": a}, ids, here, 0.3, "hard")
