"""Run directories as the layout before made them, by that layout's own code: `python tests/runs/previous_layout.py OUT`.

The source of the commit is taken from this repository's history, so that nothing is pasted; `OUT` gets

keys     decision-level fusion, with most keys that were renamed since at values of their own
bad      a training that diverged, with its kept step in bad_batch_0
study    two arms and a control, one seed: cells, ledger, report
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))
import forked  # noqa: E402

COMMIT = "b5dfcf6a74a6af5e4651989e331cea66cfc639f1"  # the last one of that layout
PARTS = ("multimodal_lab", "conf", "hydra_plugins")
DATA = ["data.source.individuals=64", "data.source.size=32", "data.source.species=4", "data.split.stratify=species"]
SMALL = [*DATA, "data.batch_size=16", "backbone.widths=[8,16]", "log=none", "figures=[]"]  # fmt: skip
KEYS = [
    "train.max_steps=4", "experiment=decision", "modality=rgb_uv", "evaluate=[probe,kmeans]", "evaluate.kmeans.starts=2",
    "judged=val", "score=val/label", "+head@heads.classifier=classifier", "heads.classifier.reads=rgb",
    "+loss@losses.label=cross_entropy", "+optim.rates.backbones=5e-4", "train.floor=0.1", "train.accumulate=2",
    "train.keep=1", "data.split.rare=train", "data.split.hold=samples", "data.check=train", "data.fit=stretch",
    "data.mask=keep", "modality.rgb.take=[R,G]",
]  # fmt: skip
BAD = [
    "fusion.width=32",
    "evaluate=[]",
    "train.epochs=30",
    "train.warmup=0",
    "optim.lr=1e30",
    "train.clip_norm=null",
    "loss.weight=1e20",
]


STUDY = """# @package _global_
defaults:
  - override /head: classifier
  - override /loss: cross_entropy
  - override /augment: none
  - override /evaluate: [probe]
  - override /log: none
  - override /hydra/sweeper: study
study:
  arms:
    rgb: [modality=rgb, fusion=separate]
    concat: [modality=rgb_uv, fusion=concat]
  baselines: [rgb]
  controls:
    shuffled: {of: concat, kind: shuffled, set: ['data.shuffle={stream: uv}']}
  labels: [species, sex]
  seeds: [0]
  splits: [0]
  margin: 0.02
  unequal: []
  tune: null
  mixed: false
train: {max_steps: 2}
hydra: {mode: MULTIRUN}
"""
# One process for all, without the modules of today that it was forked with: most of a command's time is the import of torch.
DRIVER = """
import json, sys
for name in [*sys.modules]:
    if name.partition(".")[0] in ("multimodal_lab", "hydra_plugins"):
        del sys.modules[name]
from hydra.core.global_hydra import GlobalHydra
from multimodal_lab import run

for argv, expected in json.loads(sys.argv[1]):
    sys.argv = ["run", *argv]
    code = 0
    try:
        run.main()
    except SystemExit as end:
        code = end.code
    if code != expected:
        sys.exit(f"{argv}: exit {code}, expected {expected}")
    GlobalHydra.instance().clear()
"""


class Unavailable(Exception):
    """Why the commit's source can't be had here."""


def source(folder: Path) -> Path:
    """The commit's package and configs, written to `folder`; `Unavailable` in a shallow clone or without git."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), "archive", COMMIT, *PARTS], capture_output=True)
    except FileNotFoundError:
        raise Unavailable("git is not installed") from None
    if done.returncode:
        raise Unavailable(f"commit {COMMIT[:7]} is not in this clone ({done.stderr.decode().strip()})")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def launch(code: Path, lines: list[tuple[list[str], int]]) -> None:
    """Command lines of the old code, each with the exit code that it must end with."""
    (code / "previous_driver.py").write_text(DRIVER)
    env = {**os.environ, **forked.OWN, "PYTHONPATH": str(code), "HF_HUB_OFFLINE": "1"}
    done = forked.command("previous_driver", [json.dumps(lines)], code, env)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def make(out: Path) -> Path:
    """All three directories below `out`, which is returned."""
    out = out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        code, conf = source(Path(folder)), Path(folder) / "own" / "conf"
        (conf / "study").mkdir(parents=True)
        (conf / "study" / "tiny.yaml").write_text(STUDY)
        study = [f"--config-dir={conf}", "study=tiny", *DATA, "backbone.widths=[8,16]", "figures=[]"]
        lines = [
            ([*SMALL, *KEYS, f"dir={out / 'keys'}"], 0),
            ([*SMALL, *BAD, f"dir={out / 'bad'}"], 1),
            ([*study, f"hydra.sweep.dir={out / 'study'}"], 0),
        ]
        launch(code, lines)
    return out


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        print(make(Path(sys.argv[1])))
    except Unavailable as error:
        sys.exit(f"error: {error}")
