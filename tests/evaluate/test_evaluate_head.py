"""What the trained heads say is what is scored: values of scikit-learn and torchmetrics, the rows that count, the calls."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
import torch
import torchmetrics.functional as tm
from torch import nn

from multimodal_lab.evaluate import class_scores, predictions, thresholds
from multimodal_lab.evaluate.call import asks, call
from multimodal_lab.evaluate.embeddings import Embeddings, embed_batches
from multimodal_lab.evaluate.head import Head
from multimodal_lab.evaluate.said import Said
from multimodal_lab.metric import multilabel
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
    assert found["average_precision"] == pytest.approx(
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


def test_several_labels_have_every_score_and_name_a_class_without_a_positive():
    rng = np.random.default_rng(0)
    y = (rng.random((N, 4)) < 0.4).astype(np.float32)
    y[:, 3] = 0
    z = (rng.normal(size=(N, 4)) + y).astype(np.float32)
    head = Head()
    found = own(head(table(y, z, classes=["urban", "water", "a/b", "dune"])))
    every = multilabel.scores(z.astype(float), z > 0, y)
    assert {k: found[k] for k in every.means} == every.means
    assert found["f1@water"] == every.each["f1"][1]
    assert "average_precision@a_b" in found
    assert [k for k in found if k.startswith("absent@")] == ["absent@dune"]
    (classes,) = (t.frame for t in head.tables)
    assert classes["class"].tolist() == ["urban", "water", "a/b", "dune"]
    assert classes["positives"].tolist() == y.sum(0).tolist()
    assert classes.loc[3, ["average_precision", "auroc", "f1", "recall"]].isna().all()
    assert classes["recall"][:3].tolist() == pytest.approx(every.each["recall"][:3])


def test_a_single_unknown_label_is_left_out_alone():
    y, z = (
        np.array([[1, 0], [0, -1], [1, 1], [-1, -1]], np.float32),
        np.array([[1, -1], [1, 5], [1, -1], [9, 9]], np.float32),
    )
    head = Head()
    found = own(head(table(y, z)))
    assert (found["n"], found["n_missing"]) == (3, 1)
    assert found["accuracy_micro"] == pytest.approx(3 / 5)
    assert head.predictions[0].rows.tolist() == [0, 2]


def rarely_above_one_half(n=400, k=2):
    rng = np.random.default_rng(0)
    y = (rng.random((n, k)) < 0.3).astype(np.float32)
    return y, (rng.normal(size=(n, k)) + 3 * y - 4).astype(np.float32)


def test_thresholds_are_tuned_on_validation_where_asked_alone(tmp_path):
    y, z = rarely_above_one_half()
    val, test = (table(y[i::2], z[i::2], classes=["water", "urban"]) for i in range(2))
    head = Head(threshold="tuned")
    plain, tuned = own(Head()(test, val)), own(head(test, val))
    best = max(sk.f1_score(y[::2, 0], z[::2, 0] > t) for t in np.linspace(-6, 2, 200))
    assert own(Head(threshold="tuned")(val, val))["f1@water"] >= best - 1e-9
    assert tuned["f1_macro"] > plain["f1_macro"] + 0.1
    assert tuned["average_precision_macro"] == plain["average_precision_macro"]
    assert own(Head(threshold="tuned")(test, None)) == plain
    head(test, val)
    thresholds.write(tmp_path, head.tuned)
    kept = thresholds.read(tmp_path)
    assert kept == {"classifier": dict(zip(["water", "urban"], head.tuned[0].values.tolist(), strict=True))}
    given = Head(threshold="tuned")
    given.thresholds = kept  # as where a run is judged on other data
    assert own(given(test, None)) == tuned


@pytest.mark.parametrize("what", ["labels", "values", "rows"])
def test_no_threshold_moves_with_the_test_split(what):
    """Other test labels, outputs or samples change scores, and not one threshold; other validation labels change them."""
    y, z = rarely_above_one_half()
    val, test = (table(y[i::2], z[i::2]) for i in range(2))
    other = {"labels": table(1 - y[1::2], z[1::2]), "values": table(y[1::2], -z[1::2]), "rows": test.rows(slice(0, 9))}[
        what
    ]
    one, two = Head(threshold="tuned"), Head(threshold="tuned")
    assert own(one(test, val)) != own(two(other, val))
    np.testing.assert_array_equal(one.tuned[0].values, two.tuned[0].values)
    one(test, table(1 - y[::2], z[::2]))
    assert (one.tuned[0].values != two.tuned[0].values).all()


def test_a_class_without_a_positive_in_validation_keeps_one_half(caplog):
    y, z = rarely_above_one_half()
    head, val = Head(threshold="tuned"), table(np.where([[True, False]], y, 0), z)
    head(table(y, z), val)
    assert head.tuned[0].values[1] == 0.5 != head.tuned[0].values[0]
    assert "the validation split has no positive of 1 of 2 classes (1); their threshold stays 0.5" in caplog.text


def test_what_a_head_can_not_score_is_said_before_the_training():
    y, _ = rarely_above_one_half(8)
    samples = pd.DataFrame({"id": range(8), "country": "Austria", "tile": "33UUP"})
    data = SimpleNamespace(samples=samples, classes={"label": ["a", "b"]}, targets={"label": y}, splits={"val": [1]})
    with pytest.raises(
        ValueError, match=r"evaluate\.head\.by: .* no column 'contry'; expected one of country, tile; nearest: cou"
    ):
        Head(by=["contry"]).require(data, ["train", "val", "test"], "test")
    tuned = Head(threshold="tuned")
    assert tuned.require(data, ["train", "val", "test"], "test") == []
    with pytest.raises(
        ValueError, match=r"threshold=tuned: there is no validation split to tune on \(embed.splits has none\)"
    ):
        tuned.require(data, ["test"], "test")
    data.splits = {}
    with pytest.raises(ValueError, match=r"\(give data.split.val a share\)"):
        tuned.require(data, ["train", "test"], "test")
    assert "none is tuned with eval_split=val" in tuned.require(data, ["train", "val"], "val")[0]


def test_classes_are_scored_by_the_values_of_a_column(tmp_path):
    y, z = rarely_above_one_half(60)
    country = np.array([["Austria", "Finland", None][i % 3] for i in range(60)], object)
    y[country == "Finland", 0] = 0
    data = SimpleNamespace(samples=pd.DataFrame({"id": [f"s{i}" for i in range(59, -1, -1)], "country": country[::-1]}))
    head = Head(by=["country"], threshold=0.05)
    head(table(y, z, classes=["water", "urban"]), None, data)
    class_scores.write(tmp_path, head.tables)
    found = pd.read_csv(tmp_path / "scores/by.csv").set_index(["value", "class"])
    for value, rows in (("Austria", country == "Austria"), ("(none)", country == None)):  # noqa: E711
        said = z[rows] > np.log(0.05 / 0.95)
        for i, name in enumerate(["water", "urban"]):
            own_row = found.loc[(value, name)]
            assert (own_row.n, own_row.positives) == (rows.sum(), y[rows, i].sum())
            assert own_row.f1 == pytest.approx(sk.f1_score(y[rows, i], said[:, i]))
            assert own_row.average_precision == pytest.approx(sk.average_precision_score(y[rows, i], z[rows, i]))
        each = found.loc[value]
        assert each.f1["(macro)"] == pytest.approx(each.f1[["water", "urban"]].mean())
    assert found.loc["Finland"].positives["water"] == 0
    assert np.isnan(found.loc["Finland"].average_precision["water"])
    assert len(pd.read_csv(tmp_path / "scores/classes.csv")) == 2


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
