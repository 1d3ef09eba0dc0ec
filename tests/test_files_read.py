"""Reads: what a failure tells, of the file or of the disk."""

import errno
import json

import pytest

from multimodal_lab import files
from multimodal_lab.runs import directory, hashes
from multimodal_lab.runs.summary import read_summary, write_summary
from multimodal_lab.study.audit import record
from multimodal_lab.study.ledger.ledger import _begun


def caused(error):
    try:
        raise ValueError("not a whole file") from error
    except ValueError as wrapped:
        return wrapped


@pytest.mark.parametrize(
    ("error", "fails"),
    [
        (OSError(errno.EIO, ""), True), (OSError(errno.ESTALE, ""), True), (TimeoutError(), True),
        (PermissionError(errno.EACCES, ""), True), (caused(OSError(errno.EIO, "")), True),
        (FileNotFoundError(errno.ENOENT, ""), False), (OSError(errno.EINVAL, ""), False),
        (OSError("image file is truncated"), False), (ValueError(), False),
    ],
)  # fmt: skip
def test_a_failure_of_the_disk_is_told_from_what_a_file_is(error, fails):
    assert (files.read_failure(error) is not None) is fails


def test_a_read_is_tried_four_times_and_a_right_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(files, "WAITS", (0, 0, 0))
    tries = []

    def read(code, times):
        tries.append(1)
        if len(tries) <= times:
            raise OSError(code, "")
        return "content"

    assert files.retried(lambda: read(errno.EIO, 3)) == "content"
    for code, count in ((errno.EIO, 4), (errno.EACCES, 1), (errno.ENOENT, 1)):
        tries.clear()
        with pytest.raises(OSError):
            files.retried(lambda code=code: read(code, 9))
        assert len(tries) == count


def test_a_finished_run_stays_finished(tmp_path, failing):
    (tmp_path / "predictions.parquet").write_bytes(b"rows")
    write_summary(tmp_path, {"score": 1.0}, {"seed": 0})
    key = hashes.config_key({"seed": 0})
    for name in ("summary.json", "predictions.parquet"):
        failing(name, 2)
        assert read_summary(tmp_path, key)["score"] == 1
        failing(name, 99)
        with pytest.raises(OSError, match=name):
            read_summary(tmp_path, key)


def test_what_a_run_or_a_study_wrote_is_not_taken_for_absent(tmp_path, failing):
    for name, content in (
        ("cell.json", {"key": "k"}),
        ("audit.json", {}),
        ("run.lock", {"pid": 1, "host": "elsewhere", "boot": "", "started": ""}),
    ):
        (tmp_path / name).write_text(json.dumps(content))
        failing(name, 1)
    assert _begun(tmp_path) == {"key": "k"}
    assert directory.holder(tmp_path) == "1 on elsewhere"
    for name, read in (("cell.json", _begun), ("audit.json", record.load), ("run.lock", directory.holder)):
        failing(name, 99)
        with pytest.raises(OSError, match=name):
            read(tmp_path)
