"""Records of a sweep and of a study, damaged in any way: a table leaves out what is wrong, and nothing ends with a traceback."""

import io
import json
import random

import pytest
from rich.console import Console

from multimodal_lab import sweep_table
from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.rules.wiring import scored
from multimodal_lab.report import multirun
from multimodal_lab.runs.records import read_job
from multimodal_lab.study.compare import file
from multimodal_lab.study.launch import status

DEEP = json.loads("[" * 200 + "]" * 200)
VALUES = [None, True, -1, float("inf"), 10**300, "", "a\0\ud800", [], {}, [[]], {"a": {}}, [1], DEEP]
TARGET = "multimodal_lab.evaluate.probe.Probe"
RECORDS = {
    "job.json": {"overrides": ["optim.lr=1"], "of": 3},
    "config.yaml": {"modality": {"rgb": {}}, "optim": {"lr": 1}, "evaluate": {"probe": {"_target_": TARGET}}},
    "summary.json": {"probe/rgb/sex/accuracy": 0.5, "chance/sex": 0.5, "choices/fusion": "concat"},
}


def places(node):
    """Where a value stands: (the list or mapping that holds it, its place there)."""
    for key, below in [*node.items()] if isinstance(node, dict) else [*enumerate(node)]:
        yield node, key
        if isinstance(below, dict | list):
            yield from places(below)


def damages(record):
    """A JSON file with one value that no program writes, for every place and value; without each; cut, and overwritten."""
    text, draw = json.dumps(record), random.Random(0)
    for number in range(1 + sum(1 for _ in places(record))):
        for value in [*VALUES, ...]:
            whole = [json.loads(text)]
            node, key = [*places(whole)][number]
            if value is ...:
                node.pop(key)
            else:
                node[key] = value
            yield json.dumps(whole[0] if whole else None).encode()
    for at in (draw.randrange(len(text)) for _ in range(4)):
        yield text[:at].encode()
        yield text[:at].encode() + draw.randbytes(4) + text[at:].encode()


@pytest.mark.parametrize("name", RECORDS)
def test_a_table_survives_any_record_of_a_run(tmp_path, name):
    for run in ("0", "1"):
        (tmp_path / run).mkdir()
        for other, record in RECORDS.items():
            if other != "job.json" or name == other:  # without, what differs is read from the configs
                (tmp_path / run / other).write_text(json.dumps(record))
    for content in damages(RECORDS[name]):
        (tmp_path / "0" / name).write_bytes(content)
        out = io.StringIO()
        Console(file=out, width=120).print(multirun.table(tmp_path, scored(sweep_table.evaluated(tmp_path))))
        assert "2 runs" in out.getvalue(), content


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


@pytest.mark.parametrize("note", ["[]", "3", "{", '{"typed": 3}', '"typed"'])
def test_a_damaged_note_of_what_a_study_was_derived_from_is_none(tmp_path, note):
    derived = tmp_path / "study" / "mine.yaml"
    derived.parent.mkdir()
    derived.write_text("{}")
    file.remember(derived, ["study=compare"])
    assert file.kept(derived, ["study=compare"])
    (tmp_path / "derived.json").write_text(note)
    with pytest.raises(StudyError, match="was edited, and this command asks for another study"):
        file.kept(derived, ["study=compare"])
