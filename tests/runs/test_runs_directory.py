import json
import os
import socket
import subprocess
import sys

import pytest

from multimodal_lab.runs import directory


def test_a_thousand_names_in_one_second_differ(monkeypatch):
    monkeypatch.setattr(directory.time, "strftime", lambda _: "same")
    assert len({directory.run_id() for _ in range(1000)}) == 1000


def test_all_ranks_of_one_launch_share_a_name(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "abc")
    first = directory.run_id()
    assert "abc" in first
    assert directory.run_id() == first
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert str(os.getppid()) in directory.run_id()


def test_a_used_directory_is_refused_unless_resumed(tmp_path):
    directory.claim(tmp_path, resume=False)
    directory.release(tmp_path)
    (tmp_path / directory.CONFIG).write_text("seed: 0")
    with pytest.raises(directory.DirectoryError, match="a run is here already"):
        directory.claim(tmp_path, resume=False)
    directory.claim(tmp_path, resume=True)


def test_a_living_writer_is_named_and_a_dead_one_taken_over(tmp_path):
    script = "import sys,pathlib\nfrom multimodal_lab.runs import directory as rundir\n"
    script += "rundir.claim(pathlib.Path(sys.argv[1]), True)\nprint('held', flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(directory.DirectoryError, match=str(holder.pid)):
            directory.claim(tmp_path, resume=True)
        holder.kill()
        holder.wait()
    directory.claim(tmp_path, resume=True)
    assert json.loads((tmp_path / directory.LOCK).read_text())["pid"] == os.getpid()


def test_only_one_of_many_gets_a_directory(tmp_path):
    script = (
        "import sys,pathlib,time\nfrom multimodal_lab.runs import directory as rundir\n"
        "try:\n    rundir.claim(pathlib.Path(sys.argv[1]), True)\n    print('mine')\n    time.sleep(2)\n"
        "except rundir.DirectoryError:\n    print('refused')"
    )
    many = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    said = sorted(p.communicate()[0].strip() for p in many)
    assert said == ["mine"] + ["refused"] * 5


def test_an_unwritable_place_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(directory.DirectoryError, match="can't be written"):
        directory.claim(tmp_path / "file" / "run", resume=False)


def test_other_ranks_own_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    directory.claim(tmp_path / "x", resume=False)
    assert not (tmp_path / "x").exists()


def test_a_line_that_failed_before_it_trained_leaves_its_directory_free(tmp_path):
    directory.claim(tmp_path, resume=False)
    (tmp_path / directory.CONFIG).write_text("seed: 0")
    assert directory.note_failure(tmp_path, "Traceback\nno such folder\n")
    directory.release(tmp_path)
    directory.claim(tmp_path, resume=False)  # the corrected line
    (tmp_path / directory.METRICS).write_text("")
    assert directory.note_failure(tmp_path, "loss is nan\n")
    directory.release(tmp_path)
    with pytest.raises(directory.DirectoryError, match="a run is here already"):
        directory.claim(tmp_path, resume=False)


def test_the_error_of_an_earlier_attempt_is_set_aside(tmp_path):
    """Scripts of clusters ask for `error.txt`: one of an attempt before this would keep it from being requeued."""
    for n in (1, 2):
        directory.claim(tmp_path, resume=True)
        assert not (tmp_path / directory.ERROR).exists()
        directory.note_failure(tmp_path, f"attempt {n}\n")
        directory.release(tmp_path)
    directory.claim(tmp_path, resume=True)
    found = {p.name: p.read_text() for p in tmp_path.glob("error*")}
    assert found == {"error.1.txt": "attempt 1\n", "error.2.txt": "attempt 2\n"}


def test_a_refused_resume_leaves_a_finished_run_as_it_was(tmp_path):
    for name in (directory.METRICS, directory.SUMMARY):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, ns=(1, 1))
    directory.claim(tmp_path, resume=True)
    assert not directory.note_failure(tmp_path, "can't go on exactly")
    assert not (tmp_path / directory.ERROR).exists()
    (tmp_path / directory.METRICS).write_text("{}")  # trained on, then failed
    assert directory.note_failure(tmp_path, "loss is nan")
    assert directory.last_error(tmp_path) == "loss is nan"


def test_a_resume_of_nothing_says_so_and_names_the_nearest_run(tmp_path):
    (tmp_path / "mine" / directory.CHECKPOINTS).mkdir(parents=True)
    assert directory.nothing_to_resume(tmp_path / "mine") == ""
    said = directory.nothing_to_resume(tmp_path / "mnie")
    assert f"no run to resume in {tmp_path / 'mnie'}, so a new one begins (nearest run: {tmp_path / 'mine'})" in said


def test_the_lock_of_another_host_is_told_with_how_to_take_it_over(tmp_path):
    lock = tmp_path / directory.LOCK
    gone = {"pid": os.getpid(), "host": f"not-{socket.gethostname()}", "boot": "", "started": "1"}
    lock.write_text(json.dumps(gone))
    with pytest.raises(directory.Held, match=rf"on not-.*or remove {lock} if that machine is down"):
        directory.claim(tmp_path, resume=True)
    directory.release(tmp_path)  # not ours, though the number of the process is
    assert json.loads(lock.read_text()) == gone
    lock.unlink()
    directory.claim(tmp_path, resume=True)


@pytest.mark.parametrize(
    "content", ["[1]", "{}", "{", "\0", '{"pid": "x", "host": 1, "boot": "", "started": ""}', None]
)
def test_a_damaged_lock_is_one_sentence(tmp_path, content):
    lock = tmp_path / directory.LOCK
    os.mkfifo(lock) if content is None else lock.write_text(content)
    with pytest.raises(
        directory.DirectoryError, match=rf"{lock}: no lock that a run has written .*remove it if no process"
    ):
        directory.claim(tmp_path, resume=True)
    assert directory.holder(tmp_path) is None
    directory.release(tmp_path)
    assert lock.exists()


def test_a_lock_that_its_process_died_before_writing_is_taken_over(tmp_path):
    (tmp_path / directory.LOCK).touch()
    directory.claim(tmp_path, resume=True)
