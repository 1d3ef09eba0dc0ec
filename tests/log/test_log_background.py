import threading
import time

import pytest

from multimodal_lab.log.background import Background


class Kept:
    def __init__(self, slow=None, fails_at=None):
        self.rows, self.slow, self.fails_at, self.done = [], slow, fails_at, None

    def scalars(self, step, values):
        if step == self.fails_at:
            raise ConnectionError("500 from the server")
        if self.slow is not None:
            self.slow.wait()
        self.rows.append((step, values))

    def finish(self, summary, figures):
        self.done = (summary, list(figures))


def test_every_row_arrives_in_order_and_the_end_waits_for_them():
    kept = Kept()
    tracker = Background("kept", lambda: kept)
    values = {}
    for step in range(100):
        values["x"] = step
        tracker.scalars(step, values)
    tracker.finish({"score": 1}, ["a.png"])
    assert kept.rows == [(i, {"x": i}) for i in range(100)]
    assert kept.done == ({"score": 1}, ["a.png"])


def test_one_that_hangs_is_left_behind(capsys):
    never = threading.Event()
    tracker = Background("stuck", lambda: Kept(slow=never), finish=0.2)
    for step in range(5):
        tracker.scalars(step, {})
    began = time.monotonic()
    tracker.finish({}, [])
    assert time.monotonic() - began < 5  # it would be for ever
    assert "stuck did not finish in 0.2 s (4 rows unsent)" in capsys.readouterr().out
    never.set()


def test_one_that_hangs_while_it_is_made_does_not_hold_the_start(capsys):
    never = threading.Event()
    tracker = Background("slow", lambda: never.wait() and Kept(), start=0.1, finish=0.1)
    tracker.scalars(1, {})
    tracker.finish({}, [])
    assert "slow has not answered for 0.1 s" in capsys.readouterr().out
    never.set()


def test_one_that_fails_is_told_once_and_one_that_cannot_be_made_is_an_error(capsys):
    tracker = Background("bad", lambda: Kept(fails_at=1))
    for step in range(4):
        tracker.scalars(step, {})
    tracker.finish({}, [])
    assert capsys.readouterr().out.count("bad failed (500 from the server)") == 1

    def missing():
        raise ImportError("no module named there")

    with pytest.raises(ImportError, match="no module named there"):
        Background("missing", missing)
