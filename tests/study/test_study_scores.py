"""By which score a label is judged: asked for or by its kind, from what the cells kept of every sample."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from made import LEVELS, study
from scipy.stats import t
from sklearn import metrics

from multimodal_lab.config.problem import StudyError
from multimodal_lab.evaluate import predictions
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.predictions import Predicted
from multimodal_lab.files import file_hash
from multimodal_lab.runs import hashes
from multimodal_lab.stats.score import named as score_named
from multimodal_lab.study.analysis import judge, results
from multimodal_lab.study.analysis.few_groups import too_few, uneven
from multimodal_lab.study.launch.conclude import conclude
from multimodal_lab.study.ledger import outcomes
from multimodal_lab.study.ledger.scoring import require_fitting

GROUPS = 400


def said_again(folder, truth, outputs, kind="accuracy", classes=("common", "rare")):
    """The cells of a made study with answers of their own: truth(samples), outputs(arm, truth, draw)."""
    for own in sorted(p.parent for p in folder.glob("*/predictions.parquet")):
        arm, _, rest = own.name.partition("-s")
        old = pq.read_table(own / "predictions.parquet").to_pandas()
        y = truth(np.array([int(i[1:]) for i in old.id]))
        z = outputs(arm, y, np.random.default_rng([int(rest[0]), *map(ord, arm)]))
        n = len(y)
        test = Embeddings({}, {}, {}, {"sex": list(classes)}, list(old.id), old.group.to_numpy(), np.full(n, "test"))
        made = (predictions.of_values(y, z) if kind == "r2" else
                predictions.of_classes(y, z.argmax(1), np.arange(z.shape[1]), z))  # fmt: skip
        stream = old.stream.iloc[0]
        predictions.write(own / "predictions.parquet", test, [Predicted("probe", stream, "sex", np.arange(n), **made)])
        seal = json.loads((own / hashes.SUMMARY).read_text())
        seal = {k: v for k, v in seal.items() if not k.startswith("probe/")}
        seal |= {f"probe/{stream}/sex/n": n, f"probe/{stream}/sex/{kind}": float(made["score"].mean())}
        seal[hashes.OF_PREDICTIONS] = file_hash(own / hashes.PREDICTIONS)
        (own / hashes.SUMMARY).write_text(json.dumps(seal))
    return folder


def rare(samples):
    return (samples % 66 == 0).astype(int)


def recall(arm, truth, draw):
    """1.5 % of a class that fusion finds in .6 of the cases, and no other arm; all are right in .99 of the others."""
    found = np.where(
        truth == 1, draw.random(len(truth)) < (0.6 if arm == "fused" else 0.0), draw.random(len(truth)) < 0.01
    )
    p = np.where(found, 0.5 + draw.random(len(truth)) / 2, draw.random(len(truth)) / 2)
    return np.stack([1 - p, p], 1)


def numbers(arm, truth, draw):
    return truth + draw.normal(size=len(truth)) * (0.5 if arm == "fused" else 1.0)


def test_a_rare_class_that_fusion_finds_is_not_redundant(tmp_path):
    told = {}
    for name in (None, "accuracy"):
        folder = said_again(study(tmp_path / str(name), groups=GROUPS, score=name), rare, recall)
        found = outcomes.load(folder)
        (answer,) = judge.judge(found)
        told[name] = answer.headline
        made = results.record(found, [answer])["labels"]["sex"]
        assert made["score"]["name"] == (name or "balanced_accuracy")
        assert made["metric"] == made["score"]["name"].replace("_", " ")
    assert told[None].verdict.kind == "adds"
    assert told["accuracy"].verdict.kind == "redundant"
    assert "rare is 1.1 % of the tested samples" in told[None].of.by.why
    assert 0.2 < told[None].of.gain.mean < 0.4


def test_scores_are_of_the_cells_own_predictions(tmp_path):
    folder = said_again(study(tmp_path, groups=50), lambda i: i % 2, recall)
    found = outcomes.load(folder)
    for name, of in (("auroc", metrics.roc_auc_score), ("average_precision", metrics.average_precision_score),
                     ("log_loss", metrics.log_loss), ("brier", metrics.brier_score_loss)):  # fmt: skip
        again = replace(found, plan=replace(found.plan, study=replace(found.plan.study, score={"sex": name})), _by={})
        scores = again.scores("sex")
        for e in found.finished[:6]:
            o = again.outcome(e, "sex", again.speaks(e.cell.arm, "sex"))
            y, p = (o.truth == "rare").astype(int), o.outputs[:, 1]
            value = (of(y, p) + of(1 - y, 1 - p)) / 2
            mean = np.nanmean(scores.score[e.cell.arm][e.cell.seed, 0])
            assert np.isclose(scores.by.score.sign * mean, value), name


def test_a_loss_gains_where_it_falls_and_is_told_as_it_is(tmp_path):
    folder = said_again(study(tmp_path, score="squared_error"), lambda i: np.sin(i), numbers, "r2")
    made = conclude(folder)["labels"]["sex"]
    assert made["verdict"]["kind"] == "adds"
    assert made["comparisons"][0]["gain"]["mean"] == pytest.approx(0.75, abs=0.1)
    assert made["arms"]["fused"]["mean"] == pytest.approx(0.25, abs=0.05)
    assert "points" not in made["verdict"]["sentence"] + made["answer"]["sentence"]
    assert made["score"]["margin"] == pytest.approx(0.02 * made["chance"])  # of the mean as an answer: the variance


def test_a_score_of_another_kind_of_label_is_refused_with_those_that_fit(tmp_path):
    folder = said_again(study(tmp_path, score="auroc"), lambda i: np.sin(i), numbers, "r2")
    with pytest.raises(
        StudyError, match=r"auroc: sex is a label of numbers.*those that do: r2, squared_error, absolute_error"
    ):
        outcomes.load(folder).scoring("sex")
    with pytest.raises(StudyError, match=r"squared_error: sex is a label of classes.*accuracy, balanced_accuracy"):
        require_fitting("squared_error", {"sex": "classes"})


def test_cells_that_kept_no_probabilities_are_refused_in_a_sentence(tmp_path):
    (answer,) = judge.judge(outcomes.load(study(tmp_path, score="log_loss", outputs=False)))
    assert answer.headline is None
    assert "sex: holds no probabilities of every sample" in answer.why


def test_calibration_of_every_arm_stands_in_the_report(tmp_path):
    folder = said_again(study(tmp_path, groups=60), lambda i: i % 2, recall)
    made = conclude(folder)
    told = made["labels"]["sex"]["calibration"]
    assert told.keys() == LEVELS.keys()
    assert sum(b["n"] for b in told["fused"]["bins"]) == 5 * 120
    assert all(own["ece"] > own["calibrated"] > 0 for own in told.values())
    assert "## Calibration" in (folder / "report.md").read_text()
    assert (folder / "figures/reliability.svg").is_file()


@pytest.mark.parametrize(("kind", "score", "rare", "says"), [
    ("classes", "log_loss", 6, r"'rare' stands in 6 groups of the test part, and by log loss no difference .* fewer than 10"),
    ("classes", "log_loss", 12, ""), ("classes", "auroc", 12, ".* by AUROC no .* fewer than 20"),
    ("classes", "accuracy", 6, ""), ("values", "squared_error", 6, ""),
    ("labels", "auroc", 3, r"'rare' stands in 3 groups"), ("labels", "accuracy", 3, ""),
])  # fmt: skip
def test_where_a_class_stands_in_few_groups_its_probabilities_show_nothing_to_be_small(kind, score, rare, says):
    groups = np.repeat(np.arange(40), 2)
    names = ("common+rare", "common") if kind == "labels" else ("rare", "common")
    truth = np.where(groups < rare, *names)
    if kind == "labels":
        truth[groups > 20] = ""
    by = SimpleNamespace(score=score_named(score), kind=kind, title=score_named(score).title)
    scores = SimpleNamespace(by=by, truth=truth, groups=groups)
    assert re.match(says or "$", too_few(scores))
    assert uneven(scores) == (kind == "labels" or (score == "log_loss" and rare < 10))


@pytest.mark.parametrize(("score", "level"), [("auroc", 0.95), ("average_precision", 0.95), ("brier", 0.9)])
def test_an_area_under_a_curve_is_called_equal_by_its_95_percent_interval(tmp_path, score, level):
    folder = said_again(study(tmp_path, groups=60, score=score), lambda i: i % 2, recall)
    (answer,) = judge.judge(outcomes.load(folder))
    of = answer.headline.of
    reach = t.ppf((1 + level) / 2, of.gain.few_df) * of.gain.cautious.se
    assert of.equivalence.low - 1e-9 <= of.gain.mean - reach < of.gain.mean + reach <= of.equivalence.high + 1e-9
    assert answer.headline.equivalence.alpha == pytest.approx((1 - level) / 2)


def test_of_a_rare_class_by_its_probabilities_every_claim_takes_the_fewer_degrees_of_freedom(tmp_path):
    made = {}
    for name in ("accuracy", "log_loss"):
        folder = said_again(study(tmp_path / name, groups=60, score=name), rare, recall)
        (answer,) = judge.judge(outcomes.load(folder))
        made[name] = answer.headline.of.gain
    assert made["log_loss"].df == made["log_loss"].few_df
    assert made["accuracy"].df > made["accuracy"].few_df
