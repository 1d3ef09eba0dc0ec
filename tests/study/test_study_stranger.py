"""A study's directory from a stranger: what it holds is read as data, refused in a sentence, and never run."""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import LEVELS, study

from multimodal_lab.config.problem import StudyError
from multimodal_lab.files import file_hash
from multimodal_lab.runs import hashes
from multimodal_lab.study.audit import record
from multimodal_lab.study.design import plan
from multimodal_lab.study.launch.conclude import conclude
from multimodal_lab.study.ledger import ledger, outcomes


class Trap:
    """A pickle of it makes a file where it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_it_is_run(tmp_path, cli):
    sprung = tmp_path / "sprung"
    folder = study(tmp_path / "runs", seeds=(0, 1, 2), groups=40)
    tag = f"!!python/object/apply:os.system ['touch {sprung}']\n"
    node = {"_target_": "os.system", "command": f"touch {sprung}"}
    for own in (folder / c.folder for c in plan.load(folder).cells):
        for name in ("checkpoints", "embeddings"):
            (own / name).mkdir()
        for place in ("checkpoints/last.pt", "embeddings/rgb.pkl", "data.pkl"):
            (own / place).write_bytes(pickle.dumps(Trap(sprung)))
        np.savez(own / "thumbnails.npz", rows=np.array([Trap(sprung)], dtype=object), allow_pickle=True)
        (own / "config.yaml").write_text(tag)
        (own / "cell.json").write_text(json.dumps(node))
        (own / "multimodal_lab.py").write_text(f"open({str(sprung)!r}, 'w')")
    (folder / "conftest.py").write_text(f"open({str(sprung)!r}, 'w')")
    conclude(folder)
    cli("status", f"runs={folder}", module="study", small=False)
    assert (folder / "report.html").exists()
    for own in folder.glob("*/embeddings"):
        (own / "rgb.parquet").write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(StudyError, match="embeddings: not as a run writes it"):
        conclude(folder)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))  # the trap is one
    assert sprung.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p["cells"][0].update(arm="../../etc"), "which is no cell's name"),
        (lambda p: p["cells"][0].update(key="/etc/passwd"), "which is no cell's name"),
        (lambda p: p["cells"][0].update(seed="../.."), "a cell's seed is '../..', expected int"),
        (lambda p: p["cells"][0].update(role="king"), "is 'king'; expected one of baseline, fused"),
        (lambda p: p["cells"][0].update(overrides="a=1"), "a cell's overrides is 'a=1', expected list[str]"),
        (lambda p: p["study"].update(seeds="1"), "study.seeds=1: expected a list"),
        (lambda p: p["study"].update(arms={"a b": []}), "not a name"),
        (lambda p: p["study"].update(tune={"options": [["optim.lr=1"]]}), "at least two to choose among"),
        (lambda p: p["study"].update(evil=1), "no such key"),
        (lambda p: p.update(typed=[{"_target_": "os.system"}]), "expected list[str]"),
        (lambda p: p.pop("study"), "can't be read (study is missing, expected"),
        (lambda p: p.update(cells=3), "can't be read"),
        (lambda p: p.update(chosen=3), "can't be read"),
        (lambda p: p.update(chosen={"rgb": {"0": []}}), "expected dict[str, dict[str, int]]"),
        (lambda p: p.update(chosen={"rgb": {"0": 7}}), "expected the place of an option"),
        (lambda p: p.update(retrained=[]), "can't be read"),
    ],
)
def test_a_plan_that_no_study_wrote_is_refused(tmp_path, change, says):
    folder = study(tmp_path / "runs", seeds=(0,))
    node = json.loads((folder / plan.FILE).read_text())
    change(node)
    (folder / plan.FILE).write_text(json.dumps(node))
    with pytest.raises(StudyError) as error:
        conclude(folder)
    assert says in str(error.value)
    assert str(folder / plan.FILE) in str(error.value)


def test_cells_that_no_run_wrote_do_not_count_or_are_named(tmp_path):
    folder = study(tmp_path / "runs", seeds=(0,))
    first, second, *_ = (folder / c.folder for c in plan.load(folder).cells)
    summary = json.loads((first / hashes.SUMMARY).read_text())
    (first / hashes.SUMMARY).write_text(json.dumps({**summary, "probe/rgb/sex/accuracy": "<script>"}))
    assert ledger.entries(folder, plan.load(folder).cells)[0].state == "waiting"
    pd.DataFrame({"id": ["a"]}).to_parquet(second / hashes.PREDICTIONS)
    summary = json.loads((second / hashes.SUMMARY).read_text())
    summary[hashes.OF_PREDICTIONS] = file_hash(second / hashes.PREDICTIONS)
    (second / hashes.SUMMARY).write_text(json.dumps(summary))
    with pytest.raises(StudyError, match=r"predictions.parquet: not as a run writes it \(no column evaluator"):
        outcomes.load(folder).scores("sex")
    del summary["data/test"]
    (second / hashes.SUMMARY).write_text(json.dumps(summary))
    with pytest.raises(StudyError, match="no data/test"):
        conclude(folder)


def forge(folder, change=lambda table: table, **facts):
    """Give the first cell another table and other facts, sealed as if a run had written them; its directory."""
    own = folder / plan.load(folder).cells[0].folder
    table = change(pd.read_parquet(own / hashes.PREDICTIONS).astype({"truth": str, "label": str, "stream": str}))
    table.to_parquet(own / hashes.PREDICTIONS)
    summary = json.loads((own / hashes.SUMMARY).read_text()) | facts
    summary[hashes.OF_PREDICTIONS] = file_hash(own / hashes.PREDICTIONS)
    (own / hashes.SUMMARY).write_text(json.dumps(summary))
    return own


@pytest.mark.parametrize("value", [0, -3, float("nan"), 1.5, True])
@pytest.mark.parametrize("key", ["data/train", "data/test"])
def test_parts_of_no_size_are_refused(tmp_path, key, value):
    own = forge(study(tmp_path / "runs", seeds=(0,), groups=8), **{key: value})
    with pytest.raises(StudyError) as error:
        conclude(tmp_path / "runs")
    assert f"{own / hashes.SUMMARY}: not as a run writes it ({key} is {value}; expected whole numbers" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.assign(score="much"), "score is"),
        (lambda t: t.assign(score=None), "score is null, expected double"),
        (lambda t: t.assign(group="a"), "group is"),
        (lambda t: t.assign(group=t.group.astype("Int64").where(t.index > 1)), "2 rows have no group"),
        (lambda t: t.assign(id=range(len(t))), "id is int64, expected string"),
        (lambda t: t.assign(id=t.id.where(t.index > 0)), "1 rows have no id"),
        (
            lambda t: t.assign(id=t.id.where(t.index > 0, t.id[1])),
            "1 rows of an id, label and stream that another row has",
        ),
        (lambda t: t.assign(id=t.id.where(t.index > 0, t.id[1] + "\0")), "1 rows of an id"),
        (lambda t: pd.concat([t, t]), "16 rows of an id"),
    ],
)
@pytest.mark.parametrize("leak", [False, True])
def test_a_table_that_no_run_wrote_is_refused(tmp_path, change, says, leak):
    """Also that of a cell in no comparison, as one of a random split is."""
    levels = {"rgb_random": 0.6, **LEVELS} if leak else LEVELS
    own = forge(study(tmp_path / "runs", levels, seeds=(0,), groups=8, leak=["rgb"] if leak else []), change)
    with pytest.raises(StudyError) as error:
        conclude(tmp_path / "runs")
    assert f"{own / hashes.PREDICTIONS}: not as a run writes it (" in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), -1e300, 2.0])
def test_scores_that_are_none_void_their_label_alone(tmp_path, value):
    folder = study(tmp_path / "runs", seeds=(0, 1, 2), groups=40, labels=("sex", "species"))
    own = forge(folder, lambda t: t.assign(score=t.score.where(t.label != "sex", value)))
    made = conclude(folder)["labels"]
    said = made["sex"]["verdict"]["sentence"]
    assert f"{own / hashes.PREDICTIONS}: sex, rgb: 80 of 80 scores are no finite numbers of at most 1" in said
    assert made["species"]["verdict"]["kind"] == "adds"


def test_the_worst_score_that_is_one_is_judged(tmp_path):
    folder = study(tmp_path / "runs", seeds=(0, 1, 2), groups=40)
    forge(folder, lambda t: t.assign(score=-1e59))
    assert conclude(folder)["labels"]["sex"]["comparisons"]


def nested(depth):
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("depth", [100, 500, 100_000])
def test_deep_json_is_no_plan_no_summary_and_no_audit(tmp_path, depth):
    folder = study(tmp_path / "runs", seeds=(0,), groups=8)
    first = folder / plan.load(folder).cells[0].folder
    text = (first / hashes.SUMMARY).read_text()
    for place in (first / hashes.SUMMARY, folder / record.FILE, first / ledger.BEGUN):
        place.write_text(f'{{"evil": {nested(depth)}, {text[1:]}')
    assert ledger.entries(folder, plan.load(folder).cells)[0].state == "partial"
    assert ledger.begin(first, "k" * 16)
    assert record.load(folder) is None
    assert conclude(folder)["audit"] is None
    whole = (folder / plan.FILE).read_text()
    (folder / plan.FILE).write_text(f'{{"evil": {nested(depth)}, {whole[1:]}')
    with pytest.raises(StudyError, match=r"can't be read .nested more than 64 deep"):
        conclude(folder)


@pytest.mark.parametrize(
    "facts", [{"provenance/torch": {"a": []}}, {"probe/rgb/sex/accuracy": 10**400}, {"val/total": "low"}]
)
def test_facts_that_no_run_writes_make_no_finished_cell(tmp_path, facts):
    folder = study(tmp_path / "runs", seeds=(0,), groups=8)
    forge(folder, **facts)
    assert ledger.entries(folder, plan.load(folder).cells)[0].state == "waiting"
