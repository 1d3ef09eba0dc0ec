"""A run of a config, and what two runs must have in common for one to be as exact as the other."""

import json

import pytest

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.experiment import run as experiment


@pytest.fixture(scope="module")
def trained(composed, tmp_path_factory):
    """A function of overrides to a run's folder, what it has logged, and its summary."""

    def run(*overrides, **how):
        folder = tmp_path_factory.mktemp("run")
        experiment.run(composed(*overrides, **how), folder)
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return folder, rows, json.loads((folder / "summary.json").read_text())

    return run


@pytest.fixture(scope="session")
def require_alike():
    """A function of two runs, which must have logged, scored, embedded and recorded the same, bit for bit."""

    def scores(summary):
        kinds = {"probe", "retrieval", "collapse", "test", "chance"}
        return {k: v for k, v in summary.items() if k.split("/")[0] in kinds}

    def numbers(rows):
        return [{k: v for k, v in row.items() if k.split("/")[0] in {"train", "val", "lr"}} for row in rows]

    def check(one, other):
        (again, logged, found), (folder, rows, plain) = one, other
        assert sum("train/total" in row for row in rows) >= 4
        assert numbers(logged) == numbers(rows)
        assert scores(found) == scores(plain)
        theirs, ours = (Embeddings.load(f / "embeddings") for f in (again, folder))
        assert theirs.ids == ours.ids
        assert all((theirs.vectors[k] == ours.vectors[k]).all() for k in ours.vectors)
        assert json.loads((again / "data.json").read_text()) == json.loads((folder / "data.json").read_text())

    return check
