"""Actions by depth video, inertial sensor, skeleton and all: python scripts/bench/actions.py root=/folder out=DIR [splits=5]

root: the folder of `index.jsonl`, `sensors.h5` and `depth/`. Each stream is trained alone on five splits of subjects, four of
the eight held out, drawn anew; then a classifier a stream is trained on the kept features of the three frozen encoders, and
their mixture is scored with every subset of the streams (modality_subsets). Beside it, what the same encoders give joined to
one vector, and, with naive=yes, one network of all three from scratch. Prints accuracy on subjects not seen in training, with
95 % intervals over the splits (corrected for training sets that overlap, Nadeau & Bengio 2003), and what the third stream
adds to each two. A run that is finished is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from sensors import interval

STREAMS = ("inertial", "skeleton", "depth")
ALONE = {
    "inertial": ["experiment=sensor", "modality=inertial_series", "fusion=separate", "train.epochs=20"],
    "skeleton": ["experiment=sensor", "modality=skeleton_series", "fusion=separate", "train.epochs=20"],
    "depth": ["experiment=action_recognition", "modality=depth_video", "backbone=motion", "train.epochs=25"],
}
# joints from where the hip is at first, in the length of the torso
SKELETON = [f"data.source.sources.series.source.relative.skeleton.{word}" for word in ("at=first", "unit=[3,1]")]
JOINT = ["experiment=video_sensor"]
FROZEN = [*JOINT, "adapt=encoders", "cache=features", "augment=none"]
NAIVE = ["fusion=concat", "head=classifier", "loss=cross_entropy", "augment.modality_dropout=0"]
FUSIONS = {
    "mixture": [*FROZEN, "head.weights=uniform", "modality_subsets=true", "train.epochs=30"],
    "joined": [*FROZEN, *NAIVE, "train.epochs=30"],
    "scratch": [*JOINT, *NAIVE],
}


def run(arm: str, words: list[str], splits: int, out: Path, root: str, kind: str) -> list[dict[str, Any]]:
    """The summaries of one arm, a split each, trained in one process unless they are there."""
    folder = out / arm
    missing = [k for k in range(splits) if not (folder / f"split_{k}" / "summary.json").is_file()]
    if missing:
        data = [f"data={kind}", f"data.root={root}", "data.size=48", *SKELETON, "data.split.column=null"]
        data += ["label=name", "log=none", "figures=[]", "embed.splits=[test]"]
        seeds = f"data.split.seed={','.join(map(str, missing))}"
        place = [f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=split_${data.split.seed}"]
        encoders = [f"adapt.runs=[{','.join(f'{out}/{s}/split_${{data.split.seed}}' for s in STREAMS)}]"]
        command = [sys.executable, "-m", "multimodal_lab.run", "-m", *words, *data, seeds, *place]
        done = subprocess.run(
            [*command, *(encoders if "adapt=encoders" in words else [])], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"error: {arm}: {done.stderr[-2000:]}")
    return [json.loads((folder / f"split_{k}" / "summary.json").read_text()) for k in range(splits)]


def main() -> None:
    given = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
    if not {"root", "out"} <= given.keys() <= {"root", "out", "splits", "naive", "data"}:
        sys.exit(f"error: expected root=…, out=… and perhaps splits=…, naive=yes, data=…\n{__doc__}")
    out, splits = Path(given["out"]).absolute(), int(given.get("splits", 5))
    at = given["root"], given.get("data", "utd_mhad_video")

    def show(what: str, values: list[float]) -> None:
        print(f"| {what} | {interval(values)} | {' '.join(f'{v:.3f}' for v in values)} |", flush=True)

    print("| | accuracy, five splits of subjects | each |\n|---|---|---|")
    for arm, words in ALONE.items():
        found = run(arm, words, splits, out, *at)
        show(f"{arm} alone", [f["head/classifier/name/accuracy"] for f in found])
    mixture = run("mixture", FUSIONS["mixture"], splits, out, *at)
    by: dict[tuple[str, ...], list[float]] = {}
    for size in (2, 3):
        for own in combinations(STREAMS, size):
            which = "" if size == len(STREAMS) else f"@{'+'.join(own)}"
            by[own] = [f[f"head/late_fusion{which}/name/accuracy"] for f in mixture]
            show(f"{' + '.join(own)}, mixture", by[own])
    for arm in ["joined", *(["scratch"] if given.get("naive") == "yes" else [])]:
        found = run(arm, FUSIONS[arm], splits, out, *at)
        show(f"all three, {arm}", [f["head/classifier/name/accuracy"] for f in found])
    for two in combinations(STREAMS, 2):
        (third,) = {*STREAMS} - {*two}
        gain = np.array(by[STREAMS]) - np.array(by[two])
        show(f"what {third} adds to {' + '.join(two)}", gain.tolist())


if __name__ == "__main__":
    main()
