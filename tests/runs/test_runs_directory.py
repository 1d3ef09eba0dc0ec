import json
import os
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
