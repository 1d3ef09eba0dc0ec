"""Every score equals scikit-learn's, and the influence of each sample its derivative by that sample's weight."""

import numpy as np
import pytest
from sklearn import metrics

from multimodal_lab.stats import influence
from multimodal_lab.stats.answers import Answers, usable
from multimodal_lab.stats.score import fitting, named

DRAW = np.random.default_rng(0)
N = 60


def classes(k):
    truth = DRAW.integers(0, k, N)
    said = DRAW.dirichlet(np.ones(k), N) + 0.5 * np.eye(k)[truth] * DRAW.random((N, 1))
    said = np.round(said / said.sum(1, keepdims=True), 2)  # with ties
    said[:, 0] = 1 - said[:, 1:].sum(1)
    return Answers("classes", truth, said.argmax(1), said, np.arange(N))


def labels(k):
    truth = (DRAW.random((N, k)) < 0.3).astype(int)
    said = np.round((truth + DRAW.random((N, k))) / 2, 2)
    return Answers("labels", truth, (said > 0.5).astype(int), said, np.arange(N))


def values(p):
    truth = DRAW.normal(size=(N, p))
    said = truth + DRAW.normal(size=(N, p))
    return Answers("values", truth, said, said, np.arange(N))


def hot(a):
    return a.truth if a.kind == "labels" else np.eye(a.said.shape[1], dtype=int)[a.truth]


def reference(a, name):
    flat = a.kind == "classes"
    if name in ("accuracy", "balanced_accuracy", "macro_f1"):
        if flat:
            f1 = metrics.f1_score(a.truth, a.predicted, average="macro")
            return {"accuracy": metrics.accuracy_score, "balanced_accuracy": metrics.balanced_accuracy_score,
                    "macro_f1": lambda *_: f1}[name](a.truth, a.predicted)  # fmt: skip
        columns = [*zip(a.truth.T, a.predicted.T, strict=True)]
        of = {"accuracy": metrics.accuracy_score, "balanced_accuracy": metrics.balanced_accuracy_score,
              "macro_f1": metrics.f1_score}[name]  # fmt: skip
        return np.mean([of(*c) for c in columns])
    if name == "log_loss":
        return (
            metrics.log_loss(a.truth, a.said)
            if flat
            else np.mean([metrics.log_loss(t, s) for t, s in zip(a.truth.T, a.said.T)])
        )
    if name == "brier":
        of = metrics.brier_score_loss
        if not flat:
            return np.mean([of(t, s) for t, s in zip(a.truth.T, a.said.T)])
        return of(a.truth, a.said if a.said.shape[1] > 2 else a.said[:, 1])
    of = {"auroc": metrics.roc_auc_score, "average_precision": metrics.average_precision_score,
          "r2": metrics.r2_score, "squared_error": metrics.mean_squared_error,
          "absolute_error": metrics.mean_absolute_error}[name]  # fmt: skip
    return of(hot(a) if a.kind != "values" else a.truth, a.said)


@pytest.mark.parametrize("a", [classes(2), classes(4), labels(3), values(1), values(2)], ids=lambda a: a.kind)
def test_the_mean_of_the_values_is_scikit_learns_score(a):
    for name in fitting(a.kind):
        score = named(name)
        assert np.isclose(score.sign * score.values(a).mean(), reference(a, name), atol=1e-7), name


@pytest.mark.parametrize(
    ("part", "of"),
    [(influence.recall, metrics.recall_score), (influence.f1, metrics.f1_score),
     (influence.area, metrics.roc_auc_score), (influence.precision, metrics.average_precision_score)],
)  # fmt: skip
def test_influence_is_the_derivative_of_scikit_learns_weighted_score(part, of):
    truth = DRAW.random(40) < 0.4
    said = np.round(truth + DRAW.normal(size=40), 1)
    said = said > 0.5 if part in (influence.recall, influence.f1) else said
    score, moved = part(truth, said)
    assert np.isclose(score, of(truth, said))
    step, ones = 1e-5, np.ones(40)
    for i in range(40):
        up, down = (of(truth, said, sample_weight=ones + s * np.eye(40)[i]) for s in (step, -step))
        assert np.isclose(moved[i], 40 * (up - down) / (2 * step), atol=1e-5)


def test_a_class_in_one_group_is_left_out_of_scores_over_classes():
    truth, groups = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 3, 4, 4])
    assert usable("classes", truth, groups).tolist() == [0, 1]
    a = Answers("classes", truth, np.array([0, 1, 1, 1, 0, 0]), None, groups)
    assert np.isclose(named("balanced_accuracy").values(a).mean(), 0.75)


def test_a_loss_is_turned_so_that_more_is_better_and_told_as_a_plain_number():
    a = values(1)
    better = Answers("values", a.truth, a.truth, (a.said + a.truth) / 2, a.groups)
    loss = named("squared_error")
    assert loss.values(better).mean() > loss.values(a).mean()
    assert (loss.signed(0.0125), loss.size(0.0125), named("auroc").signed(0.0125)) == (
        "+0.0125", "0.0125", "+1.2 points"
    )  # fmt: skip
    with pytest.raises(ValueError, match="no score balanced_acuracy; did you mean balanced_accuracy"):
        named("balanced_acuracy")
