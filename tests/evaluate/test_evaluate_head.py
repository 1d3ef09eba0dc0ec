"""What the trained heads say is what is scored: values of scikit-learn and torchmetrics, the rows that count, the calls."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
import torchmetrics.functional as tm
from torch import nn

from multimodal_lab.evaluate import predictions
from multimodal_lab.evaluate.call import asks, call
from multimodal_lab.evaluate.embeddings import Embeddings, embed_batches
from multimodal_lab.evaluate.head import Head
from multimodal_lab.evaluate.said import Said
from multimodal_lab.types import Batch, Features

N = 60


def table(target, values, rows=None, classes=()):
    rows = np.ones(len(target), bool) if rows is None else rows
    said = {"classifier": Said("label", values, rows)}
    ids, whole = [f"s{i}" for i in range(len(target))], np.full(len(target), "test")
    return Embeddings(
        {}, {}, {"label": target}, {"label": list(classes)}, ids, np.arange(len(target)), whole, said=said
    )


def drawn(k, n=N, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    return y, (rng.normal(size=(n, k)) + 2 * np.eye(k)[y]).astype(np.float32)


def own(found):
    return {key.removeprefix("head/classifier/label/"): value for key, value in found.items()}


@pytest.mark.parametrize("k", [2, 5])
def test_classes_equal_torchmetrics(k):
    y, z = drawn(k)
    found = own(Head()(table(y, z)))
    p, t = torch.tensor(z).double().softmax(1), torch.tensor(y)
    many = {"num_classes": k}
    assert found["accuracy"] == pytest.approx((z.argmax(1) == y).mean())
    assert found["balanced_accuracy"] == pytest.approx(float(tm.recall(p, t, "multiclass", average="macro", **many)))
    assert found["macro_f1"] == pytest.approx(float(tm.f1_score(p, t, "multiclass", average="macro", **many)), abs=1e-6)
    assert found["auroc"] == pytest.approx(float(tm.auroc(p, t, "multiclass", average="macro", **many)), abs=1e-6)
    assert found["ap"] == pytest.approx(
        float(tm.average_precision(p, t, "multiclass", average="macro", **many)), abs=1e-6
    )
    confident, right = p.max(1).values.numpy(), z.argmax(1) == y
    bins = np.ceil(confident * 15).astype(int)
    ece = sum(abs(right[bins == b].sum() - confident[bins == b].sum()) for b in set(bins)) / N
    assert found["ece"] == pytest.approx(ece, abs=1e-6)
    assert found["nll"] == pytest.approx(float(nn.functional.cross_entropy(torch.tensor(z), t)), abs=1e-6)
    each = tm.f1_score(p, t, "multiclass", average="none", **many)
    assert [found[f"f1@{i}"] for i in range(k)] == pytest.approx(each.tolist(), abs=1e-6)
    counts = tm.confusion_matrix(p, t, "multiclass", **many)
    assert all(found.get(f"confusion@{i}>{j}", 0) == counts[i, j] for i in range(k) for j in range(k))


def test_log_probabilities_are_scored_as_they_are_and_one_logit_is_yes_or_no():
    y, z = drawn(3)
    logp = torch.tensor(z).log_softmax(1).numpy()
    a, b = Head()(table(y, z)), Head()(table(y, logp))
    assert a == pytest.approx(b, abs=1e-5)
    y, z = drawn(2)
    one, two = Head()(table(y, z[:, 1:] - z[:, :1])), Head()(table(y, z))
    assert one == pytest.approx(two, abs=1e-5)


def test_only_rows_that_were_heard_and_labelled_count():
    y, z = drawn(4)
    rows = np.arange(N) % 5 > 0
    y[::7] = -1
    z[~rows] = 99
    head = Head()
    found = own(head(table(y, z, rows, ["wren", "a/b", "robin", "tit"])))
    kept = rows & (y >= 0)
    assert (found["n"], found["n_missing"]) == (kept.sum(), N - kept.sum())
    assert found["accuracy"] == pytest.approx((z.argmax(1) == y)[kept].mean())
    assert "recall@a_b" in found
    assert head.predictions[0].rows.tolist() == np.flatnonzero(kept).tolist()
    assert own(Head()(table(np.full(N, -1), z)))["skipped/no_test_rows"] == 1
    assert "recall@0" not in own(Head(per_class=3)(table(y, z, rows)))


def test_a_class_that_no_test_row_has_is_in_no_mean():
    y, z = drawn(4)
    y[y == 3] = 0
    found = own(Head()(table(y, z)))
    recall = sk.recall_score(y, z.argmax(1), labels=[0, 1, 2], average=None)
    assert found["balanced_accuracy"] == pytest.approx(recall.mean())
    assert not any(key.endswith("@3") for key in found)


def test_several_labels_equal_scikit_learn():
    rng = np.random.default_rng(0)
    y = (rng.random((N, 4)) < 0.4).astype(np.float32)
    y[:, 3] = 0
    y[5], z = 0, (rng.normal(size=(N, 4)) + y).astype(np.float32)
    z[5] = -3
    found = own(Head()(table(y, z)))
    p, said = 1 / (1 + np.exp(-z.astype(float))), z > 0
    f1 = sk.f1_score(y, said, average=None, zero_division=0)
    assert found["macro_f1"] == pytest.approx(f1[:3].mean())
    assert found["micro_f1"] == pytest.approx(sk.f1_score(y, said, average="micro"))
    assert found["sample_f1"] == pytest.approx(sk.f1_score(y, said, average="samples", zero_division=1.0))
    assert found["macro_ap"] == pytest.approx(sk.average_precision_score(y[:, :3], p[:, :3], average="macro"))
    assert found["micro_ap"] == pytest.approx(sk.average_precision_score(y, p, average="micro"))
    assert found["macro_auroc"] == pytest.approx(sk.roc_auc_score(y[:, :3], p[:, :3]))
    assert found["all_right"] == pytest.approx(sk.accuracy_score(y, said))
    assert found["labels_right"] == pytest.approx(1 - sk.hamming_loss(y, said))
    assert found["f1@1"] == pytest.approx(f1[1])
    assert found["n_absent"] == 1


def test_a_single_unknown_label_is_left_out_alone():
    y, z = (
        np.array([[1, 0], [0, -1], [1, 1], [-1, -1]], np.float32),
        np.array([[1, -1], [1, 5], [1, -1], [9, 9]], np.float32),
    )
    head = Head()
    found = own(head(table(y, z)))
    assert (found["n"], found["n_missing"]) == (3, 1)
    assert found["labels_right"] == pytest.approx(3 / 5)
    assert head.predictions[0].rows.tolist() == [0, 2]


def test_thresholds_are_tuned_on_validation_where_asked_alone():
    rng = np.random.default_rng(0)
    y = (rng.random((400, 2)) < 0.3).astype(np.float32)
    z = (rng.normal(size=(400, 2)) + 3 * y - 4).astype(np.float32)  # a yes is rarely above one half
    val, test = (table(y[i::2], z[i::2]) for i in range(2))
    plain, tuned = own(Head()(test, val)), own(Head(tune_threshold=True)(test, val))
    best = max(sk.f1_score(y[::2, 0], z[::2, 0] > t) for t in np.linspace(-6, 2, 200))
    assert own(Head(tune_threshold=True)(val, val))["f1@0"] >= best - 1e-9
    assert tuned["macro_f1"] > plain["macro_f1"] + 0.1
    assert tuned["macro_ap"] == plain["macro_ap"]
    with pytest.warns(
        UserWarning, match=r"tune_threshold=true, and there is no validation split .* above threshold=0\.5"
    ):
        assert own(Head(tune_threshold=True)(test, None)) == plain


def test_numbers_are_scored_in_their_own_unit():
    rng = np.random.default_rng(0)
    y = rng.normal(1000, 50, N).astype(np.float32)
    z = (y + rng.normal(0, 10, N)).astype(np.float32)[:, None]
    y[3] = np.nan
    known = np.arange(N) != 3
    found = own(Head()(table(y, z)))
    assert found["r2"] == pytest.approx(sk.r2_score(y[known], z[known]), abs=1e-6)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(y[known], z[known]))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y[known], z[known]))
    assert "nll" not in found
    spread = own(Head()(table(y, np.concatenate([z, np.full_like(z, 100)], 1))))
    expected = -torch.distributions.Normal(torch.tensor(z[known, 0]), 10.0).log_prob(torch.tensor(y[known])).mean()
    assert spread["nll"] == pytest.approx(float(expected), rel=1e-5)
    assert spread["r2"] == found["r2"]
    two = np.stack([y, y[::-1]], 1)
    both = own(Head()(table(two, np.concatenate([z, z[::-1] * 0 + 1000], 1))))
    assert both["mae"] == pytest.approx((found["mae"] + np.nanmean(np.abs(y - 1000))) / 2)


class Toy(nn.Module):
    """Heads of three sorts: one that reads a stream, one that writes words, one that says something of each name."""

    def __init__(self):
        super().__init__()
        reads, writes = nn.Identity(), nn.Identity()
        reads.input = "uv"
        writes.predict = lambda features, batch: batch.targets["caption"] + 1
        self.heads = nn.ModuleDict({"reads": reads, "writes": writes, "apart": nn.Identity(), "space": nn.Identity()})
        self.labels = {"reads": "sex", "writes": "caption", "apart": "sex"}
        self.asked = 0

    def encode(self, batch):
        features = {k: Features.from_vector(x).keep(batch.present[k]) for k, x in batch.inputs.items()}
        said = {k: f.pooled[:, :2] for k, f in features.items()}
        return features, {"reads": features["uv"].pooled[:, :2] + 1, "writes": None, "apart": said, "space": said}


def batches():
    g = torch.Generator().manual_seed(0)
    for i, split in enumerate(("train", "val", "test")):
        n, x = 4 + i, torch.randn(4 + i, 3, generator=g)
        there = {"rgb": torch.ones(n, dtype=torch.bool), "uv": torch.arange(n) > 0}
        targets = {"sex": torch.arange(n) % 2, "caption": torch.full((n, 3), 7)}
        yield split, Batch({"rgb": x, "uv": -x}, targets, there, torch.arange(n) + 10 * i, torch.arange(n))


def test_what_heads_say_is_kept_beside_the_embeddings():
    names = {i: str(i) for i in range(40)}
    assert not embed_batches(Toy(), batches(), names=names, classes={}).said
    e = embed_batches(Toy(), batches(), names=names, classes={}, heads=("test",))
    assert {k: s.label for k, s in e.said.items()} == {
        "reads": "sex",
        "writes": "caption",
        "apart.rgb": "sex",
        "apart.uv": "sex",
    }
    assert e.said["reads"].rows.tolist() == e.present["uv"].tolist()
    assert (e.said["reads"].values[0] == 0).all()
    test = e.select("test")
    assert test.said["writes"].rows.all()
    assert not e.select("val").said["writes"].rows.any()
    head = Head()
    found = head(test, None, SimpleNamespace(tokens={"caption": SimpleNamespace(decode=lambda t: f"{t[0]} words")}))
    assert {key.split("/")[1] for key in found} == {"reads", "apart.rgb", "apart.uv"}
    words = next(p for p in head.predictions if p.label == "caption")
    assert (words.truth[0], words.predicted[0]) == ("7 words", "8 words")


def test_words_are_written_to_the_predictions(tmp_path):
    test = table(np.arange(2), np.zeros((2, 2)))
    nan = np.full(2, np.nan)
    said = predictions.Predicted(
        "head", "writes", "caption", np.arange(2), np.array(["a", "b"], object), np.array(["c", "d"], object), nan, nan
    )
    predictions.write(tmp_path / "p.parquet", test, [said])
    import pandas as pd

    assert pd.read_parquet(tmp_path / "p.parquet")["predicted"].tolist() == ["c", "d"]


def test_a_head_that_is_not_finite_is_named():
    class Sick(Toy):
        def encode(self, batch):
            features, out = super().encode(batch)
            return features, {**out, "reads": out["reads"] * torch.inf}

    with pytest.raises(ValueError, match="head reads says numbers that are not finite"):
        embed_batches(Sick(), batches(), names={i: str(i) for i in range(40)}, classes={}, heads=())


def test_an_evaluator_gets_what_its_signature_asks_for():
    told = {"train": 1, "test": 2, "val": 3, "data": 4, "system": 5, "device": 6}
    assert call(lambda test, val, data, system, device: {"x": (test, val, data, system, device)}, **told) == {
        "x": (2, 3, 4, 5, 6)
    }
    assert call(lambda train, test: {"x": (train, test)}, **told) == {"x": (1, 2)}
    assert call(lambda a, b: {"x": (a, b)}, **told) == {"x": (1, 2)}
    assert asks(lambda a, b: {}, "train")
    assert not asks(Head(), "train")
    assert asks(Head(), "val")


def test_more_classes_than_a_head_has_are_refused():
    y, z = drawn(3)
    with pytest.raises(ValueError, match="a head gives 2 numbers a sample, and its label has class 2"):
        Head()(replace(table(y, z[:, :2])))
