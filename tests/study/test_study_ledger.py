"""What has become of cells: read from real files, whoever left them and however."""

import io
import json
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from rich.console import Console

from multimodal_lab import files as whole
from multimodal_lab.config import study
from multimodal_lab.config.problem import StudyError
from multimodal_lab.files import file_hash
from multimodal_lab.runs import directory, hashes
from multimodal_lab.study.design import plan
from multimodal_lab.study.design.plan import Cell, StudyPlan
from multimodal_lab.study.launch import status, sweep
from multimodal_lab.study.ledger import ledger

STUDY = study.Study({"rgb": ["modality=rgb"], "concat": ["fusion=concat"]}, ["rgb"], ["species"])


def cell(seed=0, arm="rgb"):
    return Cell(arm, STUDY.role(arm), seed, 0, f"{arm}{seed:08d}".ljust(16, "0"), [f"modality={arm}"])


def finish(folder, made, source="a", data="d", **scores):
    """What a run that ended well leaves of what the ledger reads."""
    own = folder / made.folder
    own.mkdir(parents=True, exist_ok=True)
    (own / hashes.PREDICTIONS).write_bytes(b"table " * 20_000)
    seal = {hashes.OF_CONFIG: made.key, hashes.OF_SOURCE: source, hashes.OF_DATA: data}
    seal[hashes.OF_PREDICTIONS] = file_hash(own / hashes.PREDICTIONS)
    filler = {f"knn/rgb/label{i}/accuracy": i / 7 for i in range(150)}
    (own / hashes.SUMMARY).write_text(json.dumps({**filler, **seal, **scores}, indent=1))
    return own


def state(folder, made):
    return ledger.entry(folder, made).state


def test_a_cell_is_what_its_files_say(tmp_path):
    made = cell()
    own = tmp_path / made.folder
    assert state(tmp_path, made) == "waiting"
    own.mkdir()
    assert ledger.begin(own, made.key)
    assert state(tmp_path, made) == "partial"
    directory.claim(own, resume=True)
    assert state(tmp_path, made) == "running"
    directory.release(own)
    (own / directory.ERROR).write_text("Traceback\n  …\nValueError: no such thing\n")
    failed = ledger.entry(tmp_path, made)
    assert (failed.state, failed.why) == ("failed", "ValueError: no such thing")
    assert ledger.begin(own, made.key)
    assert state(tmp_path, made) == "partial"
    finish(tmp_path, made)
    assert state(tmp_path, made) == "finished"
    assert not ledger.begin(own, made.key)


def test_half_written_damaged_and_other_results_do_not_count(tmp_path):
    made = cell()
    own = finish(tmp_path, made)
    whole = (own / hashes.SUMMARY).read_bytes()
    (own / hashes.SUMMARY).write_bytes(whole[: len(whole) // 2])
    assert state(tmp_path, made) == "waiting"
    (own / hashes.SUMMARY).write_bytes(whole.replace(made.key.encode(), b"f" * 16))
    assert state(tmp_path, made) == "waiting"
    (own / hashes.SUMMARY).write_bytes(whole)
    (own / hashes.PREDICTIONS).write_bytes(b"other")
    assert state(tmp_path, made) == "waiting"


def test_what_another_source_left_unfinished_begins_anew_and_a_strangers_is_refused(tmp_path):
    made = cell()
    own = tmp_path / made.folder
    (own / "checkpoints").mkdir(parents=True)
    assert ledger.begin(own, made.key)
    assert (own / "checkpoints").is_dir()
    whole.write_json(own / ledger.BEGUN, {"key": made.key, "source": "older"})
    assert ledger.begin(own, made.key)
    assert not (own / "checkpoints").exists()
    whole.write_json(own / ledger.BEGUN, {"key": "0" * 16, "source": "older"})
    with pytest.raises(StudyError, match="holds another config"):
        ledger.begin(own, made.key)


def test_mixed_source_and_data_are_told_with_the_odd_cell(tmp_path):
    cells = [cell(i) for i in range(3)]
    for i, made in enumerate(cells):
        finish(tmp_path, made, data="x" if i == 2 else "d")
    found = ledger.entries(tmp_path, cells)
    (said,) = ledger.mixed(found)
    assert "different data" in said
    assert cells[2].folder in said
    assert ["different source" in s for s in ledger.mixed(found, "b")] == [True, False]
    assert not ledger.mixed(found[:2], "a")


def test_a_plan_is_read_as_it_was_written_and_its_lack_is_one_sentence(tmp_path):
    made = StudyPlan(STUDY, [cell(0), cell(1, "concat")], ["train.epochs=1"], ["a warning"])
    plan.write(tmp_path, made)
    assert plan.load(tmp_path) == made
    (tmp_path / plan.FILE).write_text("{")
    with pytest.raises(StudyError, match="can't be read"):
        plan.load(tmp_path)
    with pytest.raises(StudyError, match="no study here"):
        plan.load(tmp_path / "nowhere")


def test_two_hundred_cells_are_listed_without_torch(tmp_path, cli):
    cells = [cell(i, arm) for i in range(100) for arm in ("rgb", "concat")]
    for i, made in enumerate(cells):
        if i % 10:
            finish(tmp_path, made, **{"probe/rgb/species/accuracy": 0.5})
    plan.write(tmp_path, StudyPlan(STUDY, cells, [], []))
    began = time.process_time()
    assert len(ledger.entries(tmp_path, plan.load(tmp_path).cells)) == 200
    assert time.process_time() - began < 1  # 0.1 s on an idle core
    done = cli("status", f"runs={tmp_path}", module="study", small=False, check=False)
    assert done.returncode == 3
    assert "200 cells: 180 finished, 20 waiting" in done.stdout
    code = (
        "import sys\nsys.argv = ['study', 'status', f'runs={sys.argv[1]}']\n"
        "from multimodal_lab.study import __main__ as m\n"
        "try:\n    m.main()\nexcept SystemExit:\n    pass\n"
        "print([n for n in ('torch', 'numpy', 'pandas', 'hydra', 'omegaconf') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"


def test_the_table_names_what_is_tuned_and_what_is_added(tmp_path):
    """A baseline that stands for its subset stays a baseline."""
    tuning = [replace(cell(1000, arm), role="tuning", option=0) for arm in ("rgb", "concat", "concat_on_uv")]
    added = replace(cell(0, "concat_on_uv"), role="retrained")
    subsets = {"rgb": "rgb", "uv": "concat_on_uv", "rgb+uv": "concat"}
    made = StudyPlan(STUDY, [cell(0), cell(0, "concat"), added], [], [], tuning, {}, subsets)
    for one in tuning[:2]:
        finish(tmp_path, one, **{"probe/rgb/species/accuracy": 0.123})
    console = Console(record=True, width=160, file=io.StringIO())
    status.table(tmp_path, made, ledger.entries(tmp_path, made.every), console)
    rows = [line.split() for line in console.export_text().splitlines()]
    assert rows[rows.index(["species"]) + 1] == ["arm", "is", "tuned", "cells", "accuracy"]
    assert ["rgb", "baseline", "1/1", "0/1", "(1", "waiting)", "–"] in rows
    assert ["concat", "fused", "1/1", "0/1", "(1", "waiting)", "–"] in rows
    assert ["concat_on_uv", "retrained", "0/1", "(1", "waiting)", "0/1", "(1", "waiting)", "–"] in rows


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status"], "runs=DIR is missing"),
        (["status", "runs=/nowhere"], "no study here"),
        (["status", "run=x"], "no run=…"),
    ],
)
def test_a_wrong_line_is_one_sentence(cli, words, said):
    done = cli(*words, module="study", small=False, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_two_that_find_a_dead_owners_lock_are_not_both_let_in(tmp_path):
    """The slow look makes the race certain where nothing guards it: each would unlink the lock that another just made."""
    script = (
        "import sys,pathlib,time\nfrom multimodal_lab.runs import directory as rundir, lease\nlook = lease._living\n"
        "def slow(path, now):\n    found = look(path, now)\n    time.sleep(0.05)\n    return found\nlease._living = slow\n"
        "while time.time() < float(sys.argv[2]):\n    pass\n"
        "for own in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n    try:\n"
        "        rundir.claim(own, True)\n        print(own.name)\n    except rundir.Held:\n        pass\ntime.sleep(1)"
    )
    stale = {"pid": 999_999_999, "host": socket.gethostname(), "boot": "", "started": "1"}
    for name in "abcde":
        (tmp_path / name).mkdir()
        (tmp_path / name / directory.LOCK).write_text(json.dumps(stale))
    command = [sys.executable, "-c", script, str(tmp_path), str(time.time() + 1)]
    many = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(name for p in many for name in p.communicate()[0].split()) == list("abcde")


def test_a_launcher_passes_over_cells_that_others_finish_or_begin_meanwhile(tmp_path):
    cells = [cell(seed) for seed in range(4)]
    todo = sweep.Todo(tmp_path, StudyPlan(STUDY, cells, ["study=x"], []), cells)
    assert len(todo) == 4
    asked = iter(todo)
    assert next(asked)[-1] == f"hydra.sweep.subdir={cells[0].folder}"
    finish(tmp_path, cells[1])
    begun = tmp_path / cells[2].folder
    directory.claim(begun, resume=True)
    left = list(asked)
    assert [lines[:3] for lines in left] == [["study=x", "modality=rgb", "resume=auto"]]
    assert left[0][-1].endswith(cells[3].folder)
    directory.release(begun)
    assert [lines[-1].partition("=")[2] for lines in todo] == [cells[i].folder for i in (0, 2, 3)]
