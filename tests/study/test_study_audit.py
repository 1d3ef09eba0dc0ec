"""What the audit of a study's data does to its verdicts, and how often it looks."""

import json

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from made import study
from omegaconf import OmegaConf

from multimodal_lab.config import study as facts
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.study import Tune
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.data import dataset
from multimodal_lab.study.analysis import judge, results
from multimodal_lab.study.audit import inspect, record
from multimodal_lab.study.design.cells import Cells
from multimodal_lab.study.launch.conclude import conclude
from multimodal_lab.study.ledger import outcomes

LEAK = {"kind": "group leak", "where": "bird", "sentence": "bird 3 is in two parts", "void": True, "label": None}
CONFOUND = {
    "kind": "confounded label",
    "where": "sex × day",
    "sentence": "sex goes with day",
    "void": True,
    "label": "sex",
}
THIN = {"kind": "thin class", "where": "sex", "sentence": "few of them", "void": False, "label": "sex"}


def known(folder, *findings, data="d"):
    """An `audit.json` as a look writes it."""
    made = {"of": {"data": data}, "grouped": True, "samples": 800, "streams": ["rgb", "uv"], "splits": []}
    (folder / record.FILE).write_text(json.dumps({**made, "findings": [*findings]}))


def recorded(folder):
    found = outcomes.load(folder)
    return results.record(found, judge.judge(found))


@pytest.mark.parametrize(
    ("finding", "void"),
    [(LEAK, {"sex", "species"}), (CONFOUND, {"sex"}), (THIN, set())],
    ids=["leak", "confound", "thin"],
)
def test_what_voids_a_label_makes_its_verdict_invalid_and_says_why(tmp_path, finding, void):
    study(tmp_path, labels=("sex", "species"))
    known(tmp_path, finding)
    made = recorded(tmp_path)
    told = {label: own["verdict"] for label, own in made["labels"].items()}
    assert {label for label, v in told.items() if v["kind"] == "invalid"} == void
    assert {v["kind"] for label, v in told.items() if label not in void} <= {"adds"}
    for label in void:
        assert told[label]["sentence"] == f"the comparison does not stand: {finding['sentence']}."
    assert made["audit"]["findings"] == [finding]
    assert made["problems"] == ([finding["sentence"]] if finding is LEAK else [])


def test_the_report_shows_what_was_found(tmp_path):
    known(study(tmp_path, seeds=(0, 1, 2)), CONFOUND)
    conclude(tmp_path)
    assert json.loads((tmp_path / "study.json").read_text())["audit"]["findings"] == [CONFOUND]
    text = (tmp_path / "report.md").read_text()
    assert "| confounded label | sex × day | voids | sex goes with day |" in text


@pytest.mark.parametrize(
    ("write", "says"),
    [(lambda f: None, "have not been audited"), (lambda f: known(f, LEAK, data="e"), "is of other data"),
     (lambda f: (f / record.FILE).write_text("{"), "have not been audited"),
     (lambda f: known(f, {**LEAK, "void": "yes"}), "have not been audited")],
    ids=["none", "other data", "damaged", "a stranger's"],
)  # fmt: skip
def test_no_audit_of_these_cells_voids_nothing_and_is_told(tmp_path, write, says):
    write(study(tmp_path))
    made = recorded(tmp_path)
    assert any(says in w for w in made["warnings"])
    assert made["labels"]["sex"]["verdict"]["kind"] == "adds"
    known(tmp_path)
    assert not recorded(tmp_path)["warnings"]


def test_the_first_lines_say_what_voids():
    lines = list(record.lines({"findings": [CONFOUND, *[THIN] * 7], "samples": 1200, "streams": ["rgb"], "splits": []}))
    assert lines[0] == "audit of 1,200 samples, rgb: 1 void, 7 warnings"
    assert lines[1] == "void (sex): confounded label: sex goes with day"
    assert lines[-1] == "and 2 more in audit.json"


@pytest.fixture(scope="module")
def configs():
    """The plain configs of two arms on the embedded specimens, small."""
    small = ["data.source.individuals=128", "data.source.size=8", "data.batch_size=16"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        arms = {m: compose("config", [f"modality={m}", *small]) for m in ("rgb", "rgb_uv_stacked")}
    return {arm: as_plain(OmegaConf.masked_copy(cfg, [k for k in cfg if k != "hydra"])) for arm, cfg in arms.items()}


@pytest.fixture
def asked():
    return facts.Study({"rgb": [], "rgb_uv_stacked": []}, ["rgb"], ["species", "sex"], splits=[0, 3])


@pytest.fixture
def looks(monkeypatch):
    """How often data were prepared."""
    found, prepare = [], dataset.Data.prepare

    def counted(self, *given, **more):
        found.append(self)
        return prepare(self, *given, **more)

    monkeypatch.setattr(dataset.Data, "prepare", counted)
    return found


def test_a_study_is_looked_at_once_and_anew_when_anything_of_it_changes(tmp_path, configs, asked, looks):
    said = record.ensure(tmp_path, asked, lambda: configs, todo=True)
    assert said == ["audit of 256 samples, rgb, stacked, 2 splits: nothing found"]
    assert len(looks) == 1
    before = (tmp_path / record.FILE).read_bytes()
    assert record.ensure(tmp_path, asked, lambda: configs, todo=True) == said
    assert record.ensure(tmp_path, asked, None, todo=False) == said
    assert (tmp_path / record.FILE).read_bytes() == before
    assert len(looks) == 1
    asked.splits = [0, 3, 5]
    assert "3 splits" in record.ensure(tmp_path, asked, lambda: configs, todo=True)[0]
    other = {"rgb": {**configs["rgb"], "data": {**configs["rgb"]["data"], "size": 4}}}
    record.ensure(tmp_path, asked, lambda: other, todo=True)
    assert len(looks) == 3
    found = record.load(tmp_path)
    assert found["of"]["streams"].keys() == {"rgb"}
    assert found["grouped"]


def test_what_can_not_be_read_is_told_and_left_to_the_cells(tmp_path, configs, asked):
    bad = {"rgb": {**configs["rgb"], "modality": {"rgb": {"kind": "image", "bands": ["X"]}}}}
    (said,) = record.ensure(tmp_path, asked, lambda: bad, todo=True)
    assert said.startswith("warning: the data were not audited: ")
    assert "X" in said
    assert record.load(tmp_path) is None


def test_data_that_are_not_there_are_one_error_before_any_cell(tmp_path, configs, asked):
    card = {"_target_": "multimodal_lab.data.readers.card.card", "bands": ["R", "G", "B"]}
    tiff = {"_target_": "multimodal_lab.data.readers.tiff.Tiff", "root": str(tmp_path / "no"), "card": card}
    bad = {"rgb": {**configs["rgb"], "data": {**configs["rgb"]["data"], "source": tiff}}}
    with pytest.raises(StudyError, match=r"^no cell can be trained: data.root: .*no is not there"):
        record.ensure(tmp_path, asked, lambda: bad, todo=True)


def test_a_leak_gap_without_groups_is_refused_before_a_cell(tmp_path, configs, asked):
    alone = json.loads(json.dumps(configs))
    alone["rgb"]["data"]["source"]["sides"] = 1
    asked.leak = ["rgb"]
    with pytest.raises(StudyError, match=r"study.leak=\[rgb\]: every sample is a group by itself"):
        record.ensure(tmp_path, asked, lambda: alone, todo=True)


def test_streams_of_one_name_and_other_facts_are_both_looked_at():
    one, other = {"kind": "image", "bands": ["R"]}, {"kind": "image", "bands": ["G"]}
    found = inspect.streams(
        {"a": {"modality": {"x": one}}, "b": {"modality": {"x": other}}, "c": {"modality": {"x": one}}}
    )
    assert found == {"x": one, "x_b": other}


@pytest.mark.parametrize("leak", [["rgb"], ["rgb", "fused"]], ids=len)
def test_the_leak_gap_is_that_of_the_cells(tmp_path, leak):
    levels = {"rgb": 0.6, "uv": 0.5, "fused": 0.7, "rgb_random": 0.8, "fused_random": 0.75}
    levels = {k: v for k, v in levels.items() if k.removesuffix("_random") in leak or "_" not in k}
    study(tmp_path, levels=levels, controls={}, leak=leak)
    found = outcomes.load(tmp_path)
    assert set(found.scores("sex").score) == {"rgb", "uv", "fused"}  # random splits are in no comparison
    assert {a for j in judge.judge(found)[0].judged for a in (j.of.arm, j.of.baseline)} == {"rgb", "uv", "fused"}
    told = recorded(tmp_path)["audit"]["leak_gap"]
    assert list(told) == (["sex"] if len(leak) == 1 else ["sex, rgb", "sex, fused"])
    for own in told.values():
        for kind, arm in (("random", f"{own['arm']}_random"), ("grouped", own["arm"])):
            scores = [
                v for e in found.finished if e.cell.arm == arm for k, v in e.summary.items() if k.endswith("accuracy")
            ]
            assert own[kind] == pytest.approx(np.mean(scores))
        assert own["gap"] == pytest.approx(own["random"] - own["grouped"])
        assert own["low"] < own["gap"] < own["high"]
        assert own["low"] < levels[f"{own['arm']}_random"] - levels[own["arm"]] < own["high"]


def test_cells_on_random_splits_come_last_and_differ_in_that_alone():
    asked = facts.Study({"a": ["modality=rgb"], "b": []}, ["a"], ["sex"], seeds=[0, 1], leak=["a"])
    assert asked.leaks() == {"a_random": ["modality=rgb", "data.split.group_policy=samples"]}
    assert [asked.role(n) for n in ("a", "b", "a_random")] == ["baseline", "fused", "leak"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        made = Cells(asked, lambda lines: compose("config", lines)).compared({})
    assert [(c.arm, c.role, c.seed) for c in made] == [
        ("a", "baseline", 0), ("b", "fused", 0), ("a", "baseline", 1), ("b", "fused", 1), ("a_random", "leak", 0),
        ("a_random", "leak", 1),
    ]  # fmt: skip
    assert made[4].key != made[0].key
    asked.tune = Tune([["optim.lr=1e-3"], ["optim.lr=2e-3"]])
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        tuned = Cells(asked, lambda lines: compose("config", lines)).compared({"a": {"0": 1}, "b": {"0": 0}})
    assert "optim.lr=2e-3" in tuned[4].overrides  # as its arm was tuned
    asked.leak = ["c"]
    assert any("study.leak" in str(p) and "no such arm" in str(p) for p in facts.problems(asked))
