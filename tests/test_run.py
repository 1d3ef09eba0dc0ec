"""The command line, as a user meets it."""

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import forked
import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf
from small import SMALL

from multimodal_lab import embed, explore, merge, replay, run, sweep_table
from multimodal_lab.doctor import __main__ as doctor
from multimodal_lab.evaluate import __main__ as evaluate
from multimodal_lab.predict import __main__ as predict
from multimodal_lab.serve import __main__ as serve
from multimodal_lab.study import __main__ as study

ROOT = Path(__file__).parents[1]
QUICK = ["train.max_steps=3", "train.log_every=1", "evaluate=[knn]"]
PLAIN = [*QUICK, "optim=sgd", "optim.lr=0.01"]  # Adam's first steps are near sign(g): they blow rounding up


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder):
    return [r["train/total"] for r in rows(folder) if "train/total" in r]


def test_every_command_answers_help(monkeypatch, capsys):
    for command in (doctor, embed, evaluate, explore, merge, predict, replay, serve, study, sweep_table):
        monkeypatch.setattr(sys, "argv", [command.__name__, "--help"])
        code = None
        try:
            command.main()
        except SystemExit as left:
            code = left.code
        assert not code, command.__name__
        said = capsys.readouterr()
        assert said.out.startswith("usage: python -m multimodal_lab."), command.__name__
        assert not said.err


def test_help_and_cfg_answer_without_torch(cli):
    for words in (["--help"], ["--cfg", "job"]):
        code = f"import sys\nsys.argv=['run', *{words!r}]\nfrom multimodal_lab.run import main\n"
        code += "try:\n    main()\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.stdout.strip().endswith("False"), done.stdout[-500:]
        assert "fusion" in done.stdout


@pytest.fixture(scope="module")
def one(cli, tmp_path_factory):
    """A run, and what it said."""
    folder = tmp_path_factory.mktemp("one") / "run"
    return folder, cli(f"dir={folder}", *PLAIN)


def test_a_run_ends_with_a_summary_and_a_second_one_in_its_directory_is_refused(cli, one):
    folder, done = one
    assert "Held-out scores" in done.stdout
    assert str(folder) in done.stdout.replace("\n", "")
    again = cli(f"dir={folder}", *QUICK, check=False)
    assert again.returncode != 0
    assert "a run is here already" in again.stderr
    assert "Traceback" not in again.stderr


def test_two_processes_equal_one(one, tmp_path):
    """The same global batch over two ranks: losses and weights to 1e-6."""
    codes = [done.returncode for done in forked.ranks("multimodal_lab.run", [*SMALL, *PLAIN, f"dir={tmp_path}"], 2)]
    assert codes == [0, 0]
    folders = one[0], tmp_path
    assert losses(tmp_path) == pytest.approx(losses(one[0]), rel=1e-6)
    a, b = ([r["train/grad_norm"] for r in rows(folder) if "train/grad_norm" in r] for folder in folders)
    assert b == pytest.approx(a, rel=1e-5)
    from safetensors.torch import load_file

    weights = [load_file(next((folder / "checkpoints").glob("step_*")) / "model.safetensors") for folder in folders]
    assert max((weights[0][k] - weights[1][k]).abs().max().item() for k in weights[0]) < 1e-6


def test_a_sweep_ends_with_a_table_and_survives_a_failing_job(cli, tmp_path):
    done = cli("-m", f"hydra.sweep.dir={tmp_path / 'sweep'}", "fusion=concat,separate", *QUICK)
    assert "concat" in done.stdout
    assert "separate" in done.stdout
    table = list(csv.DictReader((tmp_path / "sweep" / "sweep.csv").open()))
    assert len(table) == 2
    done = cli("-m", f"hydra.sweep.dir={tmp_path / 'second'}", "data.batch_size=100000,16", *QUICK, check=False)
    assert done.returncode != 0
    assert "data.batch_size 100000 is more than" in done.stderr
    assert "loop.py" not in (tmp_path / "second" / "0" / "error.txt").read_text()  # refused before anything is built
    assert (tmp_path / "second" / "1" / "summary.json").is_file()
    assert "job 2 of 2: " in done.stdout
    told = list(csv.DictReader((tmp_path / "second" / "sweep.csv").open()))
    assert [row["data.batch_size"] for row in told] == ["100000", "16"]
    assert [row["status"][:26] for row in told] == ["data.batch_size 100000 is ", "done"]
    (tmp_path / "second" / "sweep.csv").unlink()
    again = cli(str(tmp_path / "second"), module="sweep_table", small=False)
    assert list(csv.DictReader((tmp_path / "second" / "sweep.csv").open())) == told
    assert again.stdout == done.stdout[-len(again.stdout) :]


@pytest.mark.parametrize("seeds", [(0, 1), pytest.param((0, 1, 2), marks=pytest.mark.slow)])
def test_a_job_that_is_killed_ends_alone_beside_others(cli, tmp_path, seeds):
    """An out-of-memory kill of one process of joblib's, in whose place a third job has one more, as a slow trial.

    The setting of the hook is read by the job's own process.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, threading, time\n"
        "def kill():\n"
        "    while not os.path.exists('KILLED/1/config.yaml'): time.sleep(0.01)\n"
        "    import json; os.kill(json.load(open('KILLED/1/run.lock'))['pid'], 9)\n"
        "if 'multimodal_lab.run' in sys.argv or '-m' in sys.argv: threading.Thread(target=kill, daemon=True).start()\n"
    )
    words = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=KILLED", *QUICK]
    words += [f"seed={','.join(map(str, seeds))}", "evaluate=[collapse]"]
    done = cli(*words, check=False, cwd=tmp_path, fresh=True, PYTHONPATH=f"{ROOT}:{tmp_path}")
    assert done.returncode == 1
    told = list(csv.DictReader((tmp_path / "KILLED" / "sweep.csv").open()))
    assert [row["status"][:16] for row in told] == ["done", "its process died", "done"][: len(seeds)]
    assert "SIGKILL" in told[1]["status"]
    assert "error: its process died" in done.stderr
    if len(seeds) == 3:
        one, two = losses(tmp_path / "KILLED/0"), losses(tmp_path / "KILLED/2")
        assert max(abs(a - b) for a, b in zip(one, two, strict=True)) > 1e-3  # far beyond rounding


def test_simultaneous_runs_get_directories_of_their_own(tmp_path):
    words = [*SMALL, "train.max_steps=1", "evaluate=[collapse]"]
    many = forked.together("multimodal_lab.run", words, tmp_path, [{**os.environ, **forked.OWN}] * 3)
    assert [p.returncode for p in many] == [0, 0, 0], many
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_new_files_are_embedded_by_a_trained_run(cli, one, tmp_path):
    done = cli(f"run={one[0]}", f"out={tmp_path / 'out'}", "data=specimens", "data.source.individuals=8",
               "data.source.size=16", "data.source.species=4", module="embed", small=False)  # fmt: skip
    assert "16 samples embedded" in done.stdout
    with (tmp_path / "out" / "fused.csv").open() as f:
        assert len(list(f)) == 17


def test_embed_says_what_it_lacks(cli, tmp_path):
    for words, said in ((["data=specimens"], "run=DIR is missing"), ([f"run={tmp_path}"], "no run here")):
        done = cli(*words, module="embed", small=False, check=False)
        assert done.returncode != 0
        assert said in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fusion=atention"], "attention"),
        (["fusion.widht=3"], "width"),
        (["fusion._target_=os.system"], "os.system"),
        (["head=classifier", "fusion=separate", "loss=cross_entropy"], "late_fusion"),
        (["data.batch_size=0"], "data.batch_size"),
    ],
)
def test_a_wrong_line_is_one_clear_error_before_anything_is_written(cli, tmp_path, words, said):
    done = cli(*words, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_bad_data_is_one_clear_error(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    done = cli("data=multispectral_tiff", f"data.root={tmp_path / 'empty'}", small=False, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert str(tmp_path / "empty") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_output_is_refused(cli, tmp_path):
    tmp_path.chmod(0o500)
    done = cli(f"dir={tmp_path / 'x'}", check=False)
    assert done.returncode != 0
    assert "can't be written" in done.stderr


def test_the_output_may_not_lie_below_a_file(cli, tmp_path):
    (tmp_path / "file").write_text("")
    done = cli(f"dir={tmp_path / 'file' / 'x'}", check=False)
    assert done.returncode == 1
    below = f"dir={tmp_path / 'file' / 'x'}: can't be written (Not a directory); give a writable dir=…"
    assert done.stderr.strip() == f"error: {below}"


def test_a_sweep_that_can_write_nowhere_names_its_directory(cli, tmp_path):
    (tmp_path / "file").write_text("")
    done = cli("-m", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'file' / 'x'}", check=False)
    assert done.returncode == 1
    assert "give a writable hydra.sweep.dir=…" in done.stderr
    assert "see above" not in done.stderr


@pytest.mark.parametrize(
    ("mode", "typed", "resume", "said"),
    [
        (RunMode.RUN, [], "never", "the same command with dir=/runs/x resume=auto resumes (/runs/x)"),
        (RunMode.RUN, ["dir=/runs/x"], "never", "the same command with resume=auto resumes (/runs/x)"),
        (RunMode.RUN, ["dir=/runs/x", "resume=auto"], "auto", "the same command resumes (/runs/x)"),
        (RunMode.MULTIRUN, [], "never", "the same command with hydra.sweep.dir=/sweep resume=auto resumes (/runs/x)"),
    ],
)
def test_a_stopped_job_tells_the_command_that_resumes_it(mode, typed, resume, said):
    own = OmegaConf.create({"overrides": {"task": typed, "hydra": []}, "sweep": {"dir": "/sweep"}})
    own.mode = mode
    assert run.to_resume(own, OmegaConf.create({"resume": resume}), Path("/runs/x")) == said


def test_the_last_words_point_above_only_where_a_job_told_its_failure():
    error = OSError(28, "No space left on device", "x")
    assert "a job of this sweep failed" not in run.last_words(ValueError("odd"))
    error.add_note(run.TOLD)
    said = f"a job of this sweep failed, see above (OSError '{error}'; see error.txt)"
    assert run.last_words(error) == said


def test_an_installed_wheel_carries_the_configs_and_runs(tmp_path):
    python = [sys.executable, "-m"]
    build = [*python, "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert "multimodal_lab/conf/config.yaml" in wheel.namelist()
        wheel.extractall(tmp_path / "site")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    where = "import multimodal_lab.config.instantiate as i; print(i.conf_dir())"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(tmp_path / "site" / "multimodal_lab" / "conf")
    shown = [*python, "multimodal_lab.run", "--cfg", "job"]
    done = subprocess.run(shown, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert "multimodal_lab.system.System" in done.stdout


def test_no_secret_reaches_a_file(cli, tmp_path):
    argv, held, referred = "hf_" + "argvCanary42" * 3, "environment-canary-value", "referred-canary-value"
    around = {"CANARY_TOKEN": held, "CANARY_PLACE": referred}
    cli(f"dir={tmp_path / 'told'}", *QUICK, "log=wandb", f"name={argv}", **around)
    words = ["log=wandb", "name='${oc.env:CANARY_PLACE}'", "evaluate=[retrieval]"]
    words += ["objective='retrieval/rgb->uv/R@${oc.env:CANARY_TOKEN}'"]
    failed = cli(f"dir={tmp_path / 'broken'}", *QUICK, *words, check=False, **around)
    assert failed.returncode == 1
    assert "objective=retrieval/rgb->uv/R@***" in (tmp_path / "broken/error.txt").read_text()
    refused = cli(f"dir={tmp_path / 'no'}", *QUICK, "objective='${oc.env:CANARY_TOKEN}'", check=False, **around)
    assert refused.returncode == 2
    assert "objective=***: expected" in refused.stderr
    assert "${oc.env:CANARY_PLACE}" in (tmp_path / "broken/config.yaml").read_text()
    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert sum(p.suffix == ".wandb" for p in written) == 2
    for value in (argv, held, referred):
        assert not [p for p in written if value.encode() in p.read_bytes()], value


@pytest.mark.parametrize("raised", [SystemExit(75), None])
def test_a_signal_is_told_from_an_error_even_where_the_clean_up_it_cut_short_fails(raised):
    """As OmegaConf's restoring of flags does, which then hides that the process was asked to end."""

    def restored():
        try:
            if raised is not None:
                raise raised
        finally:
            None.restore  # noqa: B018

    with pytest.raises(AttributeError) as found:
        restored()
    assert run.leaving(found.value) == (raised is not None)
