"""`python -m multimodal_lab.serve`: what it refuses in one sentence, and a real server that ends by Ctrl-C."""

import http.client
import os
import signal
import socket
import sys
import threading
import time

import pytest

from multimodal_lab.serve import __main__ as command


@pytest.fixture
def call(monkeypatch, capsys):
    """The command line, in this process: the sentence that it ended with, or what it printed."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["serve", *map(str, words)])
        monkeypatch.setattr(command, "serve", lambda *_: None)
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        try:
            command.main()
        except SystemExit as end:
            return str(end.code or capsys.readouterr().out)
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--help"], "usage: python -m multimodal_lab.serve"),
        ([], "error: run=DIR is missing"),
        (["run=/nowhere"], "error: run=/nowhere: no run here (expected config.yaml in it)"),
        (["run=RUN", "port=http"], "error: port=http: expected a whole number from 0 to 65535, such as port=7860"),
        (["run=RUN", "port=70000"], "error: port=70000: expected a whole number from 0 to 65535"),
        (["run=RUN", "host=no.such.host.invalid"], "error: host=no.such.host.invalid: no address of this machine"),
        (["run=RUN", "host=192.0.2.1"], "error: host=192.0.2.1: no address of this machine"),
        (["run=RUN", "max_mb=0"], "error: max_mb=0: expected a whole number from 1 to 1024"),
        (["run=RUN", "train.epochs=3"], "error: train.epochs=3: only data=… and data.KEY=… can be given"),
        (["run=RUN", "data.root=/nowhere"], "data.root=/nowhere"),
    ],
)
def test_what_can_not_be_followed_is_one_sentence(captioned, call, words, said):
    found = call(*[w.replace("RUN", str(captioned / "run")) for w in words])
    assert said in found


def test_a_taken_port_names_the_next_free_one(captioned, call):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        found = call(f"run={captioned}/run", f"port={port}")
    assert found.startswith(f"error: port={port}: in use on 127.0.0.1; the next free one: port=")
    assert port < int(found.rpartition("=")[2]) <= port + 100


def test_a_server_starts_answers_and_ends_by_ctrl_c(captioned, monkeypatch, capsys):
    """In this process: a thread asks it, then sends the signal of Ctrl-C."""
    made, seen, over, listening = [], [], threading.Event(), command.listening
    monkeypatch.setattr(command, "listening", lambda words: made.append(listening(words)) or made[0])
    monkeypatch.setattr(sys, "argv", ["serve", f"run={captioned}/run", "port=0", "host=0.0.0.0", "device=cpu"])

    def visit():
        while not made and not over.is_set():
            time.sleep(0.01)
        while not over.is_set() and b'"state":"ready"' not in _get(made[0].server_port, "/api/health"):
            time.sleep(0.05)
        seen.append(_get(made[0].server_port, "/"))
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGTERM)
    # a shell that starts tests behind itself has them ignore it
    ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=visit, daemon=True)
    thread.start()
    try:
        command.main()
    finally:
        over.set()
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, ctrl_c)
    thread.join(30)
    said = capsys.readouterr()
    assert seen[0].startswith(b"<!doctype html>")
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{captioned}/run by ")
    assert f"open http://127.0.0.1:{made[0].server_port}/ (API: " in lines[1]
    assert lines[-1] == "ended"
    assert said.err == "warning: host=0.0.0.0: whoever reaches this machine may use the page; there is no password\n"
    with pytest.raises(ConnectionRefusedError):
        _get(made[0].server_port, "/")


def _get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", path)
    found = connection.getresponse().read()
    connection.close()
    return found
