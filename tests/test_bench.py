"""The benchmark of the loop trains as a run does: what it hands to `fit` is what `fit` asks for."""

import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def loop():
    sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "bench"))
    import loop

    yield loop
    sys.path.pop(0)


def test_the_loops_benchmark_trains_by_the_loop_as_long_as_it_says(loop, monkeypatch):
    steps = []
    forward = loop.Tiny.forward

    def counted(self, batch, progress=0.0):
        steps.append(progress)
        return forward(self, batch, progress)

    monkeypatch.setattr(loop.Tiny, "forward", counted)
    loop.ours(3)
    assert len(steps) == 3
