"""Studies as jobs of submitit and as tasks of Ray: what is pre-empted or lost goes on from its checkpoint, and nothing twice."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
from launched import ended, wait_for
from tiny import write

CELLS, EPOCHS = 3, 120
LONG = {
    "seeds: [0, 1]": "seeds: [0]",
    "train: {max_steps: 2}": "train: {save_every: 5, log_every: 5, validate_every: 0}",
}


def busy(folder):
    """The lock of a cell that has trained some steps beyond its first checkpoint, and isn't near its end."""
    for lock in folder.glob("*/run.lock"):
        lines = (
            (lock.parent / "metrics.jsonl").read_text().splitlines() if (lock.parent / "metrics.jsonl").exists() else []
        )
        if 2 < len(lines) < EPOCHS // 10 and list((lock.parent / "checkpoints").glob("*")):
            return lock
    return None


def first_busy(folder):
    found = []
    wait_for(lambda: found.append(busy(folder)) or found[-1])
    return json.loads(found[-1].read_text())


def whole(folder):
    """Every cell is there, and has each step once."""
    cells = sorted(p.parent for p in folder.glob("*/summary.json"))
    assert len(cells) == CELLS
    for cell in cells:
        rows = [json.loads(line) for line in (cell / "metrics.jsonl").read_text().splitlines()]
        steps = [row["step"] for row in rows if "train/total" in row]
        assert steps == sorted(set(steps)), cell
        assert max(steps) == rows[-1]["train/epoch"] + 1 == EPOCHS, cell
    assert (folder / "report.html").exists()


@pytest.mark.slow
def test_a_study_of_submitit_goes_on_with_a_cell_that_was_preempted(launch, tmp_path):
    folder = tmp_path / "out"
    flag = write(tmp_path, LONG)
    words = [
        f"train.epochs={EPOCHS}",
        "hydra/launcher=submitit_local",
        "+hydra.launcher.array_parallelism=2",
        f"hydra.sweep.dir={folder}",
    ]
    process = launch(flag, "-m", "study=tiny", *words)
    owner = first_busy(folder)
    os.kill(owner["pid"], signal.SIGUSR2)
    code, said = ended(process)
    assert code == 0, said
    whole(folder)
    logs = "".join(p.read_text() for p in folder.glob(".submitit/*/*_log.*"))
    assert "this job is preempted" in logs
    assert re.search(r"resum\w+ .*step [1-9]", logs), logs


@pytest.mark.slow
def test_a_study_of_ray_loses_nothing_with_a_machine(launch, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        lost = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        folder = tmp_path / "out"
        flag = write(tmp_path, LONG)
        words = [f"train.epochs={EPOCHS}", "hydra/launcher=ray", f"hydra.launcher.address={cluster.address}"]
        process = launch(flag, "-m", "study=tiny", *words, f"hydra.sweep.dir={folder}")
        raylet = lost.all_processes["raylet"][0].process.pid
        wait_for(lambda: (lock := busy(folder)) and parent(json.loads(lock.read_text())["pid"]) == raylet)
        cluster.remove_node(lost, allow_graceful=False)
        code, said = ended(process)
        assert code == 0, said
        whole(folder)
        assert said.count("it is begun again, and resumes") == 1
    finally:
        cluster.shutdown()


def parent(pid):
    """The process that started another."""
    return int(re.search(r"PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("slurm", "error: hydra/launcher=slurm: there is no such cluster here"),
        ("ray", "error: hydra.launcher.address=127.0.0.1:9: no cluster of Ray answers there"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_sentence(begin, tmp_path, choice, said):
    if choice == "ray":
        pytest.importorskip("ray")
    where = ["hydra.launcher.address=127.0.0.1:9"] if choice == "ray" else []
    code, found = ended(begin(write(tmp_path), "-m", "study=tiny", f"hydra/launcher={choice}", *where))
    assert code == 2
    assert said in found
    assert "Traceback" not in found
