"""Which pairs of streams are compared, and how much each counts: a hub, weights, several positives, hard negatives."""

import math
from functools import partial

import loss_oracle as oracle
import pytest
import torch
from loss_oracle import assert_same, value_and_gradients

from multimodal_lab.loss import cross_modal as of_terms
from multimodal_lab.loss.clip import clip
from multimodal_lab.loss.pair_weights import PairError, weigh
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.loss.supcon import supcon
from multimodal_lab.loss.tiled import anchors
from multimodal_lab.loss.triplet import triplet

NAMES = ("image", "text", "audio", "fused")
IDS = torch.tensor([0, 1, 2, 1, 3, 1])  # three captions of image 1
LABELS = torch.tensor([0, 1, 0, -1, 1, 1])
N = len(IDS)


def cross_modal(*arguments, **knobs):
    return of_terms.cross_modal(*arguments, **knobs).total


COMPARED = {
    "clip": (clip, oracle.clip, {"temperature": 0.2}, IDS),
    "hard": (partial(clip, hardness=0.4), partial(oracle.hard_clip, hardness=0.4), {"temperature": 0.2}, IDS),
    "siglip": (siglip, oracle.siglip, {"scale": 5.0, "bias": -2.0}, IDS),
    "hardest": (triplet, oracle.triplet, {"margin": 0.3}, IDS),
    "semi_hard": (triplet, oracle.triplet, {"margin": 0.3, "mining": "semi_hard"}, IDS),
    "cross_modal": (
        cross_modal, oracle.cross_modal, {"cross_weight": 0.7, "intra_weight": 0.3, "temperature": 0.2}, IDS,
    ),
    "supcon": (supcon, oracle.supcon, {"temperature": 0.2, "between": "modalities"}, LABELS),
    "supcon_both": (supcon, oracle.supcon, {"temperature": 0.2, "between": "both"}, LABELS),
}  # fmt: skip
WHICH = [
    {"hub": "text"},
    {"pair_weights": {"image-text": 2.0, "audio-image": 0.5}},
    {"hub": "image", "pair_weights": {"text-image": 3.0}},
]


def streams(seed=0):
    make = torch.Generator().manual_seed(seed)
    return [torch.randn(N, 3, generator=make, dtype=torch.float64) for _ in NAMES]


def there():
    """Every stream lacks another row; no row is missing everywhere."""
    seen = {n: torch.ones(N, dtype=torch.bool) for n in NAMES}
    for i, n in enumerate(NAMES[:3]):
        seen[n][2 * i] = False
    return seen


def run(fn, leaves, *rest, **knobs):
    return value_and_gradients(lambda *x: fn(dict(zip(NAMES, x)), *rest, **knobs), *leaves)


@pytest.mark.parametrize("which", WHICH, ids=["hub", "weights", "both"])
@pytest.mark.parametrize("name", COMPARED)
def test_a_hub_and_weights_are_the_papers_mean_over_fewer_or_weighted_pairs(name, which):
    ours, paper, knobs, ids = COMPARED[name]
    found = run(ours, streams(), ids, there(), **knobs, **which)
    assert_same(found, run(paper, streams(), ids, there(), **knobs, **which), 1e-12)
    plain = run(ours, streams(), ids, there(), **knobs)
    assert abs(found[0] - plain[0]) > 1e-4


def test_what_is_not_compared_gets_no_gradient():
    _, image, text, audio, _ = run(
        clip,
        streams(),
        IDS,
        there(),
        temperature=0.1,
        pair_weights={"image-text": 1, "text-audio": 0, "image-audio": 0},
    )
    assert image.abs().max() > 1e-3
    assert text.abs().max() > 1e-3
    assert (audio == 0).all()


@pytest.mark.parametrize(
    ("hardness", "tau_plus", "block"),
    [(0.0, 0.0, anchors.BLOCK), (0.25, 0.0, anchors.BLOCK), (1.0, 0.0, 1), (0.0, 0.1, 3 * N), (0.5, 0.05, 2 * N)],
)
def test_hard_negatives_are_robinsons(monkeypatch, hardness, tau_plus, block):
    monkeypatch.setattr(anchors, "BLOCK", block)
    tau = torch.tensor(0.3, dtype=torch.float64)

    def of(fn):
        return value_and_gradients(
            lambda t, *x: fn(dict(zip(NAMES[:2], x)), IDS, there(), t, hardness=hardness, tau_plus=tau_plus),
            tau, *streams()[:2],
        )  # fmt: skip

    found = of(clip)
    assert_same(found, of(oracle.hard_clip), 1e-12)
    if not hardness and not tau_plus:
        assert_same(found, value_and_gradients(
            lambda t, *x: oracle.clip(dict(zip(NAMES[:2], x)), IDS, there(), t), tau, *streams()[:2]), 1e-12)  # fmt: skip
    else:
        assert abs(found[0] - oracle.clip(dict(zip(NAMES, streams()[:2])), IDS, there(), tau)) > 1e-2


def test_the_debiased_sum_is_held_at_its_floor():
    """A pair so alike, and negatives so unlike, that what is left of them is below 0."""
    a = torch.eye(4, dtype=torch.float64)
    here, tau = torch.ones(4, dtype=torch.bool), torch.tensor(0.2, dtype=torch.float64)

    def of(fn, **knobs):
        return value_and_gradients(
            lambda a, b: fn({"image": a, "text": b}, torch.arange(4), {"image": here, "text": here}, tau, **knobs),
            a, a.clone(),
        )  # fmt: skip

    found = of(clip, tau_plus=0.3)
    assert_same(found, of(oracle.hard_clip, hardness=0.0, tau_plus=0.3), 1e-12)
    floor = 3 * torch.exp(-1 / tau)
    torch.testing.assert_close(found[0], torch.log1p(floor * torch.exp(-1 / tau)))


def test_hard_negatives_stay_finite_at_the_coldest_temperature_and_in_half_precision():
    here = torch.ones(6, dtype=torch.bool)

    def loss(a, b):
        present = {"image": here, "text": here}
        return clip({"image": a, "text": b}, torch.arange(6), present, 0.01, hardness=2.0, tau_plus=0.1)

    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        a = torch.ones(6, 8, dtype=dtype)
        for b in (a, -a, 0 * a):
            assert all(torch.isfinite(x).all() for x in value_and_gradients(loss, a, b))


def test_no_matrix_of_all_pairs_exists(monkeypatch):
    from test_loss_tiles import Largest

    monkeypatch.setattr(anchors, "BLOCK", 8000)
    n = 400
    a, b = (torch.randn(n, 4, requires_grad=True) for _ in range(2))
    here = torch.ones(n, dtype=torch.bool)
    given = {"a": a, "b": b}, torch.arange(n) // 2, {"a": here, "b": here}
    for loss in (
        partial(clip, temperature=0.1, hardness=0.5),
        partial(triplet, margin=0.2),
        partial(triplet, margin=0.2, mining="semi_hard"),
    ):
        with Largest() as seen:
            loss(*given).backward()
        assert seen.size <= 20 * n  # a block


def test_unlabelled_rows_are_left_out_of_supcon_across_streams():
    z, here = dict(zip(NAMES, streams())), {n: torch.ones(N, dtype=torch.bool) for n in NAMES}
    known = LABELS >= 0
    found = supcon(z, LABELS, here, 0.1, "modalities")
    only = supcon(
        {n: x[known] for n, x in z.items()}, LABELS[known], {n: h[known] for n, h in here.items()}, 0.1, "modalities"
    )
    torch.testing.assert_close(found, only)
    with pytest.raises(ValueError, match="supcon: between must be one of views, modalities, both, found 'names'"):
        supcon(z, LABELS, here, 0.1, "names")


@pytest.mark.parametrize(
    ("hub", "pair_weights", "argument", "said"),
    [
        ("txt", None, "hub", "hub=txt: expected one of image, text, audio; nearest: text"),
        ("fused", None, "hub", "hub=fused: expected one of image, text, audio"),
        (None, {"image-txt": 1.0}, "pair_weights", "expected one of image-text, image-audio, text-audio; nearest: image-text"),
        ("audio", {"image-text": 1.0}, "pair_weights", "with hub=audio, expected one of image-audio, text-audio"),
        (None, {"image-text": 1.0, "text-image": 2.0}, "pair_weights", "names a pair twice, in both orders"),
        (None, {"image-text": 0, "image-audio": 0, "text-audio": 0}, "pair_weights", "every pair weighs 0; give one a weight"),
    ],
)  # fmt: skip
def test_a_hub_or_a_pair_that_is_not_there_is_told(hub, pair_weights, argument, said):
    with pytest.raises(PairError) as error:
        weigh(NAMES, hub, pair_weights)
    assert error.value.argument == argument
    assert said in str(error.value)
    with pytest.raises(ValueError, match=f"loss clip: {argument}="):
        clip(dict(zip(NAMES, streams())), IDS, there(), 0.1, hub=hub, pair_weights=pair_weights)


def test_siglip_from_scratch_begins_with_the_share_of_pairs_in_its_batch(composed):
    cfg = composed("experiment=siglip", "data.root=/pairs", small=False)
    assert 1 / (1 + math.exp(-cfg.loss.bias.init)) == pytest.approx(1 / cfg.data.batch_size, rel=0.2)
