"""A run directory that can't be read is one sentence from every command, at once and before torch is imported."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from multimodal_lab import files
from multimodal_lab.runs import directory
from multimodal_lab.runs.records import LayoutError, require_readable
from multimodal_lab.study.design import plan

sys.path.append(str(Path(__file__).parents[1] / "study"))
from made import study

ROOT = Path(__file__).parents[2]
CONFIG = "data: {a: 1}\nmodality: {rgb: {kind: image}}\nsystem: {a: 1}\ntrain: {a: 1}\n"
RECORD = {"layout": 2, "streams": {}, "splits": {}, "choices": {}}
DEEP = "[" * 100_000 + "]" * 100_000
LONG = '{"layout": ' + "9" * 5_000 + "}"
BOMB = "a0: &a0 [1, 2]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
MERGE = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 40))
FIFO, DEVICE, AWAY, ZERO, SOCKET = (object() for _ in range(5))
LINKS = {AWAY: "/etc/hostname", ZERO: "/dev/zero"}
CASES = {  # name: (file, its content, what is said of it)
    "layout 7": ("data.json", json.dumps({**RECORD, "layout": 7}), "layout 7; this version reads layout 2"),
    "no streams": ("data.json", json.dumps({"layout": 2}), "expected the record of a run with its streams"),
    "a list": ("data.json", "[]", "expected the record of a run with its streams"),
    "no splits": ("data.json", json.dumps({"layout": 2, "streams": {}, "choices": {}}), "expected the mapping splits"),
    "deep": ("data.json", DEEP, "can't be read (nested more than 64 deep)"),
    "digits": ("data.json", LONG, "can't be read (a number of 5,000 digits"),
    "a pipe": ("data.json", FIFO, "can't be read (expected a file, found a pipe"),
    "empty config": ("config.yaml", "", "expected the keys of a config, found nothing"),
    "config a list": ("config.yaml", "[1, 2]", "expected the keys of a config, found list"),
    "binary config": ("config.yaml", b"\x00\xff\xfe\x80", "can't be read ("),
    "tags": ("config.yaml", "data: !!python/object/apply:os.system [true]\n", "can't be read (line 1 has the tag"),
    "deep config": ("config.yaml", DEEP, "can't be read ("),
    "config 900 deep": ("config.yaml", "a: " + "{b: " * 900 + "1" + "}" * 900, "can't be read (nested more than 64 deep)"),
    "config of digits": ("config.yaml", "a: " + "9" * 5_000, "can't be read (Exceeds the limit"),
    "config of itself": ("config.yaml", BOMB, "can't be read ("),
    "config of merges": ("config.yaml", MERGE, "can't be read (line 6: more than 200,000 parts, aliases written out"),
    "a tag that is plain": ("config.yaml", "data: !!set {a}\n", "can't be read (line 1 has the tag"),
    "a date": ("config.yaml", "data: 2001-01-01\n", "can't be read (expected plain values, found a date"),
    "400 digits": ("config.yaml", "seed: " + "9" * 400, "can't be read (expected plain values, found a int"),
    "400 digits in the record": ("data.json", '{"streams": ' + "9" * 400 + "}", "can't be read (a number of 400 digits"),
    "a large config": ("config.yaml", "a: b\n" * 1_000_000, "can't be read (5,000,000 bytes, expected at most"),
    "a link elsewhere": ("config.yaml", AWAY, "can't be read (config.yaml: a link to /etc/hostname, outside of"),
    "a link to a device": ("data.json", ZERO, "can't be read (data.json: a link to /dev/zero, outside of"),
    "a device": ("data.json", DEVICE, "can't be read (expected a file, found a pipe or a device"),
    "a socket": ("data.json", SOCKET, "can't be read (expected a file, found a pipe or a device"),
    "a directory": ("data.json", b"", "can't be read (expected a file, found a directory"),
    "a stream that is a list": ("data.json", json.dumps({**RECORD, "streams": {"rgb": []}}), "stream 'rgb' has no kind"),
    "a stream of other bands": (
        "data.json", json.dumps({**RECORD, "streams": {"rgb": {"kind": "image", "bands": [1]}}}), "or no bands by their names"
    ),
    "a split that is a number": ("data.json", json.dumps({**RECORD, "splits": {"train": 5}}), "split 'train' is no list of ids"),
    "classes that are numbers": ("data.json", json.dumps({**RECORD, "classes": {"a": [1]}}), "classes is \"{'a': [1]}\", "),
    "a choice that is nothing": ("data.json", json.dumps({**RECORD, "choices": {"scaling": None}}), "choices.scaling is 'None'"),
    "a mean that is a text": (
        "data.json", json.dumps({**RECORD, "streams": {"rgb": {"kind": "image", "mean": ["x"]}}}), "streams.rgb.mean is \"['x']\""
    ),
    "a shape that is a number": (
        "data.json", json.dumps({**RECORD, "streams": {"rgb": {"kind": "image", "layout": {"shape": 3}}}}),
        "streams.rgb.layout.shape is '3', expected list[int]"
    ),
    "a source that is a list": ("config.yaml", CONFIG.replace("{a: 1}", "{source: [1]}", 1), "data.source is no mapping"),
    "a modality of numbers": ("config.yaml", CONFIG.replace("{kind: image}", "5"), "modality.rgb is no mapping"),
    "a stream that is a path": ("config.yaml", CONFIG.replace("rgb", "/tmp/x"), "a stream is called '/tmp/x'; expected letters"),
    "a stream of control characters": (
        "data.json", json.dumps({**RECORD, "streams": {"\x1b]0;x\x07": {}}}), "a stream is called '\\x1b]0;x\\x07'"
    ),
    "no data": ("config.yaml", "seed: 0\n", "expected the mapping data in it"),
}  # fmt: skip
DRIVER = """
import contextlib, importlib, io, json, sys, time

said = []
for module, words in json.loads(sys.stdin.read()):
    sys.argv, err, began = [module, *words], io.StringIO(), time.process_time()
    try:
        with contextlib.redirect_stderr(err):
            importlib.import_module("multimodal_lab." + module).main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        err.write("" if isinstance(end.code, int) else str(end.code))
    said.append([code, err.getvalue(), time.process_time() - began])
heavy = sorted({"torch", "scipy", "matplotlib", "sklearn"} & sys.modules.keys())
print(json.dumps({"said": said, "heavy": heavy}))
"""


def damaged(folder, file, content):
    """A run's directory as far as it is looked at first, one file of it other than a run writes it."""
    (folder / "bad_batch_0").mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "data.json").write_text(json.dumps(RECORD))
    (folder / "summary.json").write_text("{}")
    facts = dict.fromkeys(("batches", "epoch", "ids", "precision", "progress", "scale", "seed", "step"), 0)
    (folder / "bad_batch_0" / "batch.json").write_text(json.dumps(facts))
    put(folder / file, content)
    return folder


def put(path, content):
    """What stands at `path` from now on."""
    path.unlink()
    if content is FIFO:
        os.mkfifo(path)
    elif content is DEVICE:
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
        except PermissionError:  # of a user without the right to make one: a pipe is told alike
            os.mkfifo(path)
    elif content is SOCKET:
        with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:  # a path has room for 100 letters
            made.bind(path.name)
    elif content in LINKS:
        path.symlink_to(LINKS[content])
    elif content == b"":
        path.mkdir()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def lines(folder):
    return {
        "embed": ["embed", [f"run={folder}"]],
        "evaluate": ["evaluate.__main__", [f"run={folder}"]],
        "explore": ["explore", [f"run={folder}"]],
        "predict": ["predict.__main__", [f"run={folder}"]],
        "replay": ["replay", [str(folder / "bad_batch_0")]],
        "run": ["run", ["fusion=separate", "loss=simclr", "adapt=encoders", f"adapt.runs=[{folder}]"]],
    }


COMMANDS = ["embed", "evaluate", "explore", "predict", "replay", "run"]


def called(calls):
    """[exit code, what was said, seconds of CPU] of each command, made in one process, and what heavy it imported."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DRIVER]
    done = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True, env=env, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return [*found["said"], found["heavy"]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """{(command, case): [exit code, what was said, seconds of CPU]} of all of them, in one process; what it imported."""
    base = tmp_path_factory.mktemp("unreadable")
    made = {name: damaged(base / str(i), *case[:2]) for i, (name, case) in enumerate(CASES.items())}
    asked = [(command, name) for name in CASES for command in COMMANDS]
    calls = [lines(made[name])[command] for command, name in asked]
    *said, heavy = called(calls)
    return dict(zip(asked, said, strict=True)), heavy


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", CASES)
def test_it_is_one_sentence_within_two_seconds(answers, command, case):
    code, said, seconds = answers[0][command, case]
    assert code == (2 if command == "run" else 1)
    assert said.startswith("error: ")
    assert CASES[case][2] in said
    assert CASES[case][0] in said
    assert len(said.strip().splitlines()) == 1
    assert seconds < 2


def test_nothing_heavy_is_imported_for_it(answers):
    assert answers[1] == []


PLANS = {  # the plan of a study: its content, what is said of it
    "a list": ("[]", "can't be read"),
    "deep": (DEEP, "nested more than 64 deep"),
    "digits": (LONG, "a number of 5,000 digits"),
    "binary": (b"\x00\xff", "can't be read"),
    "a pipe": (FIFO, "found a pipe or a device"),
    "a link to a device": (ZERO, "a link to /dev/zero"),
    "a directory": (b"", "found a directory"),
}


@pytest.mark.parametrize("verb", [(), ("status",), ("audit",)])
def test_a_plan_that_can_t_be_read_is_one_sentence(tmp_path, verb):
    for name, (content, _) in PLANS.items():
        study(tmp_path / name, seeds=(0,), groups=10)
        put(tmp_path / name / plan.FILE, content)
    *said, heavy = called([["study.__main__", [*verb, f"runs={tmp_path / name}"]] for name in PLANS])
    assert heavy == []
    for (code, told, seconds), (_, says) in zip(said, PLANS.values(), strict=True):
        assert code == 1
        assert told.startswith("error: ")
        assert says in told
        assert len(told.strip().splitlines()) == 1
        assert seconds < 2


@pytest.mark.parametrize("verb", [(), ("status",)])
def test_a_cell_that_is_a_link_elsewhere_is_one_sentence(tmp_path, verb):
    folder = study(tmp_path / "runs", seeds=(0,), groups=10)
    own = folder / plan.load(folder).cells[0].folder
    own.rename(tmp_path / "elsewhere")
    own.symlink_to(tmp_path / "elsewhere")
    (code, said, _), heavy = called([["study.__main__", [*verb, f"runs={folder}"]]])
    assert (code, heavy) == (1, [])
    assert f"{own.name}: a link to {tmp_path / 'elsewhere'}, outside of" in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["checkpoints", "checkpoints/step_00000001", "embeddings"])
def test_a_folder_of_a_run_that_is_a_link_elsewhere_is_refused(tmp_path, name):
    folder = damaged(tmp_path / "run", "summary.json", "{}")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(tmp_path)
    with pytest.raises(LayoutError, match=f"{Path(name).name}: a link to"):
        require_readable(folder)


@pytest.mark.parametrize("verb", [(), ("status",)])
def test_a_study_with_a_cell_of_another_layout_is_one_sentence(tmp_path, verb):
    folder = study(tmp_path / "runs", seeds=(0,), groups=10)
    (cell, *_) = plan.load(folder).cells
    files.write_json(folder / cell.folder / "data.json", {**RECORD, "layout": 7})
    (code, said, seconds), heavy = called([["study.__main__", [*verb, f"runs={folder}"]]])
    assert (code, heavy) == (1, [])
    assert said.startswith(f"error: {folder / cell.folder / 'data.json'}: layout 7; this version reads layout 2")
    assert seconds < 2


@pytest.mark.parametrize(("text", "said"), [(DEEP, "nested more than 64 deep"), ("{}", "expected the facts of a kept")])
def test_a_kept_batch_that_can_t_be_read_is_one_sentence(tmp_path, text, said):
    from multimodal_lab.replay import kept

    folder = damaged(tmp_path / "run", "bad_batch_0/batch.json", text)
    with pytest.raises(ValueError, match=rf"batch\.json: .*{said}"):
        kept(folder / "bad_batch_0")


def test_a_sweep_s_table_names_what_it_leaves_out_and_has_the_rest(tmp_path):
    for i, (file, content, _) in enumerate(CASES.values()):
        damaged(tmp_path / str(i), file, content)
    files.write_json(
        damaged(tmp_path / "sound", "summary.json", "{}") / "summary.json", {"probe/rgb/sex/accuracy": 0.5}
    )
    (tmp_path / "sweep.csv").write_text("")
    ((code, said, seconds), _) = called([["sweep_table", [str(tmp_path)]]])
    assert code == 0
    assert all(line.startswith("left out: ") for line in said.strip().splitlines())
    assert seconds < 6  # thirty runs and pandas
    assert (tmp_path / "sweep.csv").read_text().count("summary.json holds no scores") == len(CASES)


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl", "summary.json", "error.txt", "data.json"])
def test_a_pipe_in_a_run_s_place_is_refused_before_it_is_written_to(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(directory.DirectoryError, match=rf"{tmp_path / name}: expected a file, found a pipe"):
        directory.claim(tmp_path, resume=True)
