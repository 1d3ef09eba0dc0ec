"""Long passes are told with the time that is left, where a command asks for it."""

import io
import sys

import pytest

from multimodal_lab import progress
from multimodal_lab.log.log import Log
from multimodal_lab.progress import Bar, track


@pytest.fixture
def clock(monkeypatch):
    """A clock that each look moves on by `clock.step` seconds, and a display that is on."""

    class Clock:
        now, step = 100.0, 1.0

        def monotonic(self):
            self.now += self.step
            return self.now

    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    progress.show(True)
    yield made
    progress.show(False)


def test_a_pass_is_told_every_five_seconds_and_at_its_end(clock, capsys):
    assert list(track(range(12), "reading", 12)) == list(range(12))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "reading 5/12 · ETA 7 s"
    assert lines[-1] == "reading 12/12 · ETA 0 s"
    assert len(lines) == 3


def test_nothing_is_foretold_by_the_first_round_which_starts_the_workers(clock, capsys):
    clock.step = 900.0
    with Bar("packing", 1000) as bar:
        bar.update(0)
        bar.update(1)
        clock.step = 9.0
        bar.update(4)
    assert capsys.readouterr().out.splitlines() == ["packing 0/1000", "packing 1/1000", "packing 4/1000 · ETA 2988 s"]


def test_a_short_pass_says_nothing_and_a_pass_within_another_has_no_bar(clock, capsys):
    clock.step = 0.01
    list(track(range(9), "reading", 9))
    clock.step = 9.0
    with Bar("outer", 2) as bar:
        list(track(range(3), "inner", 3))
        bar.update(1)
    said = capsys.readouterr().out
    assert "inner" not in said
    assert "reading" not in said
    assert said.startswith("outer 1/2")


def test_nothing_is_shown_unless_a_command_asks(clock, capsys):
    progress.show(False)
    clock.step = 9.0
    assert list(track("abc", "reading", 3)) == list("abc")
    assert capsys.readouterr().out == ""


def test_a_pass_that_fails_leaves_the_display_free(clock, capsys):
    clock.step = 9.0
    with pytest.raises(KeyError), Bar("reading", 3):
        raise KeyError
    list(track("ab", "drawing", 2))
    assert capsys.readouterr().out.startswith("drawing 1/2")


def test_training_is_told_from_its_first_step(clock, capsys, tmp_path):
    log = Log(tmp_path)
    clock.step = 0.5
    log.start(0, 40)
    for step in range(1, 41):
        log.progress(step, f"epoch 1/2 loss {step}.0")
    log.stop()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 1/40 · epoch 1/2 loss 1.0 · ETA ")
    assert lines[-1].startswith("step 40/40 · epoch 1/2 loss 40.0 · ETA 0 s")
    log.progress(41, "")
    assert Log(tmp_path, main=False).start(0, 3) is None


def test_passes_alone_are_told_where_all_else_is_hidden(clock, capsys):
    clock.step = 9.0
    with progress.alone():
        print("a cell")
        list(track("ab", "encoding", 2))
    list(track("a", "drawing", 1))
    said = capsys.readouterr().out
    assert "a cell" not in said
    assert [line.split(" ·")[0] for line in said.splitlines()] == ["encoding 1/2", "encoding 2/2", "drawing 1/1"]


def test_a_bar_on_a_terminal_is_drawn_where_all_else_is_hidden(clock, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    seen = Terminal()
    monkeypatch.setattr(sys, "stdout", seen)
    with progress.alone():
        for _ in track("ab", "encoding", 2):
            print("a cell")
    assert "encoding" in seen.getvalue()
    assert "a cell" not in seen.getvalue()
