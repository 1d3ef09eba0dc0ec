"""Records of a study and of a sweep, damaged in any way, are one sentence that names the file, or left out of a table."""

import io
import json
import random

import pytest
from made import study
from rich.console import Console

from multimodal_lab import sweep_table
from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.rules.wiring import scored
from multimodal_lab.report import multirun
from multimodal_lab.runs import hashes
from multimodal_lab.runs.records import read_job
from multimodal_lab.study.design import plan
from multimodal_lab.study.launch import status
from multimodal_lab.study.ledger import ledger, outcomes

DEEP = json.loads("[" * 200 + "]" * 200)
VALUES = [None, True, -1, 1.5, float("nan"), float("inf"), 10**300, 2**70, "", "rgb", "../x", "a\0", "\ud800", [], {}, [[]],
          {"a": {}}, ["a"], [1], DEEP]  # fmt: skip
TARGET = "multimodal_lab.evaluate.probe.Probe"
OTHERS = {
    "job.json": {"overrides": ["optim.lr=1", "modality=rgb"], "of": 3},
    "config.yaml": {
        "seed": 1,
        "modality": {"rgb": {}},
        "optim": {"lr": 1},
        "evaluate": {"probe": {"_target_": TARGET}},
    },
    "data.json": {"layout": 1, "streams": {}, "splits": {"train": ["a"]}, "choices": {}},
    "cell.json": {"key": "a", "source": "b"},
}


def places(node):
    """Where a value stands: (the list or mapping that holds it, its place there)."""
    for key, below in [*node.items()] if isinstance(node, dict) else [*enumerate(node)][:4]:
        yield node, key
        if isinstance(below, dict | list):
            yield from places(below)


def damaged(text, draw):
    """The bytes of a JSON file with one value, key or stretch that no program wrote."""
    how, found = draw.choice(["value", "value", "value", "lack", "name", "cut", "bytes"]), json.loads(text)
    at, content = draw.randrange(len(text)), text.encode()
    if how in ("cut", "bytes"):
        return content[:at] + (draw.randbytes(4) + content[at:] if how == "bytes" else b"")
    node, key = draw.choice([*places(found), ([found], 0)])
    if how == "value":
        node[key] = draw.choice(VALUES)
    else:
        value = node.pop(key)
        if how == "name" and isinstance(node, dict):
            node[draw.choice(["", "a/b", "probe/x/sex/accuracy", "choices/fusion"])] = value
    return json.dumps(found).encode()


def judged(folder):
    """What `study` and `study status` read."""
    made = plan.load(folder)
    console = Console(file=io.StringIO(), width=120)
    status.table(folder, made, ledger.entries(folder, made.every), console)
    found = outcomes.load(folder)
    for label in made.study.labels if found.finished else ():
        found.scores(label)


def tabled(folder):
    """What `sweep_table` reads."""
    console = Console(file=io.StringIO(), width=120)
    console.print(multirun.table(folder, scored(sweep_table.evaluated(folder))))


@pytest.mark.parametrize("part", range(4))
def test_damaged_records_are_one_sentence(tmp_path, part):
    folder = study(tmp_path / "runs", seeds=(0, 1), groups=8)
    cells = [folder / c.folder for c in plan.load(folder).cells]
    for own in cells:
        for name, facts in OTHERS.items():
            (own / name).write_text(json.dumps(facts))
    draw, said = random.Random(part), []
    for _ in range(40):
        path = draw.choice([folder / plan.FILE, *(draw.choice(cells) / name for name in (hashes.SUMMARY, *OTHERS))])
        whole = path.read_bytes()
        path.write_bytes(damaged(whole.decode(), draw))
        try:
            judged(folder)
        except StudyError as error:
            said.append(str(error))
        tabled(folder)
        path.write_bytes(whole)
    assert said
    assert all(str(folder) in sentence for sentence in said)


def test_an_undefined_score_of_one_seed_is_in_no_mean():
    assert status._spread([0.5, float("nan"), 0.7]) == "0.600 ± 0.141"
    assert status._spread([float("nan")]) == "–"


def test_a_job_s_facts_of_other_types_count_for_nothing(tmp_path):
    for facts in (
        {"overrides": ["a=1"], "of": float("inf")},
        {"overrides": [1], "of": 2},
        {"overrides": "a=1", "of": 2},
        [],
    ):
        (tmp_path / "job.json").write_text(json.dumps(facts))
        assert read_job(tmp_path) == {"overrides": [], "of": 0}
