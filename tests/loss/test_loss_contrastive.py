"""The kernel against lightly, open_clip and the paper, and where naive code breaks."""

from functools import partial

import loss_oracle as oracle
import pytest
import torch
import torch.nn.functional as F
from lightly.loss import DCLLoss, NTXentLoss
from loss_oracle import assert_same, value_and_gradients
from open_clip.loss import ClipLoss, SigLipLoss

from multimodal_lab.loss import contrastive
from multimodal_lab.loss import cross_modal as of_terms
from multimodal_lab.loss.clip import clip
from multimodal_lab.loss.contrastive import info_nce, nt_xent
from multimodal_lab.loss.dcl import dcl
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.loss.simclr import simclr
from multimodal_lab.loss.triplet import triplet


def cross_modal(*arguments, **knobs):
    return of_terms.cross_modal(*arguments, **knobs).total


TAUS = [0.5, 0.07, 0.01]
EXACT = [(torch.float32, 1e-5), (torch.float64, 1e-12)]


def random(n, d=8, dtype=torch.float64, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def related(n, dtype, d=16):
    """Two views that agree better than chance, as in training."""
    a = random(n, d, seed=1)
    return a.to(dtype), (a + 2.0 * random(n, d, seed=2)).to(dtype)


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize(("dtype", "rtol"), EXACT)
def test_nt_xent_is_lightly(tau, dtype, rtol):
    a, b = related(12, dtype)
    ids = torch.arange(12).repeat(2)
    ours = value_and_gradients(lambda a, b: nt_xent(torch.cat([a, b]), ids, tau), a, b)
    assert_same(ours, value_and_gradients(NTXentLoss(tau), a, b), rtol)


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize(("dtype", "rtol"), EXACT)
def test_clip_is_open_clip(tau, dtype, rtol):
    a, b = related(12, dtype)
    ids, here = torch.arange(12), torch.ones(12, dtype=torch.bool)
    scale = torch.tensor(1 / tau, dtype=dtype)

    def ours(a, b, scale):
        return clip({"image": a, "text": b}, ids, {"image": here, "text": here}, 1 / scale)

    def theirs(a, b, scale):
        return ClipLoss()(F.normalize(a), F.normalize(b), scale)

    assert_same(value_and_gradients(ours, a, b, scale), value_and_gradients(theirs, a, b, scale), rtol)


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.float64, 1e-8)])
def test_siglip_is_open_clip(tau, dtype, rtol):
    a, b = related(12, dtype)
    ids, here = torch.arange(12), torch.ones(12, dtype=torch.bool)
    scale, bias = torch.tensor(1 / tau, dtype=dtype), torch.tensor(-10.0, dtype=dtype)

    def ours(a, b, scale, bias):
        return siglip({"image": a, "text": b}, ids, {"image": here, "text": here}, scale, bias)

    def theirs(a, b, scale, bias):
        return SigLipLoss()(F.normalize(a), F.normalize(b), scale, bias)

    assert_same(value_and_gradients(ours, a, b, scale, bias), value_and_gradients(theirs, a, b, scale, bias), rtol)


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize(("dtype", "rtol"), EXACT)
def test_dcl_is_lightly(tau, dtype, rtol):
    a, b = related(12, dtype)
    ids, here = torch.arange(12).repeat(2), torch.ones(24, dtype=torch.bool)
    ours = value_and_gradients(lambda a, b: dcl({"rgb": torch.cat([a, b])}, ids, {"rgb": here}, tau), a, b)
    assert_same(ours, value_and_gradients(DCLLoss(tau), a, b), rtol)


@pytest.mark.parametrize("tau", [0.5, 0.07])
def test_many_positives_missing_rows_and_other_counts_follow_the_paper(tau):
    a, b = random(5), random(7, seed=1)
    ids_a, ids_b = torch.tensor([0, 1, 2, 2, 9]), torch.tensor([2, 0, 0, 1, 2, 8, 1])
    here_a = torch.tensor([True, True, False, True, True])
    here_b = torch.tensor([True, True, True, False, True, True, True])
    temperature = torch.tensor(tau, dtype=torch.float64)

    def ours(a, b, t):
        return info_nce(a, b, ids_a, ids_b, t, present_a=here_a, present_b=here_b)

    def paper(a, b, t):
        return oracle.info_nce(a, b, ids_a, ids_b, t, here_a, here_b)

    leaves = (a, b, temperature)
    assert_same(value_and_gradients(ours, *leaves), value_and_gradients(paper, *leaves), 1e-12)


def test_exclude_self_of_the_kernel_is_nt_xent():
    z, ids = random(8), torch.tensor([0, 1, 2, 0, 1, 2, 0, 3])
    ours = value_and_gradients(lambda z: nt_xent(z, ids, 0.1), z)
    assert_same(value_and_gradients(lambda z: info_nce(z, z, ids, ids, 0.1, exclude_self=True), z), ours, 1e-12)
    paper = value_and_gradients(lambda z: oracle.info_nce(z, z, ids, ids, 0.1, exclude_self=True), z)
    assert_same(ours, paper, 1e-12)


def test_comparing_a_set_with_itself_keeps_the_diagonal_unless_told():
    z, ids = random(6), torch.arange(6)
    kept = info_nce(z, z, ids, ids, 0.1)
    torch.testing.assert_close(kept, info_nce(z, z.clone(), ids, ids.clone(), 0.1), rtol=0, atol=0)
    assert kept > 1e-3
    assert info_nce(z, z, ids, ids, 0.1, exclude_self=True) == 0  # no row has a positive


def test_both_directions_count():
    a, b = random(4), random(6, seed=1)
    ids_a, ids_b = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 2, 3, 4])
    paper = [
        oracle.one_way(x, y, i.tolist(), j.tolist(), 0.1, [True] * len(x), [True] * len(y), False)
        for x, y, i, j in ((a, b, ids_a, ids_b), (b, a, ids_b, ids_a))
    ]
    assert abs(paper[0] - paper[1]) > 0.01  # else the test can't tell one direction from both
    torch.testing.assert_close(info_nce(a, b, ids_a, ids_b, 0.1), (paper[0] + paper[1]) / 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_under_autocast_are_computed_in_float32(dtype):
    a, b = (x.to(dtype) for x in related(16, torch.float32))
    ids = torch.arange(16)
    for tau in TAUS:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = info_nce(a, b, ids, ids, tau)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, info_nce(a.float(), b.float(), ids, ids, tau), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_similarity_and_zero_rows_stay_finite(dtype):
    same, opposite, zero = torch.ones(6, 8, dtype=dtype), -torch.ones(6, 8, dtype=dtype), torch.zeros(6, 8, dtype=dtype)
    ids = torch.arange(6)
    for a, b in [(same, same), (same, opposite), (zero, same), (zero, zero), (1e4 * same, 1e-4 * same)]:
        value, grad_a, grad_b = value_and_gradients(lambda a, b: info_nce(a, b, ids, ids, 0.01), a, b)
        assert torch.isfinite(value)
        assert torch.isfinite(grad_a).all()
        assert torch.isfinite(grad_b).all()
        if a is zero:
            assert grad_a.abs().max() <= 200 * len(a)  # not multiplied by 1 / epsilon


def test_exp_without_a_shift_and_a_raw_temperature_break_where_the_kernel_does_not():
    """exp(s / τ) / sum exp(s / τ) is NaN in float32 at τ = 0.01, and half precision overflows at 0.07."""

    def naive(a, b, tau):
        e = torch.exp(F.normalize(a) @ F.normalize(b).T / tau)
        return -torch.log(e.diagonal() / e.sum(1)).mean()

    a = random(6, dtype=torch.float32)
    ids = torch.arange(6)
    assert not torch.isfinite(naive(a, a, 0.01))
    assert not torch.isfinite(naive(a.half(), a.half(), 0.07))
    assert torch.isfinite(info_nce(a, a, ids, ids, 0.01))
    assert torch.isfinite(info_nce(a.half(), a.half(), ids, ids, 0.07))
    for tau in (0.0, -0.07, float("nan")):
        with pytest.raises(ValueError, match="temperature must be > 0"):
            info_nce(a, a, ids, ids, tau)


def test_a_small_loss_keeps_its_digits():
    """Well separated rows at τ = 0.01: the value is far below the rounding of the logits, 100."""
    a = torch.eye(8)
    b = a + 0.4 * torch.roll(a, 1, 0)
    ids = torch.arange(8)
    exact = info_nce(a.double(), b.double(), ids, ids, 0.05)
    assert exact < 1e-4
    torch.testing.assert_close(info_nce(a, b, ids, ids, 0.05).double(), exact, rtol=2e-3, atol=0)


def test_nothing_valid_is_zero_with_a_graph():
    a, b, tau = random(4), random(3, seed=1), torch.tensor(0.1, dtype=torch.float64)
    none = torch.zeros(4, dtype=torch.bool)
    for ids_b, here in [(torch.arange(10, 13), None), (torch.arange(3), none)]:

        def loss(a, b, t, ids_b=ids_b, here=here):
            return info_nce(a, b, torch.arange(4), ids_b, t, present_a=here)

        value, *grads = value_and_gradients(loss, a, b, tau)
        assert value == 0
        assert all((g == 0).all() for g in grads)
    assert info_nce(a, b[:0], torch.arange(4), torch.arange(0), 0.1) == 0


def test_a_missing_row_leaks_nothing():
    a, b, ids = random(5), random(5, seed=1), torch.arange(5)
    here = torch.tensor([True, True, False, True, True])
    other = a.clone()
    other[2] = float("nan")
    expected = value_and_gradients(lambda a, b: info_nce(a, b, ids, ids, 0.1, present_a=here), a, b)
    found = value_and_gradients(lambda a, b: info_nce(a, b, ids, ids, 0.1, present_a=here), other, b)
    assert_same(found, expected, 0)
    assert (found[1][2] == 0).all()


def test_one_id_a_row_is_required():
    with pytest.raises(ValueError, match="one id a row"):
        info_nce(random(4), random(4), torch.arange(3), torch.arange(4), 0.1)
    with pytest.raises(ValueError, match="exclude_self"):
        info_nce(random(4), random(5), torch.arange(4), torch.arange(5), 0.1, exclude_self=True)


BY_LABEL = {
    "clip": partial(clip, temperature=0.1),
    "cross_modal": partial(cross_modal, cross_weight=1.0, intra_weight=0.5, temperature=0.1),
    "simclr": partial(simclr, temperature=0.1),
    "dcl": partial(dcl, temperature=0.1),
    "siglip": partial(siglip, scale=10.0, bias=-1.0),
    "hardest": partial(triplet, margin=2.0),
    "semi_hard": partial(triplet, margin=2.0, mining="semi_hard"),
}


@pytest.mark.parametrize("few", [0, contrastive.FEW])
@pytest.mark.parametrize("name", BY_LABEL)
def test_each_row_without_a_label_is_a_class_of_its_own(monkeypatch, name, few):
    monkeypatch.setattr(contrastive, "FEW", few)
    here = torch.ones(8, dtype=torch.bool)

    def of(*ids):
        ids = torch.tensor(ids)
        return value_and_gradients(
            lambda a, b: BY_LABEL[name]({"a": a, "b": b}, ids, {"a": here, "b": here}), random(8), random(8, seed=1)
        )

    found = of(0, 1, 0, -1, -1, 2, -1, 2)
    assert_same(found, of(0, 1, 0, 3, 4, 2, 5, 2), 1e-12)
    assert abs(found[0] - of(0, 1, 0, 3, 3, 2, 3, 2)[0]) > 1e-3
