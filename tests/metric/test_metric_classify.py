"""Neighbours, centroids, classification scores, folds and the batched logistic regression against scikit-learn."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score
from sklearn.neighbors import NearestCentroid, NearestNeighbors

from multimodal_lab.metric import classification, logistic
from multimodal_lab.metric.folds import deal
from multimodal_lab.metric.neighbours import centroids, top_k, vote

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_top_k_is_sklearns(metric, monkeypatch):
    monkeypatch.setattr("multimodal_lab.metric.neighbours._KEYS", 7)
    keys, queries = RNG.normal(size=(30, 5)), RNG.normal(size=(11, 5))
    distance, index = NearestNeighbors(n_neighbors=4, metric=metric).fit(keys).kneighbors(queries)
    closeness, found = top_k(torch.tensor(queries), torch.tensor(keys), 4, metric)
    np.testing.assert_array_equal(found, index)
    np.testing.assert_allclose(1 - closeness if metric == "cosine" else -closeness, distance, atol=1e-6)
    with pytest.raises(ValueError, match="expected 1 to 30"):
        top_k(torch.tensor(queries), torch.tensor(keys), 31)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("keys", "k"), [(900, 1), (1201, 5), (333, 20), (64, 64)])
def test_groups_and_tiles_hold_the_k_nearest(keys, k, metric, monkeypatch):
    monkeypatch.setattr("multimodal_lab.metric.neighbours._ROWS", 8)
    monkeypatch.setattr("multimodal_lab.metric.neighbours._KEYS", 1100)
    x, queries = RNG.normal(size=(keys, 3)), RNG.normal(size=(21, 3))
    x[keys // 2 :] += 50  # far from the origin, where squares cancel
    distance, index = NearestNeighbors(n_neighbors=k, metric=metric).fit(x).kneighbors(queries)
    closeness, found = top_k(torch.tensor(queries), torch.tensor(x), k, metric)
    np.testing.assert_array_equal(found, index)
    np.testing.assert_allclose(1 - closeness if metric == "cosine" else -closeness, distance, atol=1e-9)


def test_distances_far_from_the_origin_keep_their_digits():
    x = torch.tensor(RNG.normal(size=(300, 4)) + 1e3).float()
    closeness, index = top_k(x[:9], x, 4, "euclidean")
    expected, where = (-torch.cdist(x[:9].double(), x.double())).topk(4, 1)
    assert (index == where).all()
    assert (closeness[:, 0] == 0).all()
    torch.testing.assert_close(closeness.double(), expected, atol=0, rtol=2e-4)


def test_equal_keys_are_all_found():
    closeness, index = top_k(torch.ones(3, 4), torch.ones(2000, 4), 5)
    assert all(len(set(row)) == 5 for row in index.tolist())
    torch.testing.assert_close(closeness, torch.ones(3, 5))


def test_vote_is_the_majority_and_ties_go_to_the_closer():
    labels = torch.tensor([[0, 1, 1, 2, 2], [2, 0, 0, 0, 1], [3, 0, 0, 3, 1]])
    close = torch.tensor([[0.9, 0.8, 0.8, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1, 0.0], [0.9, 0.5, 0.4, 0.3, 0.2]])
    assert vote(close, labels, 4).tolist() == [1, 0, 3]


def test_centroids_are_sklearns():
    x, y = RNG.normal(size=(40, 3)), RNG.choice([0, 2, 5], 40)
    means, classes = centroids(torch.tensor(x), torch.tensor(y), "euclidean")
    reference = NearestCentroid().fit(x, y)
    assert classes.tolist() == reference.classes_.tolist()
    np.testing.assert_allclose(means, reference.centroids_, atol=1e-12)
    unit = torch.tensor(x / np.linalg.norm(x, axis=1, keepdims=True))
    torch.testing.assert_close(
        centroids(torch.tensor(x), torch.tensor(y))[0], centroids(unit, torch.tensor(y), "euclidean")[0]
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("classes", [2, 5])
def test_scores_are_sklearns_also_with_absent_classes(classes):
    target, predicted = RNG.integers(0, classes - (classes > 2), 60), RNG.integers(0, classes, 60)
    found = classification.scores(torch.tensor(predicted), torch.tensor(target), classes + 3)
    assert found["accuracy"] == pytest.approx((target == predicted).mean())
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(target, predicted), abs=1e-6)
    assert found["macro_f1"] == pytest.approx(f1_score(target, predicted, average="macro"), abs=1e-6)


def test_average_precision_leaves_out_absent_classes_and_keeps_large_logits_apart():
    target, logits = RNG.integers(0, 2, (50, 4)), RNG.normal(size=(50, 4)) * 100 + 300
    target[:, 2] = 0
    value, absent = classification.average_precision(torch.tensor(logits), torch.tensor(target))
    expected = np.mean([average_precision_score(target[:, c], logits[:, c]) for c in (0, 1, 3)])
    assert (value, absent) == (pytest.approx(expected, abs=1e-6), 1)
    nothing = classification.average_precision(torch.tensor(logits), torch.zeros(50, 4))
    assert np.isnan(nothing[0])
    assert nothing[1] == 4


def test_folds_never_cut_a_group_and_spread_each_class():
    groups = RNG.permutation(np.repeat(np.arange(24), 5))
    labels = groups % 4
    fold = deal(groups, labels, 3)
    assert all(len(set(fold[groups == g])) == 1 for g in range(24))
    for c in range(4):
        counts = [len(set(groups[(labels == c) & (fold == i)])) for i in range(3)]
        assert counts == [2, 2, 2]
    np.testing.assert_array_equal(fold, deal(groups, labels, 3))
    assert (fold != deal(groups, labels, 3, seed=1)).any()
    assert set(deal(groups, None, 5)) == set(range(5))


def problem(classes, n=200, d=12):
    y = RNG.integers(0, classes, n)
    x = RNG.normal(size=(classes, d))[y] + RNG.normal(size=(n, d)) * 1.5
    return (x - x.mean(0)) / x.std(0), y


def objective(x, y, w, c, link):
    """Value and gradient (D + 1, K) by torch's own losses and autograd."""
    w = w.detach().clone().requires_grad_()
    z = logistic.predict(x, w)
    soft = link == "softmax"
    loss = F.cross_entropy(z, y) if soft else y.shape[1] * F.binary_cross_entropy_with_logits(z, y)
    value = loss + w[:-1].square().sum() / (2 * c * len(x))
    return value.detach(), torch.autograd.grad(value, w)[0]


@pytest.mark.parametrize("dependent", [False, True])
@pytest.mark.parametrize("classes", [2, 6])
def test_logistic_is_sklearns_at_equal_tolerance(classes, dependent):
    x, y = problem(classes)
    if dependent:  # along principal axes, away from the origin
        x = x + 3 * RNG.normal(size=(len(x), 1)) + 1
        assert logistic._axes(torch.tensor(x - x.mean(0)))[1] is not None
    strengths = [0.001, 0.1, 10.0]
    link = "sigmoid" if classes == 2 else "softmax"
    truth = torch.tensor(y)
    target = (truth[:, None] if classes == 2 else F.one_hot(truth, classes)).double()
    tensor = torch.tensor(x)
    weights = logistic.fit(tensor, target, strengths, link, tol=1e-8, max_iter=1000)
    for w, c in zip(weights, strengths, strict=True):
        model = LogisticRegression(C=c, tol=1e-8, max_iter=5000).fit(x, y)
        reference = torch.tensor(np.concatenate([model.coef_.T, model.intercept_[None]]))
        ours, theirs = (objective(tensor, target, v, c, link)[0].item() for v in (w, reference))
        assert objective(tensor, target, w, c, link)[1].abs().max() < 1e-7
        assert ours <= theirs + 1e-9
        probability = logistic.predict(tensor, w)
        probability = probability.sigmoid()[:, 0] if classes == 2 else probability.softmax(1)
        expected = model.predict_proba(x)
        np.testing.assert_allclose(probability, expected[:, 1] if classes == 2 else expected, atol=2e-4)


def test_nearly_dependent_columns_and_single_precision_converge():
    """Without principal axes this takes hundreds of steps, and rounding stopped some short of their tolerance."""
    x, y = problem(4)
    mixed = x @ RNG.normal(size=(12, 30)) + 0.02 * RNG.normal(size=(200, 30)) + 3
    mixed, target = torch.tensor(mixed / mixed.std(0)).float(), F.one_hot(torch.tensor(y), 4).float()
    calls = []
    scores = logistic._Problem.scores
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logistic._Problem, "scores", lambda *a: calls.append(a) or scores(*a))
        weights = logistic.fit(mixed, target, [0.01, 1.0, 10.0], "softmax", tol=1e-4)
    assert len(calls) < 200
    for w, c in zip(weights, [0.01, 1.0, 10.0], strict=True):
        gradient = objective(mixed.double(), target.double(), w.double(), c, "softmax")[1]
        assert gradient.abs().max() < 1.5e-4


def test_several_labels_are_independent_problems():
    x, _ = problem(2)
    y = (x[:, :3] + RNG.normal(size=(200, 3)) > 0).astype(float)
    together = logistic.fit(torch.tensor(x), torch.tensor(y), [0.5], "sigmoid", tol=1e-9, max_iter=500)[0]
    for k in range(3):
        model = LogisticRegression(C=0.5, tol=1e-9, max_iter=5000).fit(x, y[:, k])
        np.testing.assert_allclose(together[:-1, k], model.coef_[0], atol=1e-4)


def test_gradient_is_autograds_and_single_precision_suffices():
    x, y = problem(4, n=50)
    target = F.one_hot(torch.tensor(y), 4).double()
    for link in ("softmax", "sigmoid"):
        for axes in (None, torch.linalg.qr(torch.tensor(RNG.normal(size=(12, 12))))[0]):
            w = torch.tensor(RNG.normal(size=(13, 4)))
            expected = objective(torch.tensor(x), target, w, 0.3, link)[1].T
            turn = (lambda v: v) if axes is None else (lambda v, a=axes: torch.cat([v[..., :-1] @ a, v[..., -1:]], -1))
            made = logistic._Problem(torch.tensor(x), target.T, link, axes)
            rows, decay = turn(w.T)[None], torch.tensor([1 / (0.3 * 50)], dtype=torch.float64)
            gradient = made.gradient(made.probabilities(made.scores(rows)), rows, decay)
            torch.testing.assert_close(gradient[0], turn(expected))
    single = logistic.fit(torch.tensor(x).float(), target.float(), [0.1], "softmax")
    double = logistic.fit(torch.tensor(x), target, [0.1], "softmax")
    torch.testing.assert_close(single.double(), double, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_a_line_search_ends_near_the_lowest_point_of_the_line(link, scale):
    """Also where a whole step is far too short or far too long: the slope there is autograd's."""
    x, y = problem(4, n=80)
    x, target = torch.tensor(x), F.one_hot(torch.tensor(y), 4).double()
    made = logistic._Problem(x, target.T, link, None)
    decay = torch.tensor([1 / (c * 80) for c in (0.1, 10.0)], dtype=torch.float64)
    w = torch.tensor(RNG.normal(size=(2, 4, 13)))
    down = -made.gradient(made.probabilities(made.scores(w)), w, decay)
    slope, dw = -down.square().sum((1, 2)) * scale, down * scale
    t, p = made.search(made.scores(w), made.scores(dw), w, dw, slope, decay)

    def slopes(t):
        rows = [(1 / (80 * d), v, e) for d, v, e in zip(decay, w, dw)]
        return [((objective(x, target, (v + s * e).T, c, link)[1].T) * e).sum() for (c, v, e), s in zip(rows, t)]

    torch.testing.assert_close(torch.stack(slopes([0.0, 0.0])), slope)
    assert (torch.stack(slopes(t)).abs() <= 1.01 * logistic._EXACT * slope.abs()).all()
    torch.testing.assert_close(p, made.probabilities(made.scores(w + t[:, None, None] * dw)))


def test_separable_and_constant_data_stay_finite():
    x = torch.tensor([[-1.0], [1.0]]).repeat(10, 3)
    y = (x[:, :1] > 0).float()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.isfinite(logistic.fit(x, y, [0.01, 1e6], "sigmoid")).all()
        assert torch.isfinite(logistic.fit(x * 0, y, [1.0], "sigmoid")).all()
