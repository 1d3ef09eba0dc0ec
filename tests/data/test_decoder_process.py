"""Decoding in a process of its own: what crashes or hangs there names its file, and the next file is read."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from multimodal_lab.data.readers import decoder_process
from multimodal_lab.data.readers.decoder_process import decoded
from multimodal_lab.data.source import DataError

X = np.random.default_rng(0).uniform(-0.5, 0.5, (400, 2)).astype(np.float32)


@pytest.fixture
def file(tmp_path):
    soundfile.write(tmp_path / "a.wav", X, 8000, subtype="FLOAT")
    return str(tmp_path / "a.wav")


def read(file, **changes):
    args = {"path": file, "start": 0.0, "seconds": None, "rate": None, "mono": False, "check": True, "most": 1 << 20}
    return decoded("sound.read", "a.wav", "sound", args, **changes)["values"]


def waiting():
    (only,) = decoder_process._pool.waiting
    return only.process


@pytest.fixture(autouse=True)
def alone():
    decoder_process._pool.close()
    yield
    decoder_process._pool.close()


def test_one_process_reads_file_after_file_into_new_arrays(file):
    first = read(file)
    process = waiting()
    first[:] = 0
    np.testing.assert_array_equal(read(file), X.T)
    assert waiting() is process
    assert process.pid != os.getpid()


def test_a_crash_and_a_hang_name_the_file_and_the_next_is_read(file):
    read(file)
    crashed = waiting()
    crashed.send_signal(signal.SIGSTOP)
    threading.Timer(0.05, crashed.kill).start()
    with pytest.raises(DataError, match=r"a\.wav: not a readable sound: its decoder crashed \(SIGKILL\)"):
        read(file)
    np.testing.assert_array_equal(read(file), X.T)
    waiting().send_signal(signal.SIGSTOP)
    with pytest.raises(DataError, match=r"a\.wav: .*no answer in 0\.05 s and was ended"):
        read(file, seconds=0.05)
    waiting_none = decoder_process._pool.waiting
    assert waiting_none == []
    read(file)
    waiting().kill()  # between two files: no fault of the next
    waiting().wait()
    np.testing.assert_array_equal(read(file), X.T)


def test_a_forked_process_has_a_decoder_of_its_own_and_threads_one_each(file):
    read(file)
    mine = waiting().pid
    out, into = os.pipe()
    if (child := os.fork()) == 0:
        same = np.array_equal(read(file), X.T) and waiting().pid != mine
        decoder_process._pool.close()
        os.write(into, b"1" if same else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(out, 1) == b"1"
    os.close(out)
    os.close(into)
    np.testing.assert_array_equal(read(file), X.T)
    assert waiting().pid == mine
    found = []
    threads = [threading.Thread(target=lambda: found.append([read(file) for _ in range(5)])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(x, X.T) for own in found for x in own)
    assert len(found) == 3


def test_only_functions_of_the_decoder_are_called(file):
    for call in ("os.system", "sound._peak", "child.main", "sound.struct", "sound.np.load"):
        with pytest.raises(DataError, match="is no function of the decoder"):
            decoded(call, "a.wav", "sound", {})


def test_the_decoder_imports_no_torch(file):
    loaded = Path(f"/proc/{_pid(file)}/maps").read_text()
    assert "soundfile" in loaded or "sndfile" in loaded
    assert "torch" not in loaded
    assert "pandas" not in loaded


def _pid(file):
    read(file)
    return waiting().pid
