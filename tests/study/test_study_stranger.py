"""A study's directory from a stranger: what it holds is read as data, refused in a sentence, and never run."""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import study

from multimodal_lab import digest
from multimodal_lab.problem import StudyError
from multimodal_lab.study import ledger, outcomes, plan
from multimodal_lab.study.conclude import conclude


class Trap:
    """A pickle of it makes a file where it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_it_is_run(tmp_path, cli):
    sprung = tmp_path / "sprung"
    folder = study(tmp_path / "runs", seeds=(0, 1, 2), groups=40)
    tag = f"!!python/object/apply:os.system ['touch {sprung}']\n"
    node = {"_target_": "os.system", "command": f"touch {sprung}"}
    for own in (folder / c.folder for c in plan.load(folder).cells):
        for name in ("checkpoints", "embeddings"):
            (own / name).mkdir()
        for place in ("checkpoints/last.pt", "embeddings/rgb.pkl", "data.pkl"):
            (own / place).write_bytes(pickle.dumps(Trap(sprung)))
        np.savez(own / "thumbnails.npz", rows=np.array([Trap(sprung)], dtype=object), allow_pickle=True)
        (own / "config.yaml").write_text(tag)
        (own / "cell.json").write_text(json.dumps(node))
        (own / "multimodal_lab.py").write_text(f"open({str(sprung)!r}, 'w')")
    (folder / "conftest.py").write_text(f"open({str(sprung)!r}, 'w')")
    conclude(folder)
    cli("status", f"runs={folder}", module="study", small=False)
    assert (folder / "report.html").exists()
    for own in folder.glob("*/embeddings"):
        (own / "rgb.parquet").write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(StudyError, match="embeddings: not as a run writes it"):
        conclude(folder)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))  # the trap is one
    assert sprung.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p["cells"][0].update(arm="../../etc"), "which is no cell's name"),
        (lambda p: p["cells"][0].update(key="/etc/passwd"), "which is no cell's name"),
        (lambda p: p["cells"][0].update(seed="../.."), "which is no cell's name"),
        (lambda p: p["study"].update(seeds="1"), "study.seeds=1: expected a list"),
        (lambda p: p["study"].update(arms={"a b": []}), "not a name"),
        (lambda p: p["study"].update(tune={"options": [["optim.lr=1"]]}), "at least two to choose among"),
        (lambda p: p["study"].update(evil=1), "no such key"),
        (lambda p: p.update(typed=[{"_target_": "os.system"}]), "hold texts only"),
        (lambda p: p.pop("study"), "can't be read"),
        (lambda p: p.update(cells=3), "can't be read"),
    ],
)
def test_a_plan_that_no_study_wrote_is_refused(tmp_path, change, says):
    folder = study(tmp_path / "runs", seeds=(0,))
    node = json.loads((folder / plan.FILE).read_text())
    change(node)
    (folder / plan.FILE).write_text(json.dumps(node))
    with pytest.raises(StudyError) as error:
        conclude(folder)
    assert says in str(error.value)
    assert str(folder / plan.FILE) in str(error.value)


def test_cells_that_no_run_wrote_do_not_count_or_are_named(tmp_path):
    folder = study(tmp_path / "runs", seeds=(0,))
    first, second, *_ = (folder / c.folder for c in plan.load(folder).cells)
    summary = json.loads((first / digest.SUMMARY).read_text())
    (first / digest.SUMMARY).write_text(json.dumps({**summary, "probe/rgb/sex/accuracy": "<script>"}))
    assert ledger.entries(folder, plan.load(folder).cells)[0].state == "waiting"
    pd.DataFrame({"id": ["a"]}).to_parquet(second / digest.PREDICTIONS)
    summary = json.loads((second / digest.SUMMARY).read_text())
    summary[digest.OF_PREDICTIONS] = digest.of_file(second / digest.PREDICTIONS)
    (second / digest.SUMMARY).write_text(json.dumps(summary))
    with pytest.raises(StudyError, match=r"predictions.parquet: not as a run writes it \(no column evaluator"):
        outcomes.load(folder).scores("sex")
    del summary["data/test"]
    (second / digest.SUMMARY).write_text(json.dumps(summary))
    with pytest.raises(StudyError, match="no data/test"):
        conclude(folder)
