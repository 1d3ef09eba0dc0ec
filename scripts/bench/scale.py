"""Benchmark: what a data set of half a million rows costs at the start and at the end of a run, in seconds and memory.

python scripts/bench/scale.py [rows=549488] [widths=768,2048,2816] [dtype=float16] [data=DIR] [KEY=VALUE …]

Three streams of vectors in one HDF5 file, made once: in `data`, where it is kept, else in a temporary folder. One run of a
few steps in a process of its own. Start: from the launch to the first step. End: from the last step to the report. The first
start knows nothing, the second what the first has learnt. Other words are the run's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ROWS, WIDTHS, STREAMS, CLASSES, BLOCK = 549_488, (768, 2048, 2816), "abc", 19, 4096
GOALS = {"start": (60.0, 1.5), "end": (120.0, 2.0)}  # seconds, GB
RUN = [
    "data=big", "modality=big", "backbone=vector", "fusion=concat", "head=projection", "loss=cross_modal", "loss.intra_weight=0",
    "augment=none", "log=none", "figures=[pca,curves]", "train.max_steps=20", "train.validate_every=0", "data.batch_size=512",
    "data.verify=headers", "data.fingerprint=quick", "data.statistics=4096", "embed.limit=5000",
]  # fmt: skip


def make(folder: Path, rows: int, widths: list[int], dtype: str) -> None:
    """One file of rows of 19 classes, whose streams are noise about a mean of each class, and the config that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "big.h5"
    if not path.exists():
        rng = np.random.default_rng(0)
        labels = rng.integers(0, CLASSES, rows)
        with h5py.File(folder / "big.part", "w") as file:
            file["label"] = labels
            for name, width in zip(STREAMS, widths, strict=True):
                means = rng.normal(size=(CLASSES, width)).astype(np.float32)
                noise = rng.normal(size=(2 * BLOCK, width)).astype(np.float32)
                data = file.create_dataset(name, (rows, width), dtype)
                for at in range(0, rows, BLOCK):
                    own = labels[at : at + BLOCK]
                    shift = int(rng.integers(0, BLOCK))
                    data[at : at + BLOCK] = 0.3 * means[own] + noise[shift : shift + len(own)]
        (folder / "big.part").replace(path)
    bands = {name: [f"{name}{i}" for i in range(width)] for name, width in zip(STREAMS, widths, strict=True)}
    data_set: dict[str, Any] = {
        "defaults": ["_folder", {"scaling": "none"}, "_self_"],
        "root": str(folder),
        "source": {
            "_target_": "multimodal_lab.data.readers.hdf5.Hdf5",
            "datasets": bands,
            "axes": "nc",
            "columns": {"label": "label"},
            "card": {"_target_": "multimodal_lab.data.readers.card.card", "bands": [*chain(*bands.values())]},
            "labels": {"pattern": None, "key": "id"},
        },
        "labels": ["label"],
        "split": {"by": None, "stratify": None},
    }
    modality = {name: {"kind": "vector", "bands": f"{name}*"} for name in bands}
    for group, content in (("data", {"override": data_set}), ("modality", {"override": modality})):
        (folder / "conf" / group).mkdir(parents=True, exist_ok=True)
        (folder / "conf" / group / "big.yaml").write_text(json.dumps(content["override"]))  # JSON is YAML


def watched() -> None:
    """Run the command line with the times and peaks of its start and end, which are printed as the last line."""
    import multimodal_lab.experiment.run as story

    began = float(os.environ["SCALE_BEGAN"])
    found: dict[str, float] = {}
    fit = story.fit

    def between(*args: Any, **kwargs: Any) -> Any:
        found.update(start_s=time.time() - began, start_cpu=time.process_time(), start_gb=_peak())
        state = fit(*args, **kwargs)
        _restart_peak()
        found.update(end_s=-time.time(), end_cpu=-time.process_time())
        return state

    story.fit = between
    from multimodal_lab.run import main

    try:
        main()
    finally:
        found.update(end_s=found.get("end_s", 0) + time.time(), end_cpu=found.get("end_cpu", 0) + time.process_time())
        print(json.dumps({**found, "end_gb": _peak()}))


def _peak() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e9


def _restart_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def measured(folder: Path, out: Path, words: list[str]) -> dict[str, float]:
    """What one run takes."""
    command = [sys.executable, __file__, "--watched", "--config-dir", str(folder / "conf"), *RUN, *words, f"dir={out}"]
    cache = {"XDG_CACHE_HOME": str(out.parent / "cache"), "SCALE_BEGAN": str(time.time())}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **cache})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    if os.environ.get("SCALE_SHOW"):
        print(done.stdout, done.stderr)
    written = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    return {**json.loads(done.stdout.splitlines()[-1]), "written_gb": written / 1e9}


def main() -> None:
    """Make the data, run twice, and print a table."""
    known = {"rows", "widths", "dtype", "data"}
    words = dict(w.split("=", 1) for w in sys.argv[1:] if w.split("=")[0] in known)
    rest = [w for w in sys.argv[1:] if w.split("=")[0] not in known]
    rows = int(words.get("rows", ROWS))
    widths = [int(w) for w in words["widths"].split(",")] if "widths" in words else list(WIDTHS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(words.get("data", temporary))
        make(folder, rows, widths, words.get("dtype", "float16"))
        print(f"{rows:,} rows of {', '.join(map(str, widths))}")
        print(
            f"{'':12}"
            + "".join(f"{name:>10}" for name in ("start s", "CPU s", "GB", "end s", "CPU s", "GB", "written GB"))
        )
        goal = ((*GOALS["start"], ""), (*GOALS["end"], ""))
        line("goal", *(x for seconds, memory, none in goal for x in (seconds, none, memory)))
        for i, name in enumerate(("first run", "second run")):
            found = measured(folder, Path(temporary) / f"run{i}", rest)
            keys = ("start_s", "start_cpu", "start_gb", "end_s", "end_cpu", "end_gb", "written_gb")
            line(name, *(found[key] for key in keys))


def line(name: str, *numbers: float | str) -> None:
    """One line of the table."""
    print(f"{name:12}" + "".join(f"{'' if x == '' else f'{x:.2f}':>10}" for x in numbers), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watched"]:
        sys.argv.pop(1)
        watched()
    else:
        main()
