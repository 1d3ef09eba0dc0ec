"""Losses against labels: papers, torch, missing labels, and formulas known to be wrong."""

import loss_oracle as oracle
import numpy as np
import pytest
import torch
from loss_oracle import assert_same, value_and_gradients

from multimodal_lab.loss import balanced
from multimodal_lab.loss.classification import asymmetric, bce, cross_entropy, focal, nll

CLASS = torch.tensor([0, 2, -1, 1, 2, -1])
MANY = torch.tensor([[1, 0, 0], [1, -1, 1], [-1, -1, -1], [0, 0, 1], [float("nan"), 1, 0], [1, 1, 1]]).double()


def logits(seed=0, k=3):
    return 2 * torch.randn(6, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


CASES = [
    (cross_entropy, oracle.cross_entropy, CLASS, {}),
    (cross_entropy, oracle.cross_entropy, CLASS, {"label_smoothing": 0.1}),
    (cross_entropy, oracle.cross_entropy, CLASS, {"class_weight": [0.5, 1.0, 3.0]}),
    (cross_entropy, oracle.cross_entropy, CLASS, {"label_smoothing": 0.1, "class_weight": [0.5, 1.0, 3.0]}),
    (nll, oracle.nll, CLASS, {}),
    (bce, oracle.bce, MANY, {}),
    (bce, oracle.bce, MANY, {"pos_weight": [0.5, 2.0, 4.0]}),
    (asymmetric, oracle.asymmetric, MANY, {}),
    (asymmetric, oracle.asymmetric, MANY, {"gamma_neg": 2.0, "gamma_pos": 0.0, "clip": 0.2}),
    (asymmetric, oracle.asymmetric, MANY, {"gamma_neg": 1.5, "clip": 0.0}),
    (focal, oracle.focal, MANY, {}),
    (focal, oracle.focal, MANY, {"alpha": None, "gamma": 1.5}),
    (focal, oracle.focal, MANY, {"alpha": [0.1, 0.5, 0.9]}),
]
INDEX, MULTI = [cross_entropy, nll], [bce, asymmetric, focal]


@pytest.mark.parametrize(("ours", "paper", "target", "knobs"), CASES)
def test_value_and_gradient_are_the_papers(ours, paper, target, knobs):
    x = logits()
    found = value_and_gradients(lambda x: ours(x, target, **knobs), x)
    assert_same(found, value_and_gradients(lambda x: paper(x, target, **knobs), x), 1e-12)


@pytest.mark.parametrize(
    ("fn", "target", "knobs"),
    [
        (cross_entropy, CLASS, {"label_smoothing": 0.2}),
        (cross_entropy, CLASS, {"class_weight": [1.0, 2.0, 3.0]}),
        (bce, MANY, {"pos_weight": 3.0}),
        (asymmetric, MANY, {"gamma_neg": 2.0}),
        (asymmetric, MANY, {"gamma_pos": 0.0}),
        (asymmetric, MANY, {"clip": 0.2}),
        (focal, MANY, {"alpha": 0.5}),
        (focal, MANY, {"alpha": [0.25, 0.25, 0.9]}),
        (focal, MANY, {"gamma": 0.5}),
    ],
)
def test_every_knob_is_live(fn, target, knobs):
    x = logits()
    before, after = (value_and_gradients(lambda x, k=k: fn(x, target, **k), x) for k in ({}, knobs))
    assert abs(before[0] - after[0]) > 1e-6
    assert (before[1] - after[1]).abs().max() > 1e-6


@pytest.mark.parametrize("weight", [None, [0.5, 1.0, 3.0]])
def test_cross_entropy_is_torch(weight):
    tensor = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    theirs = torch.nn.CrossEntropyLoss(tensor, ignore_index=-1, label_smoothing=0.1)(logits(), CLASS)
    torch.testing.assert_close(cross_entropy(logits(), CLASS, 0.1, weight), theirs, rtol=1e-12, atol=0)


FULL = torch.tensor([[1, 0, 0], [1, 0, 1], [0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 1]]).double()


@pytest.mark.parametrize("weight", [2.5, [0.5, 2.0, 4.0]])
def test_bce_is_torch(weight):
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(weight, dtype=torch.float64).expand(3))
    assert_same(
        value_and_gradients(lambda x: bce(x, FULL, weight), logits()),
        value_and_gradients(lambda x: theirs(x, FULL), logits()),
        1e-12,
    )


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.9, 0.5), (None, 2.0), (0.25, 0.0)])
def test_focal_is_torchvision(alpha, gamma):
    theirs = pytest.importorskip("torchvision.ops").sigmoid_focal_loss
    none = -1 if alpha is None else alpha  # torchvision's word for it
    assert_same(
        value_and_gradients(lambda x: focal(x, FULL, alpha, gamma), logits()),
        value_and_gradients(lambda x: theirs(x, FULL, none, gamma, reduction="mean"), logits()),
        1e-12,
    )


def test_asymmetric_and_focal_without_focus_are_bce():
    for fn, knobs in (
        (asymmetric, {"gamma_neg": 0.0, "gamma_pos": 0.0, "clip": 0.0}),
        (focal, {"alpha": None, "gamma": 0.0}),
    ):
        found = value_and_gradients(lambda x, fn=fn, k=knobs: fn(x, MANY, **k), logits())
        assert_same(found, value_and_gradients(lambda x: bce(x, MANY), logits()), 1e-12)


def test_balanced_weights_are_counted_in_what_they_are_given():
    y = np.array([[1, 0, 1], [1, 1, -1], [0, 0, np.nan], [1, 0, 1]])
    assert balanced.weights("pos_weight", y, 3) == pytest.approx([1 / 3, 3.0, 1.0])  # the last has no known negative
    x, weight = logits()[:4], balanced.weights("pos_weight", y[:, :2], 2)
    x = torch.zeros_like(x[:, :2]).requires_grad_()
    (grad,) = torch.autograd.grad(bce(x, torch.tensor(y[:, :2]), weight), x)
    assert grad.sum(0).tolist() == pytest.approx([0, 0])  # at p = .5 both sides of a class pull alike
    index = np.array([0, 0, 0, 1, 2, 2, -1])
    assert balanced.weights("class_weight", index, 3) == pytest.approx(
        [6 / 9, 6 / 3, 6 / 6]
    )  # scikit-learn's n / (K n_k)
    assert balanced.weights("pos_weight", index, 3) == pytest.approx([1.0, 5.0, 2.0])
    with pytest.raises(ValueError, match="pos_weight=balanced is replaced by numbers of the training split in a run"):
        bce(logits(), FULL, "balanced")


def test_asymmetric_punishes_hard_negatives_and_not_easy_ones():
    """A weight of (1 - p + m)^γ, known from a wrong copy, does the reverse: 0.167 at p = 0.1, 0.0001 at p = 0.99."""
    p = torch.tensor([0.04, 0.1, 0.5, 0.99], dtype=torch.float64)
    lost = [float(asymmetric(x.logit().view(1, 1), torch.zeros(1, 1))) for x in p]
    assert lost[0] == 0  # below the clip
    assert lost == sorted(lost)
    assert lost[1] == pytest.approx(0.05**4 * -torch.log(torch.tensor(0.95)).item(), rel=1e-6)
    assert lost[3] == pytest.approx(0.94**4 * -torch.log(torch.tensor(0.06)).item(), rel=1e-6)
    wrong = [float((1 - x + 0.05) ** 4 * -torch.log(1 - x)) for x in p[1:]]
    assert wrong[2] < 1e-3 < lost[3]


@pytest.mark.parametrize("fn", MULTI)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_extreme_logits_stay_finite(fn, dtype):
    x = torch.tensor([[-3e4, -200, -100, -1e-3, 0], [0, 1e-3, 100, 200, 3e4]], dtype=dtype)
    knobs = [{}, {"gamma_neg": 0.5, "gamma_pos": 0.5}, {"gamma_neg": 0.0, "clip": 0.0}] if fn is asymmetric else [{}]
    for target in (torch.zeros(2, 5), torch.ones(2, 5)):
        for k in knobs:
            value, grad = value_and_gradients(lambda x, t=target, k=k: fn(x, t, **k), x)
            assert value.dtype == torch.float32
            assert torch.isfinite(value)
            assert torch.isfinite(grad).all()


@pytest.mark.parametrize("fn", INDEX + MULTI)
def test_no_label_is_zero_with_a_graph(fn):
    missing = [torch.full((6,), -1)] + ([] if fn in INDEX else [torch.full((6, 3), float("nan")), -torch.ones(6, 3)])
    for target in missing:
        value, grad = value_and_gradients(lambda x, t=target: fn(x, t), logits())
        assert value == 0
        assert (grad == 0).all()


@pytest.mark.parametrize("fn", INDEX + MULTI)
def test_a_classifier_for_each_name_counts_alike(fn):
    a, b = logits(), logits(1)
    torch.testing.assert_close(fn({"rgb": a, "uv": b}, CLASS), (fn(a, CLASS) + fn(b, CLASS)) / 2)


@pytest.mark.parametrize("fn", MULTI)
def test_a_class_index_is_one_class_against_the_rest(fn):
    hot = torch.full((6, 3), -1.0)
    hot[CLASS >= 0] = torch.eye(3)[CLASS[CLASS >= 0]]
    torch.testing.assert_close(fn(logits(), CLASS), fn(logits(), hot), rtol=0, atol=0)
    yes = torch.tensor([0, 1, -1, 1, 0, 1])
    torch.testing.assert_close(fn(logits(k=1), yes), fn(logits(k=1), yes[:, None].double()), rtol=0, atol=0)


def test_several_labels_a_row_are_refused_by_cross_entropy():
    for fn in INDEX:
        with pytest.raises(ValueError, match="for several labels a row use loss=bce"):
            fn(logits(), MANY)
    for fn in MULTI:
        with pytest.raises(ValueError, match=r"logits \(6, 3\) against target \(6, 2\)"):
            fn(logits(), MANY[:, :2])
    with pytest.raises(ValueError, match="class_weight has 2 numbers for 3 classes"):
        cross_entropy(logits(), CLASS, class_weight=[1.0, 2.0])
    with pytest.raises(ValueError, match="alpha has 2 numbers for 3 classes"):
        focal(logits(), MANY, [0.1, 0.2])
    with pytest.raises(ValueError, match="pos_weight has 2 numbers for 3 classes"):
        bce(logits(), MANY, [1.0, 2.0])
