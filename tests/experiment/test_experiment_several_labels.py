"""A run of several labels a sample, from its balanced loss to what `predict` says by its tuned thresholds."""

import io
import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from PIL import Image
from rich.console import Console
from sklearn.metrics import f1_score

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.rules.wiring import scored
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.evaluate import thresholds
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.judge import judge
from multimodal_lab.predict import load
from multimodal_lab.report import figures
from multimodal_lab.report.answers import shares
from multimodal_lab.report.summary import table

NAMES = ["dunes", "forest", "urban", "water"]
SCORE = "head/classifier/labels/average_precision_macro"
BANDS = [f"nm{nm}" for nm in (450, 500, 550, 600, 650)]


def words(folder, *more):
    return [
        "experiment=classifier", "loss=bce", "loss.pos_weight=balanced", "label=labels", "data=table", f"data.root={folder}",
        "data.source.file=plots.parquet", "data.source.id=id", "data.labels=[labels]", "data.split.column=split", "modality=vis",
        "backbone=vector", "backbone.widths=[8]", "fusion=concat", "augment=none", "data.batch_size=12", "log=none", "figures=[]",
        "evaluate=[head]", "evaluate.head.threshold=tuned", "evaluate.head.by=[country]", "embed.splits=[val,test]",
        f"train.monitor=val/{SCORE}", "train.epochs=12", "train.patience=3", "optim.lr=0.01", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def plots(tmp_path_factory):
    """96 spectra of four labels, each a band's brightness and noise; no test sample is of the dunes."""
    folder, draw = tmp_path_factory.mktemp("plots"), np.random.default_rng(0)
    split = np.repeat(["train", "val", "test"], [48, 24, 24])
    y = draw.random((96, 4)) < [0.1, 0.6, 0.3, 0.2]
    y[:3, 0], y[48:50, 0], y[split == "test", 0] = True, True, False
    x = np.concatenate([y + draw.normal(size=y.shape) * 0.7, draw.normal(size=(96, 1))], 1)
    table = pd.DataFrame(x, columns=BANDS).assign(
        id=[f"p{i}" for i in range(96)], split=split, country=["Austria", "Finland"] * 48,
        labels=[[n for n, there in zip(NAMES, row, strict=True) if there] for row in y],
    )  # fmt: skip
    table.to_parquet(folder / "plots.parquet")
    return folder, table, y[split == "test"]


@pytest.fixture(scope="module")
def done(plots, composed, tmp_path_factory):
    """The run, its summary, and how often each split was read in which order."""
    folder, read, real = tmp_path_factory.mktemp("runs") / "several", Counter(), Prepared.batches

    def counted(self, split, **how):
        read[split, bool(how.get("shuffle"))] += 1
        return real(self, split, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prepared, "batches", counted)
        experiment.run(composed(*words(plots[0]), small=False), folder)
    return folder, json.loads((folder / "summary.json").read_text()), read


def test_a_heads_score_is_watched_without_a_pass_over_the_training_split(done):
    folder, summary, read = done
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    watched = [row[f"val/{SCORE}"] for row in rows if f"val/{SCORE}" in row]
    assert read["train", False] == 0  # epochs alone, in their shuffled order
    assert read["test", False] == 2  # the loss and the scores, at the end
    assert (
        read["val", False] == 2 * (len(watched) + 1) + 1
    )  # both each time and once before the first step; embedded at the end
    best = int(np.argmax(watched))
    assert len(watched) == min(12, best + 1 + 3)  # patience
    assert len(watched) < 12, "the made labels are to be learnt before the last epoch"
    assert summary[SCORE] > 0.7


def test_the_thresholds_of_the_validation_split_are_kept_and_tested(done, plots):
    folder, summary, _ = done
    kept = thresholds.read(folder)["classifier"]
    assert list(kept) == NAMES
    found = pd.read_parquet(folder / "predictions.parquet")
    chances, y = np.stack(found.outputs), np.stack(found.targets)
    assert (y == plots[2]).all()
    said = chances > np.array([kept[name] for name in NAMES])
    f1 = [f1_score(y[:, i], said[:, i]) for i in range(1, 4)]
    assert summary["head/classifier/labels/f1_macro"] == pytest.approx(np.mean(f1))
    assert (said != (chances > 0.5)).any()
    assert summary["head/classifier/labels/absent@dunes"] == summary["head/classifier/labels/n_absent"] == 1
    classes, by = (pd.read_csv(folder / f"scores/{name}.csv") for name in ("classes", "by"))
    assert classes.threshold.tolist() == pytest.approx(list(kept.values()))
    assert by.groupby("value").n.first().to_dict() == {"Austria": 12, "Finland": 12}


def test_the_figures_and_tables_of_a_run_show_its_classes(done):
    folder, summary, _ = done
    drawn = figures.draw(folder, ["classes", "precision_recall", "co_occurrence"])
    ends = ["classes_classifier_labels", "classes_by_country_classifier_labels"]
    ends += [f"{name}_classifier_labels" for name in ("precision_recall", "co_occurrence")]
    assert [p.stem for p in drawn] == ends
    for path in drawn:
        pixels = np.asarray(Image.open(path).convert("L"))
        assert pixels.std() > 5, path
    console = Console(width=160, file=io.StringIO())
    console.print(table(summary, scored({"evaluate": {"head": {"_target_": "multimodal_lab.evaluate.head.Head"}}})))
    out = console.file.getvalue()
    assert "labels: in no macro mean, as no scored sample has it: dunes" in out
    shown = [line.split()[1:3] for line in out.splitlines() if line.strip().startswith("labels ")]
    assert shown == [["AP", "macro"], ["AP", "micro"], ["F1", "macro"], ["F1", "micro"]]


def test_shares_of_what_is_told_together_are_counted():
    truth, said = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0]], bool), np.array([[1, 0, 1], [1, 1, 0], [0, 0, 0]], bool)
    found = shares(truth, said)
    np.testing.assert_allclose(found[:2], [[1, 0.5, 0.5], [0.5, 0, 0.5]])
    assert np.isnan(found[2]).all()


def test_predict_gives_labels_above_the_runs_thresholds(done, plots):
    folder, table = done[0], plots[1]
    kept, predictor = thresholds.read(folder)["classifier"], load(folder)
    rows = table[table.split == "test"]
    answer = predictor.predict(rows.drop(columns=["labels", "split"]))["labels"]
    names = ["+".join(n for n, p in zip(NAMES, row, strict=True) if p > kept[n]) for row in answer.probability]
    assert answer.value.tolist() == names == pd.read_parquet(folder / "predictions.parquet").predicted.tolist()
    assert predictor.predict(rows, threshold=0.0)["labels"].value.tolist() == ["+".join(NAMES)] * 24
    file = folder / thresholds.FILE
    good = file.read_text()
    for bad, said in (
        ('{"classifier": 3}', "not as a run writes it"),
        (good.replace("dunes", "dune"), "no threshold of class 'dunes'"),
    ):
        file.write_text(bad)
        with pytest.raises(ValueError, match=said):
            predictor.predict(rows)
    file.write_text(good)


def test_a_balanced_weight_is_the_training_splits(plots, composed, capsys, tmp_path):
    y = np.array([[n in row for n in NAMES] for row in plots[1].labels[:48]])
    odds = (~y).sum(0) / y.sum(0)
    experiment.run(
        composed(*words(plots[0], "train.monitor=null", "train.patience=null", "train.max_steps=0"), small=False),
        tmp_path,
    )
    told = (
        f"pos_weight=balanced is {odds.min():.3g} ({NAMES[odds.argmin()]}) to {odds.max():.3g} ({NAMES[odds.argmax()]})"
    )
    assert told in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("evaluate.head.by=[contry]", "no column 'contry'; .*nearest: country"),
        ("embed.splits=[test]", "threshold=tuned: there is no validation split to tune on"),
    ],
)
def test_what_can_not_be_scored_is_refused_before_the_training(plots, composed, tmp_path, more, said):
    with pytest.raises(ValueError, match=said):
        experiment.run(composed(*words(plots[0], more), small=False), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_made_up_data_stand_beside_no_published_figure(composed, done, tmp_path):
    node = OmegaConf.to_container(composed("report=bigearthnet_v2").report.published)
    published = safe_instantiate(node)
    own = {f"head/c/labels/{k}": 0.5 for k in ("average_precision_macro", "f1_macro")} | {"head/c/labels/n": 119825.0}
    real = {"data": {"root": "/data", "split": {"column": "split"}}, "eval_split": "test"}
    assert published.hidden(real, own) == ""
    rows = published.frame(own)
    assert [r["figures"] for r in rows] == ["measured"] + ["published"] * 10
    assert rows[1]["average_precision_macro"] == 0.7033
    for changed, numbers, why in (
        ({"data": {**real["data"], "root": None}}, own, "made up"),
        ({"data": {**real["data"], "split": {"column": None}}}, own, "not the official one"),
        ({"eval_split": "val"}, own, "scored on the val split"),
        ({"data": {**real["data"], "shuffle": {"stream": "s1"}}}, own, "shuffled"),
        ({}, own | {"head/c/labels/n": 24.0}, "24 samples were scored, and the official test split has 119825"),
    ):
        assert why in published.hidden({**real, **changed}, numbers)
    with pytest.raises(ValueError, match=r"f1_macro of a is 64\.4; expected 0 to 1"):
        type(published)(data="d", column="split", n=1, source="s", rows=[{"name": "a", "f1_macro": 64.4}])


@pytest.mark.parametrize("n", [24, 119825])
def test_published_figures_are_printed_beside_a_run_of_the_same_samples_alone(plots, composed, capsys, tmp_path, n):
    quick = [
        "train.monitor=null",
        "train.patience=null",
        "train.max_steps=0",
        "report=bigearthnet_v2",
        f"report.published.n={n}",
    ]
    experiment.run(composed(*words(plots[0], *quick), small=False), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    file = tmp_path / "scores/published.csv"
    if n == 24:
        rows = pd.read_csv(file)
        assert rows.figures.tolist() == ["measured"] + ["published"] * 10
        own = json.loads((tmp_path / "summary.json").read_text())
        assert rows.f1_micro[0] == pytest.approx(own["head/classifier/labels/f1_micro"])
        assert not any(".7033" in str(value) for value in own.values())
        assert any("ResNet-50 S1+S2 v0.2.0" in line and "published" in line and "0.7033" in line for line in lines)
        assert any("ResNet-101 and the table of the paper were not found" in line for line in lines)
    else:
        assert not file.exists()
        assert not any("0.7033" in line for line in lines)
        assert any("24 samples were scored, and the official test split has 119825" in line for line in lines)


def test_a_run_that_is_judged_again_keeps_its_thresholds(done, plots, composed, tmp_path):
    """Also on data without a validation split, of which none could be tuned, and with its balanced weights."""
    folder, table = done[0], plots[1]
    table[(table.split != "val") & (table.index > 20)].assign(id="new" + table.id).to_parquet(
        tmp_path / "plots.parquet"
    )
    again = composed(*words(tmp_path), small=False)
    (tmp_path / "out").mkdir()
    judge(again, folder, tmp_path / "out")
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["head/classifier/labels/f1_macro"] == pytest.approx(done[1]["head/classifier/labels/f1_macro"])
    assert summary["test/bce"] == pytest.approx(done[1]["test/bce"])  # weighted as in its own training split
    assert thresholds.read(tmp_path / "out") == thresholds.read(folder)
