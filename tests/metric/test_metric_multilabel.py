"""Scores of several labels against plain Python, scikit-learn and torchmetrics, and where these two have no answer."""

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
import torchmetrics.functional.classification as tm

from multimodal_lab.metric import multilabel

K = 5
OF_TORCHMETRICS = {
    "average_precision": tm.multilabel_average_precision, "auroc": tm.multilabel_auroc, "f1": tm.multilabel_f1_score,
    "f2": lambda *a, **k: tm.multilabel_fbeta_score(*a, beta=2.0, **k), "precision": tm.multilabel_precision,
    "recall": tm.multilabel_recall, "specificity": tm.multilabel_specificity, "accuracy": tm.multilabel_accuracy,
}  # fmt: skip


def drawn(n=80, seed=0, ties=True):
    """Every class and every sample has a positive and a negative, and something is said of each."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, K)) < 0.4).astype(np.int64)
    y[:, 0], y[:, 1] = np.arange(n) % 2, (np.arange(n) + 1) % 2
    p = 1 / (1 + np.exp(-(rng.normal(size=(n, K)) + 2 * y - 1)))
    p[:, 0] = np.where(y[:, 1:].any(1), p[:, 0], 0.6)
    p = np.round(p, 1) if ties else p
    p[np.arange(n), rng.integers(0, K, n)] = 0.8
    return y, p


def plain(y, p, at):
    """One label after the other: {score: value} of rows of (truth, probability), from the definitions."""
    pairs = [(bool(a), b) for a, b in zip(y, p, strict=True)]
    tp = sum(a and b > at for a, b in pairs)
    fp = sum(not a and b > at for a, b in pairs)
    fn = sum(a and b <= at for a, b in pairs)
    tn = len(pairs) - tp - fp - fn
    yes, no = [b for a, b in pairs if a], [b for a, b in pairs if not a]
    steps = [(sum(b >= t for b in yes), sum(q >= t for _, q in pairs)) for t in sorted(set(p), reverse=True)]
    hits = [0, *(found for found, _ in steps)]
    f = {b: (1 + b * b) * tp / ((1 + b * b) * tp + b * b * fn + fp) for b in (1, 2)}
    return {
        "average_precision": sum((h - before) / len(yes) * h / seen for before, (h, seen) in zip(hits, steps, strict=False)),
        "auroc": sum((a > b) + (a == b) / 2 for a in yes for b in no) / (len(yes) * len(no)),
        "f1": f[1], "f2": f[2], "precision": tp / (tp + fp) if tp + fp else 0.0, "recall": tp / len(yes),
        "specificity": tn / len(no), "accuracy": (tp + tn) / len(pairs),
    }  # fmt: skip


@pytest.mark.parametrize("ties", [True, False])
def test_every_score_and_mean_is_its_definition(ties):
    y, p = drawn(ties=ties)
    found = multilabel.scores(p, p > 0.5, y)
    classes, samples = ([plain(a, b, 0.5) for a, b in zip(t, q, strict=True)] for t, q in ((y.T, p.T), (y, p)))
    for name, micro in plain(y.ravel(), p.ravel(), 0.5).items():
        np.testing.assert_allclose(found.each[name], [c[name] for c in classes], atol=1e-12, err_msg=name)
        assert found.means[f"{name}_macro"] == pytest.approx(np.mean([c[name] for c in classes]))
        assert found.means[f"{name}_micro"] == pytest.approx(micro)
        assert found.means[f"{name}_samplewise"] == pytest.approx(np.mean([s[name] for s in samples]))
    assert found.means["exact_match"] == pytest.approx(sk.accuracy_score(y, p > 0.5))
    assert found.counts["tp"].tolist() == (y & (p > 0.5)).sum(0).tolist()


@pytest.mark.parametrize("name", OF_TORCHMETRICS)
def test_torchmetrics_agrees_where_every_class_has_both(name):
    y, p = drawn()
    found, reference = multilabel.scores(p, p > 0.5, y), OF_TORCHMETRICS[name]
    given = torch.tensor(p), torch.tensor(y)
    for average in ("macro", "micro"):
        assert found.means[f"{name}_{average}"] == pytest.approx(
            float(reference(*given, num_labels=K, average=average)), abs=1e-6
        )
    np.testing.assert_allclose(found.each[name], reference(*given, num_labels=K, average="none"), atol=1e-6)
    if name in multilabel.COUNTED[:5]:  # its average over a sample's labels as one
        rows = reference(
            given[0][..., None], given[1][..., None], num_labels=K, average="micro", multidim_average="samplewise"
        )
        assert found.means[f"{name}_samplewise"] == pytest.approx(float(rows.mean()), abs=1e-6)


def test_scikit_learn_agrees_on_the_mean_over_samples():
    y, p = drawn()
    found = multilabel.scores(p, p > 0.5, y).means
    for name, score in (("average_precision", sk.average_precision_score), ("auroc", sk.roc_auc_score)):
        assert found[f"{name}_samplewise"] == pytest.approx(score(y, p, average="samples"))
    assert found["f2_samplewise"] == pytest.approx(sk.fbeta_score(y, p > 0.5, beta=2, average="samples"))


def test_what_has_no_denominator_is_in_no_mean():
    y = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 1]])  # class 1 is absent, class 2 is everywhere
    p = np.array([[0.9, 0.2, 0.8], [0.2, 0.9, 0.1], [0.4, 0.1, 0.9], [0.3, 0.2, 0.8]])
    found = multilabel.scores(p, p > 0.5, y)
    for name in ("average_precision", "f1", "f2", "precision", "recall"):
        assert np.isnan(found.each[name]).tolist() == [False, True, False]
        assert found.means[f"{name}_macro"] == pytest.approx(found.each[name][[0, 2]].mean())
    assert np.isnan(found.each["auroc"]).tolist() == [False, True, True]
    assert np.isnan(found.each["specificity"]).tolist() == [False, False, True]
    assert (found.means["n_absent"], found.absent.tolist()) == (1, [False, True, False])
    # torchmetrics counts what was said of the absent class as an F1 of 0
    theirs = float(tm.multilabel_f1_score(torch.tensor(p), torch.tensor(y), num_labels=3))
    assert theirs == pytest.approx(found.each["f1"][[0, 2]].sum() / 3)


def test_a_sample_without_a_positive_is_right_where_nothing_is_said_of_it():
    y, said = np.array([[0, 0], [0, 0], [1, 0]]), np.array([[False, False], [True, False], [True, False]])
    found = multilabel.scores(said.astype(float), said, y).means
    for name in ("f1", "f2", "precision", "recall"):
        assert found[f"{name}_samplewise"] == pytest.approx((1 + 0 + 1) / 3)
    assert found["average_precision_samplewise"] == 1  # of the last sample alone


def test_an_unknown_label_changes_nothing():
    y, p = drawn(30)
    unknown = np.random.default_rng(1).random(y.shape) < 0.2
    unknown[:, :2] = False
    first = multilabel.scores(p, p > 0.5, np.where(unknown, -1, y))
    other = multilabel.scores(
        np.where(unknown, 0.99, p), np.where(unknown, True, p > 0.5), np.where(unknown, np.nan, y)
    )
    assert first.means == other.means
    kept = plain(y[~unknown], p[~unknown], 0.5)
    assert first.means["f1_micro"] == pytest.approx(kept["f1"])
    sample = [plain(a[~u], b[~u], 0.5) for a, b, u in zip(y, p, unknown, strict=True)]
    for name in ("average_precision", "auroc"):
        assert first.means[f"{name}_samplewise"] == pytest.approx(np.mean([s[name] for s in sample]))


def test_nothing_known_is_no_number():
    found = multilabel.scores(np.zeros((2, 2)), np.zeros((2, 2), bool), np.full((2, 2), -1))
    assert all(np.isnan(v) for k, v in found.means.items() if k not in ("exact_match", "n_absent"))
