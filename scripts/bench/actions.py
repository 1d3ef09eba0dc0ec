"""Actions by depth video, inertial sensor and skeleton: python scripts/bench/actions.py store=DIR out=DIR [splits=5] [naive=yes]

store: made by the next command, which keeps the depth videos small and the joints as four frames of reference have them.

    S=data.source.sources; python scripts/pack.py data=utd_mhad_video data.root=/utd_mhad data.size=48 out=DIR \\
      +data@$S.camera=utd_mhad_series +data@$S.{torsos,start_torsos}=utd_mhad_body \\
      $S.{camera,torsos,start_torsos}.root=/utd_mhad \\
      $S.{torsos,start_torsos}.source.relative.skeleton.unit=[3,1] $S.start_torsos.source.relative.skeleton.at=first

Five splits of subjects, four of the eight held out, drawn anew. In each the frame of reference of the skeleton and the motion
maps of the depth video are chosen anew: every candidate is trained on two of the four training subjects and scored on the two
others (eval_split=val). What is chosen is trained on all four, and the four held-out subjects are read once. Then a classifier
a stream is trained on the kept features of the three frozen encoders, and their mixture is scored with every subset of the
streams (modality_subsets); beside it, what the same encoders give joined to one vector, and, with naive=yes, one network of
all three from scratch. Prints accuracy, 95 % intervals over the splits (corrected for training sets that overlap, Nadeau &
Bengio 2003), and what the third stream adds to each two. A run that is finished is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from sensors import interval

STREAMS = ("inertial", "skeleton", "depth")
SENSOR = ["experiment=sensor", "fusion=separate", "train.epochs=20"]
ALONE = {
    "inertial": [*SENSOR, "modality=inertial_series"],
    "skeleton": [*SENSOR, "modality=skeleton_series"],
    "depth": ["experiment=action_recognition", "modality=depth_video", "backbone=motion", "train.epochs=25"],
}
FIELDS = {"inertial": "series.inertial", "depth": "depth.depth"}  # of the store; that of the skeleton is chosen
# {stream: {candidate: (words of the stream alone, words beside other streams)}}
FRAMES = {"camera": "camera", "hip": "series", "hip, torsos": "torsos", "start, torsos": "start_torsos"}
CANDIDATES: dict[str, dict[str, tuple[list[str], list[str]]]] = {
    "inertial": {"": ([], [])},
    "skeleton": {k: ([w := f"+modality.skeleton.field={v}.skeleton"], [w]) for k, v in FRAMES.items()},
    "depth": {f"{n} maps": ([f"backbone.segments={n}"], [f"backbones.depth.segments={n}"]) for n in (4, 6, 8)},
}
JOINT = ["experiment=video_sensor"]
FROZEN = [*JOINT, "adapt=encoders", "cache=features", "augment=none"]
NAIVE = ["fusion=concat", "head=classifier", "loss=cross_entropy", "augment.modality_dropout=0"]
FUSIONS = {
    "mixture": [*FROZEN, "head.weights=uniform", "modality_subsets=true", "train.epochs=30"],
    "joined": [*FROZEN, *NAIVE, "train.epochs=30"],
    "scratch": [*JOINT, *NAIVE],
}
INNER = ["data.split.train=0.25", "data.split.val=0.25", "eval_split=val"]  # the same half of the subjects is test


class Bench:
    """Runs of one store below one folder."""

    def __init__(self, store: str, out: Path, splits: int) -> None:
        self.store, self.out, self.splits = store, out, splits

    def run(self, name: str, words: list[str], streams: tuple[str, ...], splits: list[int]) -> list[dict[str, Any]]:
        """The summaries of one arm, a split each, trained in one process unless they are there."""
        folder = self.out / name.replace(", ", "_").replace(" ", "_")
        missing = [k for k in splits if not (folder / f"split_{k}" / "summary.json").is_file()]
        if missing:
            data = [
                "data=packed",
                f"data.root={self.store}",
                "data.size=48",
                "data.split.column=null",
                "data.cache=true",
            ]
            data += [f"+modality.{s}.field={FIELDS[s]}" for s in streams if s in FIELDS]
            given = ["label=name", "log=none", "figures=[]", "evaluate=[head]", "resume=auto"]
            given.append(f"data.split.seed={','.join(map(str, missing))}")
            place = [f"hydra.sweep.dir={folder}", "hydra.sweep.subdir=split_${data.split.seed}"]
            command = [sys.executable, "-m", "multimodal_lab.run", "-m", *words, *data, *given, *place]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"error: {name}: {done.stderr[-2000:]}")
        return [json.loads((folder / f"split_{k}" / "summary.json").read_text()) for k in splits]

    def choose(self, stream: str) -> list[str]:
        """The candidate of each split, by its validation subjects alone; of equal ones the first."""
        own = CANDIDATES[stream]
        if len(own) == 1:
            return [*own] * self.splits
        scores = []
        for candidate, (words, _) in own.items():
            every = [*range(self.splits)]
            found = self.run(f"inner {stream} {candidate}", [*ALONE[stream], *words, *INNER], (stream,), every)
            scores.append([f["val/head/classifier/name/accuracy"] for f in found])
            print(f"| {stream}, {candidate} | {' '.join(f'{v:.3f}' for v in scores[-1])} |", flush=True)
        return [[*own][i] for i in np.array(scores).argmax(0)]

    def alone(self, stream: str, chosen: list[str]) -> list[float]:
        """Accuracy of the chosen candidate on each split's held-out subjects."""
        found: dict[int, dict[str, Any]] = {}
        for candidate in dict.fromkeys(chosen):
            splits = [k for k, c in enumerate(chosen) if c == candidate]
            words = [*ALONE[stream], *CANDIDATES[stream][candidate][0], "embed.splits=[test]"]
            found |= dict(zip(splits, self.run(encoder(stream, candidate), words, (stream,), splits), strict=True))
        return [found[k]["head/classifier/name/accuracy"] for k in range(self.splits)]

    def joint(self, arm: str, chosen: dict[str, list[str]]) -> list[dict[str, Any]]:
        """The summaries of an arm of all streams, each split with what it has chosen."""
        found: dict[int, dict[str, Any]] = {}
        for own in product(*(dict.fromkeys(chosen[s]) for s in STREAMS)):
            splits = [k for k in range(self.splits) if own == tuple(chosen[s][k] for s in STREAMS)]
            names = [encoder(s, c).replace(", ", "_").replace(" ", "_") for s, c in zip(STREAMS, own, strict=True)]
            runs = [f"{self.out}/{n}/split_${{data.split.seed}}" for n in names]
            words = [w for s, c in zip(STREAMS, own, strict=True) for w in CANDIDATES[s][c][1]]
            words += [*FUSIONS[arm], "embed.splits=[test]"]
            words += [f"adapt.runs=[{','.join(runs)}]"] if "adapt=encoders" in words else []
            if splits:
                found |= dict(
                    zip(splits, self.run(" ".join([arm, *filter(None, own)]), words, STREAMS, splits), strict=True)
                )
        return [found[k] for k in range(self.splits)]


def encoder(stream: str, candidate: str) -> str:
    """What the runs of one candidate are called."""
    return f"{stream} {candidate}".strip()


def show(what: str, values: list[float]) -> None:
    print(f"| {what} | {interval(values)} | {' '.join(f'{v:.3f}' for v in values)} |", flush=True)


def main() -> None:
    given = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
    if not {"store", "out"} <= given.keys() <= {"store", "out", "splits", "naive"}:
        sys.exit(f"error: expected store=…, out=… and perhaps splits=…, naive=yes\n{__doc__}")
    bench = Bench(given["store"], Path(given["out"]).absolute(), int(given.get("splits", 5)))
    print("| candidate | accuracy on each split's validation subjects |\n|---|---|")
    chosen = {stream: bench.choose(stream) for stream in STREAMS}
    print("\n| | chosen in each split |\n|---|---|")
    print("\n".join(f"| {stream} | {'; '.join(chosen[stream])} |" for stream in STREAMS if chosen[stream][0]))
    print("\n| | accuracy on held-out subjects | each split |\n|---|---|---|")
    for stream in STREAMS:
        show(f"{stream} alone", bench.alone(stream, chosen[stream]))
    mixture = bench.joint("mixture", chosen)
    by: dict[tuple[str, ...], list[float]] = {}
    for size in (2, 3):
        for own in combinations(STREAMS, size):
            which = "" if size == len(STREAMS) else f"@{'+'.join(own)}"
            by[own] = [f[f"head/late_fusion{which}/name/accuracy"] for f in mixture]
            show(f"{' + '.join(own)}, mixture", by[own])
    for arm in ["joined", *(["scratch"] if given.get("naive") == "yes" else [])]:
        show(f"all three, {arm}", [f["head/classifier/name/accuracy"] for f in bench.joint(arm, chosen)])
    for two in combinations(STREAMS, 2):
        (third,) = {*STREAMS} - {*two}
        gain = np.array(by[STREAMS]) - np.array(by[two])
        show(f"what {third} adds to {' + '.join(two)}", gain.tolist())


if __name__ == "__main__":
    main()
