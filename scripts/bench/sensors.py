"""Series beside vectors on UTD-MHAD: python scripts/bench/sensors.py series=/folder vectors=/folder out=DIR [splits=5]

series: the folder of `index.jsonl` and `sensors.h5`; vectors: that of `utd_mhad.parquet` (scripts/utd_mhad.py makes it). For
each sensor a network over time (experiment=sensor) and a perceptron on vectors are trained on the same five splits: four of the
eight subjects are held out, drawn anew. Prints the accuracy on subjects not seen in training, by head and by probe, with a 95 %
interval over the splits (corrected for training sets that overlap, Nadeau & Bengio 2003). Runs that are finished are kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from multimodal_lab.stats.folds import nadeau_bengio

SERIES = ["experiment=sensor", "label=name", "train.epochs=20"]
VECTORS = [
    "modality=inertial", "data=utd_mhad", "backbone=vector", "head=classifier", "loss=cross_entropy", "augment=none",
    "evaluate=[head,probe]", "label=action", "train.epochs=15",
]  # fmt: skip
ARMS = {
    "inertial, series": [*SERIES, "data=utd_mhad_series", "modality=inertial_series", "fusion=separate"],
    "inertial, vector": [*VECTORS, "fusion=separate"],
    "skeleton, series": [*SERIES, "data=utd_mhad_series", "modality=skeleton_series", "fusion=separate"],
    "skeleton from the hip, series": [
        *SERIES,
        "data=utd_mhad_body",
        "modality=skeleton_series",
        "fusion=separate",
    ],
    "skeleton from the hip by torsos, series": [
        *SERIES,
        "data=utd_mhad_body",
        "data.source.relative.skeleton.unit=[3,1]",
        "modality=skeleton_series",
        "fusion=separate",
    ],
    "skeleton, vector": [*VECTORS, "fusion=separate", "modality=skeleton"],
}


def accuracies(arm: str, root: str, split: int, out: Path) -> dict[str, float]:
    """{head, probe: accuracy} of one arm on one split; trained unless it is finished."""
    folder = out / arm.replace(", ", "_").replace(" ", "_") / f"split_{split}"
    if not (folder / "summary.json").is_file():
        words = [f"data.root={root}", "data.split.column=null", f"data.split.seed={split}", f"dir={folder}", "log=none"]
        command = [sys.executable, "-m", "multimodal_lab.run", *ARMS[arm], *words, "figures=[]", "resume=auto"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"error: {arm}, split {split}: {done.stderr[-2000:]}")
    found = json.loads((folder / "summary.json").read_text())
    label = "name" if arm.endswith("series") else "action"
    return {
        "head": found[f"head/classifier/{label}/accuracy"],
        "probe": found[f"probe/{arm.split(',')[0].split()[0]}/{label}/accuracy"],
    }


def interval(values: list[float]) -> str:
    """Mean and 95 % interval over splits whose test set is as large as the training set."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    test = nadeau_bengio(np.array(values), 1.0)
    half = stats.t.ppf(0.975, test.df) * test.se
    return f"{test.mean:.3f} [{test.mean - half:.3f}, {min(1.0, test.mean + half):.3f}]"


def main() -> None:
    given = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
    if not {"series", "vectors", "out"} <= given.keys() <= {"series", "vectors", "out", "splits"}:
        sys.exit(f"error: expected series=…, vectors=…, out=… and perhaps splits=…\n{__doc__}")
    print("| | head | probe |\n|---|---|---|")
    for arm in ARMS:
        root = given["series" if arm.endswith("series") else "vectors"]
        found = [accuracies(arm, root, k, Path(given["out"])) for k in range(int(given.get("splits", 5)))]
        print(
            f"| {arm} | {interval([f['head'] for f in found])} | {interval([f['probe'] for f in found])} |", flush=True
        )


if __name__ == "__main__":
    main()
