"""Real studies of tiny cells from the command line: kills, two launchers at once, failures, and what comes of them."""

import json
import os
import re
import signal

import numpy as np
import pandas as pd
import pytest
from launched import ended, trained, wait_for
from tiny import write

from multimodal_lab.study.design import plan
from multimodal_lab.study.ledger import ledger, outcomes

NAN = "the training loss is not finite at its end, step 2: cross_entropy = "


def test_a_killed_study_goes_on_under_two_launchers_and_trains_no_cell_twice(tmp_path, begin, cli):
    """One arm always ends in NaN: it stops no other cell, is told at once, and tried again by every call."""
    changes = {"seeds: [0, 1]": "seeds: [3]", "unequal: []": "unequal: [optim.lr, train.warmup]"}
    changes["    concat:"] = "    broken: [modality=rgb, fusion=separate, optim.lr=1e30, train.warmup=0]\n    concat:"
    runs = tmp_path / "runs"
    words = [write(tmp_path, changes), "study=tiny", f"hydra.sweep.dir={runs}"]
    first = begin(*words)
    wait_for(lambda: list(runs.glob("rgb-*/summary.json")) and list(runs.glob("concat-*/metrics.jsonl")))
    os.kill(first.pid, signal.SIGKILL)
    said = ended(first)[1]
    assert f"error: {NAN}" in said
    made = plan.load(runs)
    states = {e.cell.arm: e.state for e in ledger.entries(runs, made.cells)}
    assert states == {"rgb": "finished", "broken": "failed", "concat": "partial", "shuffled": "waiting"}
    done = next(runs.glob("rgb-*/summary.json"))
    before = done.stat()
    codes, both = zip(*map(ended, [begin(*words), begin(*words)]), strict=True)
    assert codes == (1, 1), both
    assert any(
        re.match(rf"failed: broken-s3-p0-\w+: {NAN}", text.splitlines()[1]) for text in both
    )  # or it runs already
    for text in both:
        assert "error: 1 of 4 cells failed; the same command runs them again" in text
        assert "1 seed, fewer than 3" in text
        assert "no duplicate control" in text
        assert "Traceback" not in text
    again = [name.partition("-")[0] for text in both for name in trained(text)]
    assert sorted(a for a in again if a != "broken") == ["concat", "shuffled"]
    assert "broken" in again
    assert done.stat() == before
    found = outcomes.load(runs)
    assert [(e.cell.arm, e.state) for e in found.unfinished] == [("broken", "failed")]
    assert not found.invalid
    told = re.search(
        rf"failed: broken-s3-p0-\w+: {NAN}",
        cli("status", f"runs={runs}", module="study", small=False, check=False).stdout,
    )
    assert told
    strict = {
        p.name: json.loads(p.read_text(), parse_constant=pytest.fail)
        for p in (runs / "study.json", done.parent / "data.json")
    }
    assert strict["study.json"]["labels"]
    assert "broken" in (runs / "report.md").read_text()
    check_outcomes(found)
    check_shuffled(found)
    done.write_text(done.read_text().replace('"provenance/source": "', '"provenance/source": "0'))
    code, text = ended(begin(*words))
    assert (code, trained(text)) == (1, [])
    assert "cells of different source stand in one directory" in text


def check_outcomes(found):
    """The arrays say what each cell's summary says, on the same samples for all."""
    for label in ("species", "sex"):
        scores = found.scores(label)
        assert scores.stream == {"rgb": "rgb", "concat": "fused", "shuffled": "fused"}
        assert (scores.seeds, scores.splits, scores.left_out) == ([3], [0], [0])
        for entry in found.finished:
            own = scores.score[entry.cell.arm][0, 0]
            key = f"probe/{scores.stream[entry.cell.arm]}/{label}/accuracy"
            assert own.mean() == pytest.approx(entry.summary[key])
            table = pd.read_parquet(entry.folder / "predictions.parquet").query("label == @label")
            table = table[table.stream == scores.stream[entry.cell.arm]].set_index("id").loc[scores.ids]
            assert (table.score.to_numpy() == own).all()
            assert ((table.truth.astype(str) == table.predicted.astype(str)) == (table.score == 1)).all()
            assert (table.truth.astype(str).to_numpy() == scores.truth).all()
            assert table.probability.between(0, 1).all()
    assert len(set(scores.groups)) == len(scores.ids) // 2  # two sides of each individual


def check_shuffled(found):
    """A control differs from its arm in the pairing alone."""
    record = {e.cell.arm: json.loads((e.folder / "data.json").read_text()) for e in found.finished}
    assert record["shuffled"]["splits"] == record["concat"]["splits"]
    assert record["shuffled"]["shuffle"]["stream"] == "uv"
    assert record["concat"]["shuffle"] is None
    scores = found.scores("species")
    tables = [
        pd.read_parquet(e.folder / "predictions.parquet")
        .query("label == 'species' and stream == 'fused'")
        .set_index("id")
        for e in found.finished
        if e.cell.arm in ("concat", "shuffled")
    ]
    one, two = (t.probability.loc[scores.ids].to_numpy() for t in tables)
    assert np.abs(one - two).max() > 1e-3
