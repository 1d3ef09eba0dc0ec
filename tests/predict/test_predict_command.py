"""`python -m multimodal_lab.predict`: a table of what a run says of a folder, and the nearest samples to a query."""

import pandas as pd
import pytest


def test_a_folder_becomes_a_table(cli, tiffs):
    run, kept = tiffs
    done = cli(f"run={run}", f"out={run}/said.parquet", f"data.root={kept}/kind1", "data.source.labels.folders=null",
               module="predict", small=False)  # fmt: skip
    assert done.stdout.startswith("20 samples by ")
    made = pd.read_parquet(run / "said.parquet")
    assert list(made.columns) == ["id", "kind", "kind/kind0", "kind/kind1"]
    assert set(made.kind) <= {"kind0", "kind1"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--help"], "usage: python -m multimodal_lab.predict"),
        ([], "error: run=DIR is missing\n"),
        (["rnu=RUN"], "expected one of data, device, out, pool, run; nearest: run"),
        (["run=/nowhere"], "error: run=/nowhere: no run here (expected config.yaml in it)"),
        (["run=RUN", "out=a.xlsx"], "error: out=a.xlsx: expected one of .csv, .parquet; nearest: "),
        (["run=RUN", "train.epochs=3"], "error: train.epochs=3: only data=… and data.KEY=… can be given"),
        (["run=RUN", "clases=[a,b]"], "the rest is the run's own (nearest: classes=…)"),
        (["run=RUN", "classes=[a,b]", "template=x"], "the rest is the run's own (nearest: templates=…)"),
        (["run=RUN", "data.root=KEPT"], "name classes of your own, classes=[cat, dog], or embed"),
        (["retrieve", "run=RUN"], "error: retrieve: expected one query, such as query="),
        (
            ["retrieve", "run=RUN", "txt=a"],
            "error: no stream 'txt' in this run; expected one of image, text; nearest: text",
        ),
    ],
)
def test_what_can_not_be_followed_is_one_sentence(captioned, call, words, said):
    run, kept = captioned
    assert said in call(*(w.replace("RUN", str(run)).replace("KEPT", str(kept)) for w in words))
