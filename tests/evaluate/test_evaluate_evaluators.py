"""Every evaluator on embeddings whose truth is known: a separable label, one at chance, missing rows, odd targets."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from contract import evaluator as contract
from contract.evaluator import embeddings as made
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from multimodal_lab.evaluate.centroid import Centroid
from multimodal_lab.evaluate.chance import beside, chance
from multimodal_lab.evaluate.collapse import Collapse
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.kmeans import KMeans
from multimodal_lab.evaluate.knn import KNN
from multimodal_lab.evaluate.probe import Probe
from multimodal_lab.evaluate.retrieval import Retrieval
from multimodal_lab.evaluate.rsa import RSA
from multimodal_lab.evaluate.silhouette import Silhouette
from multimodal_lab.evaluate.tasks import kind
from multimodal_lab.evaluate.variance import Variance

CONF = Path(__file__).parents[2] / "conf" / "evaluate"


@pytest.fixture(scope="module")
def both():
    return made()


@pytest.fixture(scope="module")
def probed(both):
    return Probe()(*both)


FEWER = {
    "few_shot": {"shots": [1, 4], "draws": 2}
}  # regressions: the default's 25 for each label and stream take seconds
FILES = sorted(p.stem for p in CONF.glob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_a_config_lists_every_default(name):
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text())[name]
    module, _, cls = config.pop("_target_").rpartition(".")
    assert vars(contract.made(name).build()) == vars(getattr(importlib.import_module(module), cls)())


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", FILES)
def test_it_gives_what_it_owes(name, check):
    check(contract.made(name, **FEWER.get(name, {})))


def test_a_contract_that_is_broken_says_what_is_owed():
    def broken(give):
        return contract.Made("rsa", lambda: give, contract.made("rsa").stated)

    with pytest.raises(AssertionError, match="evaluator rsa: rsa/uv changes with rows that are missing; take x"):
        contract.missing_rows(broken(lambda train, test: {f"rsa/{k}": float(x.sum()) for k, x in test.vectors.items()}))
    with pytest.raises(AssertionError, match=r"evaluator rsa: IndexError: .* with one test row; record a skip"):
        contract.few_rows(broken(lambda train, test: {"rsa/rgb": float(test.vectors["rgb"][1, 0])}))
    with pytest.raises(AssertionError, match="is another number the second time; give its random draws a seed"):
        contract.again(broken(lambda train, test: {"rsa/rgb": float(np.random.default_rng().random())}))


@pytest.mark.parametrize("evaluator", [KNN(), Centroid(), KNN(metric="euclidean"), Centroid(metric="euclidean")])
def test_classifiers_find_what_is_there_and_nothing_else(evaluator, both):
    scores = evaluator(*both)
    key = type(evaluator).__name__.lower()
    assert scores[f"{key}/rgb/species/accuracy"] > 0.95
    assert scores[f"{key}/uv/sex/accuracy"] > 0.9
    assert abs(scores[f"{key}/rgb/sex/accuracy"] - 0.5) < 0.2
    assert scores[f"{key}/rgb/mass/skipped/target_is_values"] == 1
    assert scores[f"{key}/rgb/traits/skipped/target_is_multilabel"] == 1
    assert scores[f"{key}/rgb/caption/skipped/target_is_sequence"] == 1


def test_probe_reads_classes_several_labels_and_values(both, probed):
    assert probed["probe/fused/species/accuracy"] > 0.95
    assert probed["probe/uv/sex/balanced_accuracy"] > 0.95
    assert probed["probe/uv/sex/macro_f1"] > 0.95
    assert abs(probed["probe/fused/coin/accuracy"] - 0.5) < 0.2
    assert probed["probe/rgb/traits/average_precision_macro"] > 0.9
    assert probed["probe/rgb/traits/n_absent"] == 1
    assert probed["probe/rgb/mass/r2"] > 0.95
    assert "probe/rgb/caption/accuracy" not in probed
    train, test = both
    assert probed["chance/sex"] == np.bincount(test.targets["sex"]).max() / 80
    commonest = np.bincount(train.targets["sex"]).argmax()
    assert probed["chance_prior/sex"] == (test.targets["sex"] == commonest).mean()
    assert probed["chance/mass"] == 0
    assert probed["chance/traits"] == pytest.approx(test.targets["traits"][:, :2].mean())
    majority = train.targets["traits"].mean(0) > 0.5
    assert probed["chance_majority/traits"] == pytest.approx((test.targets["traits"] == majority).mean())
    assert probed["chance_majority/traits"] < probed["probe/rgb/traits/accuracy_micro"] <= 1


def test_missing_rows_are_left_out_and_counted(both, probed):
    _, test = both
    seen, labelled = test.present["uv"], test.targets["species"] >= 0
    assert 0 < (seen & labelled).sum() < seen.sum() < 80
    assert probed["probe/uv/species/n"] == (seen & labelled).sum()
    assert probed["probe/uv/species/n_missing"] == 80 - (seen & labelled).sum()
    assert probed["probe/uv/sex/n"] == seen.sum()


def test_missing_rows_say_nothing(both):
    """Whatever stands in the row of a missing modality or label, no score moves."""
    changed = tuple(e.rows(np.arange(len(e))) for e in both)
    for e in changed:
        e.vectors["uv"][~e.present["uv"]] = 1e6
    for evaluator in (
        KNN(),
        Probe(),
        Centroid(),
        KMeans(),
        Silhouette(),
        Retrieval(),
        RSA(permutations=9),
        Variance(),
        Collapse(),
    ):
        ours, theirs = evaluator(*both), evaluator(*changed)
        assert ours == pytest.approx(theirs, nan_ok=True), type(evaluator)


def test_probe_equals_sklearn_with_the_strength_it_chose(both, probed):
    train, test = both
    x, center, scale = train.vectors["rgb"], train.vectors["rgb"].mean(0), train.vectors["rgb"].std(0)
    model = LogisticRegression(C=probed["probe/rgb/coin/C"], max_iter=5000)
    model.fit((x - center) / scale, train.targets["coin"])
    expected = model.score((test.vectors["rgb"] - center) / scale, test.targets["coin"])
    assert probed["probe/rgb/coin/accuracy"] == pytest.approx(expected, abs=1.01 / 80)


def test_probe_chooses_its_strength_without_test_and_by_group():
    """Vectors name their group and groups carry random labels: only validation that cuts groups finds any signal."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 6)
    x = (rng.normal(size=(40, 60))[groups] + 0.1 * rng.normal(size=(240, 60))).astype(np.float32)
    y = rng.integers(0, 2, 40)[groups]
    whole, split = np.ones(240, dtype=bool), np.full(240, "train")
    ids = [str(i) for i in range(240)]

    def probe(groups):
        train = Embeddings({"a": x}, {"a": whole}, {"y": y}, {}, ids, groups, split)
        seen = []
        evaluator = Probe(strengths=[1e-4, 1.0])
        choose = evaluator._choose

        def spied(x, y, classes, groups, fit, score):
            return choose(x, y, classes, groups, fit, lambda z, t: seen.append(score(z, t)) or seen[-1])

        evaluator._choose = spied
        first = evaluator(train, train)["probe/a/y/C"]
        flipped = Embeddings({"a": x}, {"a": whole}, {"y": 1 - y}, {}, ids, groups, split)
        assert Probe(strengths=[1e-4, 1.0])(train, flipped)["probe/a/y/C"] == first
        return np.mean(seen[1::2])

    assert probe(groups) < 0.75  # no group is on both sides
    assert probe(np.arange(240)) > 0.95  # every row its own group: the same vectors leak, as they would


def test_probe_chooses_on_the_validation_split_and_is_refitted_on_both():
    """What validation rows say of a strength is the other way round than folds of the training rows do."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(240, 8)).astype(np.float32), np.tile([0, 1], 120)
    x[:, 0] += 3 * y
    y[:120][rng.random(120) < 0.3] ^= 1  # noise in training rows: their folds want more regularisation
    split = np.repeat(["train", "val", "test"], 80)
    e = Embeddings(
        {"a": x}, {"a": np.ones(240, bool)}, {"y": y}, {}, [str(i) for i in range(240)], np.arange(240), split
    )
    train, val, test = (e.select(name) for name in ("train", "val", "test"))
    strengths = [1e-5, 0.1, 100.0]
    found = Probe(strengths=strengths, choose_on="val")(train, test, val=val)
    both = e.rows(np.arange(160))
    center, scale = both.vectors["a"].mean(0), both.vectors["a"].std(0)

    def fitted(rows, c):
        return LogisticRegression(C=c, max_iter=5000).fit((rows.vectors["a"] - center) / scale, rows.targets["y"])

    scored = [fitted(train, c).score((val.vectors["a"] - center) / scale, val.targets["y"]) for c in strengths]
    best = strengths[int(np.argmax(scored))]
    assert found["probe/a/y/C"] == best
    assert found["probe/a/y/n_train"] == 160
    model = fitted(both, best)
    held = (test.vectors["a"] - center) / scale
    assert found["probe/a/y/accuracy"] == pytest.approx(model.score(held, test.targets["y"]), abs=1.01 / 80)
    p = model.predict_proba(held)
    assert found["probe/a/y/nll"] == pytest.approx(log_loss(test.targets["y"], p), rel=1e-2)
    assert found["probe/a/y/brier"] == pytest.approx(brier_score_loss(test.targets["y"], p), rel=1e-2)
    plain = Probe(strengths=strengths, choose_on="val")(train, test)  # as in a validation pass
    assert plain == Probe(strengths=strengths)(train, test)
    assert plain["probe/a/y/n_train"] == 80


def two_streams(count=240, seed=0):
    """Streams a and b of one normal number each; y is the sign of their sum. The training part has one class."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 2)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int64)
    split = np.repeat(["train", "val", "test"], count // 3)
    y[split == "train"] = 1
    rows = np.ones(count, bool)
    vectors = {"a": x[:, :1], "b": x[:, 1:]}
    ids = [str(i) for i in range(count)]
    return Embeddings(vectors, {"a": rows, "b": rows}, {"y": y}, {}, ids, np.arange(count), split)


def test_probe_fitted_on_validation_rows_alone_learns_what_training_rows_cannot_tell():
    e = two_streams()
    train, val, test = (e.select(name) for name in ("train", "val", "test"))
    assert Probe()(train, test, val=val)["probe/a/y/skipped/fewer_than_two_training_classes"] == 1
    probe = Probe(fit_on="val", join=True)
    found = probe(train, test, val=val)
    assert found["probe/joined/y/n_train"] == 80
    assert found["probe/joined/y/accuracy"] > 0.9 > found["probe/a/y/accuracy"]  # both numbers are needed
    assert found["chance/y"] == pytest.approx(np.mean(test.targets["y"] == np.bincount(val.targets["y"]).argmax()))
    assert "probe/late/y/accuracy" not in found
    assert {p.stream for p in probe.predictions} == {"a", "b", "joined"}
    x = np.concatenate([val.vectors["a"], val.vectors["b"]], 1)
    center, scale = x.mean(0), x.std(0)
    model = LogisticRegression(C=found["probe/joined/y/C"], max_iter=5000).fit((x - center) / scale, val.targets["y"])
    held = (np.concatenate([test.vectors["a"], test.vectors["b"]], 1) - center) / scale
    assert found["probe/joined/y/accuracy"] == pytest.approx(model.score(held, test.targets["y"]), abs=1.01 / 80)


def test_rows_that_lack_a_stream_are_in_no_joined_vector():
    e = two_streams()
    e.present["b"] = np.arange(240) % 2 == 0
    found = Probe(fit_on="val", join=True)(*(e.select(name) for name in ("train", "test", "val")))
    assert (found["probe/joined/y/n"], found["probe/joined/y/n_missing"]) == (40, 40)
    fused = Embeddings({**e.vectors, "fused": e.vectors["a"]}, {**e.present, "fused": e.present["a"]}, e.targets, {}, e.ids,
                       e.groups, e.split)  # fmt: skip
    scores = Probe(fit_on="val", join=True)(*(fused.select(name) for name in ("train", "test", "val")))
    assert not [key for key in scores if "/joined/" in key]


def test_probe_without_a_validation_split_to_fit_on_is_refused():
    data = type("Data", (), {"splits": {"train": [0], "val": []}})
    with pytest.raises(ValueError, match=r"fit_on=val: there is no validation split to fit on"):
        Probe(fit_on="val").require(data, ("train", "test"), "test")
    with pytest.raises(ValueError, match=r"fit_on=val: the validation split is what is scored"):
        Probe(fit_on="val").require(data, ("train", "val"), "val")
    with pytest.raises(ValueError, match=r"take choose_on=folds"):
        Probe(fit_on="val", choose_on="val")


def test_probe_without_a_validation_split_to_choose_on_is_refused():
    data = type("Data", (), {"splits": {"train": [0], "val": []}})
    with pytest.raises(
        ValueError, match=r"choose_on=val: there is no validation split to choose on \(give data.split.val"
    ):
        Probe(choose_on="val").require(data, ("train", "test"), "test")
    (note,) = Probe(choose_on="val").require(data, ("train", "val"), "val")
    assert note.endswith("strengths are chosen in folds of train")
    assert Probe().require(data, ("train", "test"), "test") == []


def test_unseen_classes_are_counted_or_skipped(both):
    train, test = (e.rows(np.arange(len(e))) for e in both)
    train.targets["species"] = np.where(train.targets["species"] == 3, -1, train.targets["species"])
    scores = KNN()(train, test)
    assert scores["knn/rgb/species/n_unseen"] == (test.targets["species"] == 3).sum() > 0
    assert scores["knn/rgb/species/accuracy"] < 0.85
    test.targets["species"] = np.full(80, 9)
    assert KNN()(train, test)["knn/rgb/species/skipped/no_test_class_in_training"] == 1
    assert Probe()(train, test)["probe/rgb/species/skipped/no_test_class_in_training"] == 1
    train.targets["sex"][:] = 1
    assert KNN()(train, test)["knn/rgb/sex/skipped/fewer_than_two_training_classes"] == 1
    test.present["uv"][:] = False
    assert KNN()(train, test)["knn/uv/coin/skipped/no_test_rows"] == 1


def test_clusters_and_spread(both):
    km, si, va = (cls()(*both) for cls in (KMeans, Silhouette, Variance))
    assert km["kmeans/rgb/species/ari"] > 0.9
    assert km["kmeans/rgb/species/k"] == 4
    assert abs(km["kmeans/rgb/coin/ari"]) < 0.1
    assert si["silhouette/rgb/species/score"] > 0.3 > abs(si["silhouette/rgb/coin/score"]) + 0.2
    assert va["variance/rgb/species/explained"] > 0.5
    assert va["variance/rgb/coin/explained"] == pytest.approx(va["variance/rgb/coin/chance"], abs=0.02)


def test_silhouette_leaves_single_samples_out(both):
    train, test = (e.rows(np.arange(len(e))) for e in both)
    test.targets["species"][test.targets["species"] >= 0] = 0
    test.targets["species"][:2] = [7, 8]
    scores = Silhouette()(train, test)
    assert scores["silhouette/rgb/species/n_single"] == 2
    assert scores["silhouette/rgb/species/skipped/fewer_than_two_classes_of_two"] == 1
    assert Silhouette(limit=30)(train, test)["silhouette/rgb/coin/n_used"] == 30
    test.vectors["rgb"] = np.ones_like(test.vectors["rgb"])
    collapsed = Silhouette()(train, test)
    assert collapsed["silhouette/rgb/coin/skipped/embeddings_are_one_point"] == 1
    assert "silhouette/rgb/coin/score" not in collapsed


def test_retrieval_between_names_uses_the_projection_and_skips_other_widths(both):
    train, test = both
    scores = Retrieval(labels=["species", "mass"])(train, test)
    n = test.present["uv"].sum()
    assert scores["retrieval/rgb->uv/n"] == n
    assert scores["retrieval/rgb->uv/chance_R@5"] == pytest.approx(5 / n)
    assert scores["retrieval/rgb->uv/species/R@1"] > scores["retrieval/rgb->uv/R@1"]
    assert scores["retrieval/rgb->uv/mass/skipped/target_is_values"] == 1
    assert scores["retrieval/fused->uv/skipped/width_32_is_not_16"] == 1
    z = np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32)
    projected = test.rows(np.arange(80))
    projected.projected = {"rgb": z, "uv": z * 3}
    assert Retrieval()(train, projected)["retrieval/uv->rgb/R@1"] == 1
    assert Retrieval()(train, projected)["retrieval/uv->rgb/projected"] == 1
    assert Retrieval(projection=False)(train, projected)["retrieval/uv->rgb/R@1"] < 1
    with pytest.raises(ValueError, match="no label 'spices'; there are species"):
        Retrieval(labels=["spices"])(train, test)


def test_a_query_without_a_positive_is_counted_or_refused():
    """Two rows of two classes hold one text, which is of the first's: the second's image has no text of its class."""
    x = np.eye(3, dtype=np.float32)
    rows = Embeddings(
        {"image": x, "text": x[[0, 0, 2]]}, {k: np.ones(3, bool) for k in ("image", "text")},
        {"kind": np.array([0, 1, 0])}, {"kind": ["a", "b"]}, ["r", "s", "t"], np.arange(3), np.full(3, "test"),
        items={"text": np.array([0, 0, 2])},
    )  # fmt: skip
    scores = Retrieval(at=[1], labels=["kind"])(rows, rows)
    key = "retrieval/image->text"
    assert (scores[f"{key}/unmatched"], scores[f"{key}/queries"]) == (0, 3)
    assert (scores[f"{key}/kind/unmatched"], scores[f"{key}/kind/queries"], scores[f"{key}/kind/R@1"]) == (1, 3, 1)
    assert scores[f"{key}/mean_rank"] == pytest.approx(
        (1 + 2 + 1) / 3
    )  # the second image's text stands behind the third's
    with pytest.raises(ValueError, match=r"kind: 1 of 3 queries have no positive; evaluate.retrieval.unmatched=skip"):
        Retrieval(labels=["kind"], unmatched="raise")(rows, rows)


def test_rsa_and_collapse(both):
    train, test = (e.rows(np.arange(len(e))) for e in both)
    rsa = RSA(permutations=19)(train, test)
    assert rsa["rsa/rgb-fused/spearman"] > 0.5
    assert rsa["rsa/rgb-fused/p"] == 0.05
    assert rsa["rsa/rgb-uv/n_used"] == test.present["uv"].sum()
    healthy = Collapse()(train, test)
    test.vectors["rgb"][:] = 1
    sick = Collapse()(train, test)
    assert healthy["collapse/rgb/rankme"] > 5 > 1.1 > sick["collapse/rgb/rankme"]
    assert healthy["collapse/rgb/uniformity"] < -1 < -1e-6 < sick["collapse/rgb/uniformity"]
    assert 0 < healthy["collapse/rgb-uv/alignment"] < 2
    assert sick["collapse/rgb-fused/skipped/width_16_is_not_32"] == 1
    assert RSA()(train, test)["rsa/rgb-uv/skipped/all_similarities_equal"] == 1


def test_kinds():
    assert kind(np.array([0, -1, 2])) == "classes"
    assert kind(np.array([0.5, np.nan])) == "values"
    assert kind(np.array([[0.0, 1], [np.nan, 1]])) == "multilabel"
    assert kind(np.array([[0.2, 1], [1, 1]])) == "values"
    assert kind(np.array([[5, 1], [1, 0]])) == "sequence"


def test_chance_needs_labelled_rows(both):
    train, test = (e.rows(np.arange(len(e))) for e in both)
    test.targets["sex"][:] = -1
    assert "chance/sex" not in chance(train, test)


@pytest.mark.parametrize("judge", [KNN(), Centroid()])
def test_chance_stands_beside_every_accuracy_as_the_probe_tells_it(both, judge):
    train, test = both
    scores = judge(train, test)
    found, probed = beside(scores, train, test), Probe()(train, test)
    assert "chance/sex" in found
    assert found == {k: probed[k] for k in found}
    assert {k.split("/")[1] for k in found} == {k.split("/")[2] for k in scores if k.endswith("/accuracy")}
    assert beside({**scores, **probed}, train, test) == {}
    assert beside({}, train, test) == {}
