"""A slip in a part of one's own is told with its type, place and stage, wherever it is made: by a run, `embed` and `replay`."""

import os
import re
from pathlib import Path

import forked
import pytest
import slips
from once import once

ROOT = Path(__file__).parents[1]
BUILD, STEP = (
    "KeyError 'rbg' in own_slip/{}.py:# while building {}; ",
    "KeyError 'rbg' in own_slip/{}.py:# while computing {} ({}); ",
)
TOLD = {
    "data build": BUILD.format("drawer", "source (reading data)"),
    "data read": "sample 'ind_00000_left': can't be read: KeyError: 'rbg' in own_slip/drawer.py:#",
    "backbone build": BUILD.format("film", "the backbone of stream uv"),
    "fusion build": BUILD.format("join", "fusion"),
    "head build": BUILD.format("sign", "head sign"),
    "loss build": BUILD.format("pull", "loss pull"),
    "backbone step": STEP.format("film", "the backbone of stream uv", "training step 1"),
    "fusion step": STEP.format("join", "fusion", "training step 1"),
    "head step": STEP.format("sign", "head sign", "training step 1"),
    "loss step": STEP.format("pull", "loss pull", "training step 1"),
    "loss held out": "the validation loss is not finite at the end of the training: val/pull = nan; lower optim.lr, ",
    "loss held out; train: {validate_every: 0}":
        "the held-out loss is not finite after the training: test/pull = nan; lower optim.lr, ",
    "evaluator": "KeyError 'rbg' in own_slip/judge.py:# while scoring by evaluator judge; ",
    "figure": "FileExistsError '[Errno 17] File exists: '{folder}/figures'' in report/style.py:# while drawing figure pca; ",
}  # fmt: skip


def called(folder, module, *words, **extra):
    env = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "OMP_NUM_THREADS": "1", **extra}
    return forked.command(f"multimodal_lab.{module}", words, folder, env)


def sweep(folder):
    """One sweep whose every job has its slip, and what it said."""
    conf = slips.write(folder)
    (conf / "experiment").mkdir()
    for number, name in enumerate(TOLD):
        slip, _, more = name.partition("; ")
        (conf / "experiment" / f"slip{number}.yaml").write_text(f"# @package _global_\nname: {slip}\n{more}\n")
    jobs = ",".join(f"slip{number}" for number in range(len(TOLD)))
    words = ["train.max_steps=2", f"experiment={jobs}", f"hydra.sweep.dir={folder / 'out'}", *slips.WORDS]
    done = called(folder, "run", "-m", f"--config-dir={conf}", *words)
    assert done.returncode == 1
    (folder / "said.txt").write_text(done.stderr)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The directory of the sweep and what it said."""
    folder = once(tmp_path_factory, "slips", sweep)
    return folder / "out", (folder / "said.txt").read_text()


def pattern(text):
    return re.escape(text).replace(re.escape(":#"), r":\d+")


@pytest.mark.parametrize(("number", "said"), enumerate(TOLD.values()), ids=TOLD)
def test_a_slip_in_a_part_of_ones_own_is_told_with_its_type_place_and_stage(swept, number, said):
    out, text = swept
    folder = out / str(number)
    wanted = pattern(said.replace("{folder}", str(folder)))
    mine = [line for line in text.splitlines() if re.search(rf"{folder}[/)]", line) and line.startswith("error: ")]
    assert len(mine) == 1, text[-3000:]
    assert re.match(f"error: {wanted}", mine[0])
    kept = (folder / "error.txt").read_text()
    assert kept.startswith("Traceback")
    assert re.match(wanted, kept.splitlines()[-1])
    assert not (folder / "summary.json").exists() or "drawing figure" in said


def train(folder):
    """A run of sound parts, whose checkpoint is of its third step and whose fourth is a kept batch."""
    words = [f"--config-dir={slips.write(folder)}", f"dir={folder / 'run'}", "name=sound", *slips.WORDS]
    done = called(folder, "run", *words, "train.max_steps=4", "loss.weight=1e38", "train.clip_norm=null")
    assert "training gradient is not finite at its end, step 4" in done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Where that run is."""
    return once(tmp_path_factory, "trained_slips", train)


HELD = "embedding the data"
LATER = {
    ("embed", "backbone build"): BUILD.format("film", "the backbone of stream uv"),
    ("embed", "fusion step"): STEP.format("join", "fusion", HELD),
    ("replay", "loss step"): STEP.format("pull", "loss pull", "training step 4"),
}


@pytest.mark.parametrize(("command", "said"), LATER.items(), ids=map("-".join, LATER))
def test_embed_and_replay_tell_it_in_the_same_manner(trained, command, said):
    module, where = command
    words = [f"run={trained / 'run'}", f"out={trained / where}"] if module == "embed" else ["run/bad_batch_0"]
    done = called(trained, module, *words, SLIP=where)
    assert done.returncode == 1
    assert re.match(f"error: {pattern(said)}see the traceback above", done.stderr.splitlines()[-1]), done.stderr
    assert "Traceback" in done.stderr
