"""Every arm tries the same on the validation part, and has its best: a function of finished cells, whoever trained them."""

import json
import os
import signal
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from launched import ended, trained, wait_for
from made import LEVELS, study
from tiny import write

from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.study import Study, Tune
from multimodal_lab.experiment.run import run
from multimodal_lab.study.analysis import judge, results
from multimodal_lab.study.design import plan
from multimodal_lab.study.design.plan import Cell, StudyPlan
from multimodal_lab.study.ledger import ledger, outcomes, tuning
from multimodal_lab.study.ledger.ledger import Entry

OPTIONS = [["optim.lr=1e-4"], ["optim.lr=1e-2"], []]
ARMS = {"rgb": ["modality=rgb"], "concat": ["fusion=concat"]}


def tried(scores, score="probe", splits=(0,), seeds=(1000,)):
    """A study and its tuning cells; scores[arm]: what each option got on every split, a number, or one for each label."""
    named = Study(ARMS, ["rgb"], ["sex", "species"], splits=list(splits), tune=Tune(OPTIONS, score, [*seeds]))
    made = []
    for split, (arm, own), seed in product(splits, scores.items(), seeds):
        for i, one in enumerate(own):
            one = one[seed] if isinstance(one, dict) else one
            sex, species = one if isinstance(one, tuple) else (one, one)
            summary = {f"probe/{arm}/sex/accuracy": sex, f"probe/{arm}/species/accuracy": species, "val/total": sex}
            cell = Cell(arm, "tuning", seed, split, f"{arm}{i}".ljust(16, "0"), [], i)
            state = "waiting" if sex is None else "finished"
            made.append(Entry(cell, Path(f"{arm}{i}"), state, summary={} if sex is None else summary))
    return named, made


@pytest.mark.parametrize(
    ("own", "best"),
    [
        ([0.5, 0.7, 0.6], 1),
        ([0.7, 0.5, 0.7], 0),  # of equal ones the first
        ([(0.9, 0.1), (0.5, 0.6), (0.6, 0.3)], 1),  # the mean over labels, not the first of them
        ([float("nan"), 0.1, 0.05], 1),  # what is no number is worth less than any
    ],
)
def test_the_best_is_taken_and_of_equal_ones_the_first(own, best):
    named, cells = tried({"rgb": own, "concat": [0.1, 0.2, 0.3]}, splits=(0, 1))
    assert tuning.chosen(named, cells) == {"rgb": {"0": best, "1": best}, "concat": {"0": 2, "1": 2}}
    assert tuning.chosen(named, cells[::-1]) == tuning.chosen(named, cells)


def test_of_several_seeds_the_mean_counts_and_all_must_be_there():
    own = [{7: 0.9, 8: 0.1}, {7: 0.5, 8: 0.6}, 0.4]  # the first is the luck of a seed
    named, cells = tried({"rgb": own, "concat": [0.1, 0.2, 0.3]}, seeds=(7, 8))
    assert tuning.chosen(named, cells) == {"rgb": {"0": 1}, "concat": {"0": 2}}
    made = StudyPlan(named, [], [], [], [e.cell for e in cells], tuning.chosen(named, cells))
    assert tuning.problems(made, cells) == []
    assert tuning.tuning_record(made, cells)["arms"]["rgb"]["0"] == {
        "tried": 3,
        "scores": pytest.approx([0.5, 0.55, 0.4]),
        "chosen": 1,
    }
    lacking = [e for e in cells if (e.cell.arm, e.cell.option, e.cell.seed) != ("rgb", 0, 8)]
    assert tuning.problems(made, lacking) == ["arms were not tuned alike: rgb tried 2 of 3 configurations on split 0"]


def test_by_the_loss_the_lowest_is_taken_and_nothing_before_all_are_there():
    named, cells = tried({"rgb": [0.5, 0.7, 0.6], "concat": [0.3, 0.2, 0.1]}, score="loss")
    assert tuning.chosen(named, cells) == {"rgb": {"0": 0}, "concat": {"0": 2}}
    named, cells = tried({"rgb": [0.5, None, 0.6], "concat": [0.3, 0.2, 0.1]})
    assert tuning.chosen(named, cells) == {}


def test_a_validation_part_that_judges_no_label_chooses_nothing():
    named, cells = tried({"rgb": [0.5, 0.7, 0.6]})
    with pytest.raises(StudyError, match="no score of sex, species on its validation part"):
        tuning.chosen(named, [replace(e, summary={}) for e in cells])


def test_arms_that_were_not_tuned_alike_are_invalid(tmp_path):
    """As a stranger's directory, or one with a cell removed, may have it."""
    named, cells = tried({"rgb": [0.5, 0.7, 0.6], "concat": [0.3, 0.2, None]})
    made = StudyPlan(named, [], [], [], [e.cell for e in cells], {})
    (said,) = tuning.problems(made, cells)
    assert said == "arms were not tuned alike: concat tried 2 of 3 configurations on split 0"
    (said,) = tuning.problems(made, cells[:4])
    assert "concat tried 1 of 3" in said
    named, cells = tried({"rgb": [0.5, 0.7, 0.6], "concat": [0.3, 0.2, 0.1]})
    made = StudyPlan(named, [], [], [], [e.cell for e in cells], {"rgb": {"0": 0}, "concat": {"0": 0}})
    assert "now choose otherwise" in tuning.problems(made, cells)[0]
    made = replace(made, chosen=tuning.chosen(named, cells))
    assert tuning.problems(made, cells) == []
    folder = study(tmp_path, levels=LEVELS, tune=Tune(OPTIONS))  # its arms tried nothing, but the study says they did
    found = outcomes.load(folder)
    (answer,) = judge.judge(found)
    assert answer.headline.verdict.kind == "invalid"
    assert "rgb tried 0 of 3 configurations" in answer.headline.verdict.sentence
    assert results.record(found, [answer])["tuning"]["options"] == OPTIONS


def test_a_choice_that_has_seen_test_samples_is_invalid(tmp_path):
    named, cells = tried({"rgb": [0.5, 0.7, 0.6], "concat": [0.3, 0.2, 0.1]})
    named.tune.set = ["data.split.val=0.2"]
    cells = [replace(e, folder=tmp_path / e.cell.folder) for e in cells]
    own = Cell("rgb", "baseline", 0, 0, "k" * 16, [])
    made = StudyPlan(named, [own], [], [], [e.cell for e in cells], tuning.chosen(named, cells))
    for folder, splits in (
        (cells[0].folder, {"train": ["a"], "val": ["b"]}),
        (tmp_path / own.folder, {"test": ["b", "c"]}),
    ):
        folder.mkdir()
        (folder / tuning.DATA).write_text(json.dumps({"splits": splits}))
    assert "tuning on split 0 has seen 1 samples that its cells are tested on" in tuning.problems(made, cells)[0]
    (cells[0].folder / tuning.DATA).write_text(json.dumps({"splits": {"train": ["a"], "val": ["d"]}}))
    assert tuning.problems(made, cells) == []
    for damaged in (
        "{",
        "[]",
        "[" * 100_000,
        '{"splits": 3}',
        '{"splits": {"train": "ab"}}',
        '{"splits": {"train": [["a"]]}}',
    ):
        (cells[0].folder / tuning.DATA).write_text(damaged)
        with pytest.raises(StudyError, match=r"data.json: .*; expected"):
            tuning.problems(made, cells)
    (cells[0].folder / tuning.DATA).unlink()
    with pytest.raises(StudyError, match=r"data.json: can't be read"):
        tuning.problems(made, cells)


def test_a_run_judged_on_a_split_that_is_not_there_is_refused_before_it_trains(composed, tmp_path):
    """As where an official split has no validation part, which no config can tell."""
    lines = (
        "eval_split=val",
        "data.split.val=0",
        "data.split.train=0.6",
        "modality=rgb",
        "fusion=separate",
        "log=none",
    )
    with pytest.raises(ValueError, match=r"eval_split=val: the data have no such split; give data.split.val a share"):
        run(composed(*lines), tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize(("launchers", "retrain"), [(1, "null"), pytest.param(2, "concat", marks=pytest.mark.slow)])
def test_every_arm_is_tuned_and_then_trained_with_its_best(tmp_path, begin, launchers, retrain):
    """As a slow trial a launcher is killed while it tunes, and two go on; with concat retrained on uv alone, an arm more."""
    options = "{options: [[optim.lr=1e-5], [optim.lr=1e-2]]}"
    changes = {"seeds: [0, 1]": "seeds: [3]", "tune: null": f"tune: {options}\n  retrain: {retrain}"}
    runs = tmp_path / "runs"
    words = [write(tmp_path, changes), "study=tiny", f"hydra.sweep.dir={runs}", "data.labels=[species,sex]"]
    count = 4 if retrain == "null" else 6
    done = {}
    if launchers > 1:
        first = begin(*words)
        wait_for(lambda: list(runs.glob("*-s1000-*/summary.json")))
        os.kill(first.pid, signal.SIGKILL)
        ended(first)
        made = plan.load(runs)
        assert (len(made.tuning), made.cells, made.chosen) == (count, [], {})
        done = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in runs.glob("*/summary.json")}
    codes, said = zip(*map(ended, [begin(*words) for _ in range(launchers)]), strict=True)
    assert set(codes) == {0}, said
    assert f"{count} cells: " in said[0]
    assert "every arm is tuned first" in said[0]
    again = [name for text in said for name in trained(text)]
    assert len(again) == len(set(again)) == 3 * count // 2 + 1 - len(done)  # none that had finished
    assert all((p.stat().st_ino, p.stat().st_mtime_ns) == before for p, before in done.items())
    made = plan.load(runs)
    check_choice(runs, made)
    written = json.loads((runs / "study.json").read_text())
    assert {a: s["0"]["tried"] for a, s in written["tuning"]["arms"].items()} == dict.fromkeys(made.chosen, 2)
    assert written["problems"] == []
    assert "Each arm tried 2 configurations" in (runs / "report.md").read_text()
    if retrain == "concat":
        check_retrained(made, written)


def check_retrained(made, written):
    assert made.retrained == {"rgb": "rgb", "uv": "concat_on_uv", "rgb+uv": "concat"}
    assert {c.arm: c.role for c in made.cells}["concat_on_uv"] == "retrained"
    own = written["retrained"]["sex"]
    values = sum(v["mean"] for v in own["shapley"].values())
    assert values == pytest.approx(own["scores"]["rgb+uv"]["mean"] - own["empty"], abs=1e-9)


def check_choice(runs, made):
    """The choice is that of the files, and the cells were trained with it; controls with that of their arm."""
    entries = ledger.entries(runs, made.tuning)
    assert {e.state for e in [*entries, *ledger.entries(runs, made.cells)]} == {"finished"}
    for entry in entries:
        table = pd.read_parquet(entry.folder / "predictions.parquet")
        splits = json.loads((entry.folder / "data.json").read_text())["splits"]
        assert set(table.id) == set(splits["val"])
        embedded = pd.read_parquet(next((entry.folder / "embeddings").glob("*.parquet")))
        assert not embedded.astype(str).isin(splits["test"]).any(axis=None)
        assert "test/total" not in entry.summary
    for cell in made.cells:
        of = "concat" if cell.arm == "shuffled" else cell.arm
        scores = []
        for option in (0, 1):
            (entry,) = [e for e in entries if (e.cell.arm, e.cell.option) == (of, option)]
            stream = "fused" if of == "concat" else of.removeprefix("concat_on_")
            if of == "concat_on_uv":
                stream = "fused"
            scores.append(sum(entry.summary[f"val/probe/{stream}/{label}/accuracy"] for label in ("species", "sex")))
        best = int(scores[1] > scores[0])
        assert made.chosen[of]["0"] == best
        assert made.study.tune.options[best][0] in cell.overrides
